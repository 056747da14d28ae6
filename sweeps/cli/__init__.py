"""The command line: `sweeps launch quickstart`, `sweeps --help`. One file per command; `app` puts them together.

launch, resume, stop, pause       a sweep runs, and ends early
list, status, logs, ui            looking at it
extend, retry, trial              more trials, and single ones
promote, generate                 the champion
doctor/                           what this machine can do
examples, spaces                  what comes ready-made
cluster_driver                    what a job on a cluster runs: `resume`, there
shared/                           what several commands use

Nothing heavy is imported before a command needs it: `sweeps --help` answers at once.
"""

from sweeps.cli.app import main

__all__ = ["main"]
