"""What a person types here to run this program: `sweeps`, or a path where the shell would not find that."""

from __future__ import annotations

import shlex
import shutil
import sys
from pathlib import Path

NAME = "sweeps"


def program() -> str:
    """Return the program's name, or the path by which it was started where that name is none or another's.

    `make quickstart` starts `.venv/bin/sweeps`, which is not on the PATH.
    """
    started, found = Path(sys.argv[0]), shutil.which(NAME)
    if started.stem != NAME or (found is not None and Path(found).resolve() == started.resolve()):
        return NAME
    path, here = started.absolute(), Path.cwd()
    is_below = path.is_relative_to(here) and path.parent != here  # a bare name would be looked for on the PATH
    return shlex.quote(str(path.relative_to(here) if is_below else path))
