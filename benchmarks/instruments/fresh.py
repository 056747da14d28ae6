"""One measurement in a process of its own: peaks of memory are those of a whole process, and cannot be taken back."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

OPTION = "--one"


def measure(module: str, request: Mapping[str, Any], environment: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Run `python -m MODULE --one REQUEST` and return the JSON object that it prints in its last line.

    Args:
        module: of this package; it must know the option.
        request: what to measure; anything that JSON can hold.
        environment: variables to add to those of this process.

    Raises:
        RuntimeError: the process failed; it has said why on the standard error stream.
    """
    command = [sys.executable, "-m", module, OPTION, json.dumps(request)]
    done = subprocess.run(  # noqa: S603  our own module
        command, stdout=subprocess.PIPE, text=True, check=False, env=os.environ | dict(environment or {})
    )
    if done.returncode:
        raise RuntimeError(f"{' '.join(command[1:])} ended with code {done.returncode}.")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found
