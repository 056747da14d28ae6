"""What tests of commands share: how a command ended, and a Python that finds the packages."""

from __future__ import annotations

import os
import subprocess
import sys


class Ended:
    """How a command ended."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err

    @property
    def mistakes(self) -> list[str]:
        """The sentences on the standard error; anything else there is a failure."""
        lines = self.err.splitlines()
        assert all(line.startswith("Error: ") for line in lines), self.err
        return [line.removeprefix("Error: ") for line in lines]


def python(*arguments: str, **environment: str) -> subprocess.Popen[str]:
    """Start a Python that finds the packages as this one does."""
    paths = os.pathsep.join(path for path in sys.path if path)
    return subprocess.Popen(
        [sys.executable, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": paths, **environment},
    )


def run_python(*arguments: str, **environment: str) -> Ended:
    """Run such a Python to its end."""
    with python(*arguments, **environment) as process:
        out, err = process.communicate()
    return Ended(process.returncode, out, err)


def printed_last(*arguments: str, **environment: str) -> str:
    """Run such a Python, which must end well; the last line that it printed."""
    ended = run_python(*arguments, **environment)
    assert ended.code == 0, ended.err[-3000:]
    return ended.out.splitlines()[-1]
