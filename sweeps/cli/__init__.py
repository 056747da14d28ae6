"""The command line: `sweeps launch quickstart`, `sweeps --help`.

app        the commands together              endings   errors → one sentence and an exit code
running    launch, resume; plan, account       looking   list, status; ledgers, records, watching
stopping   stop, pause; asking                 growing   extend, retry; single_trials: trial …; trial_params
champions  promote, generate; registry         answering a champion, and its base model beside it
doctor     doctor; checks, places, probes      serving   ui
shelves    examples, spaces                    consoles  what the standard output can show
                                               program   what to type to run this

Nothing heavy is imported before a command needs it: `sweeps --help` answers at once.
"""

from sweeps.cli.app import main

__all__ = ["main"]
