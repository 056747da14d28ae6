"""The command line: `sweeps launch quickstart`, `sweeps --help`.

app        the commands together            endings    errors → one sentence and an exit code
running    launch, resume                   looking    list, status, stop
champions  promote, generate                serving    ui
doctor     doctor                           shelves    examples, spaces

Nothing heavy is imported before a command needs it: `sweeps --help` answers at once.
"""

from sweeps.cli.app import main

__all__ = ["main"]
