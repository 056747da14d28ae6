"""Arms that are processes of their own: started fresh, timed from outside, taking turns."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

from benchmarks.instruments.measuring import rotation
from trainer.machine.host_memory import ENVIRONMENT

ROOT = Path(__file__).parents[2]
TIMEOUT_S = 3600.0

T = TypeVar("T")


class ArmFailedError(RuntimeError):
    """The process of an arm ended with an error; the message holds the end of what it wrote."""


def environment(**more: str) -> dict[str, str]:
    """Return what every arm's process sees: the repository's packages, and no MLflow jobs.

    The benchmark's own process may have changed the rest (XLA's flags, Ray's settings), so that it is what the user
    has typed this command in, not what it is now.
    """
    env = {key: value for key, value in _ENVIRONMENT.items() if key != "PYTHONDONTWRITEBYTECODE"}
    roots = [str(ROOT), str(ROOT / "mlflow"), env.get("PYTHONPATH", "")]
    env |= {"PYTHONPATH": os.pathsep.join(filter(None, roots)), "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    return env | more


def restarted_as_a_worker(module: str) -> None:
    """Run this process's module again in its place, with the C library's memory as a CPU worker's process has it.

    What this process starts then has the library's defaults again.
    """
    if ENVIRONMENT.items() <= os.environ.items():
        for name in ENVIRONMENT:
            del os.environ[name], _ENVIRONMENT[name]
    else:
        os.execve(sys.executable, [sys.executable, "-m", module, *sys.argv[1:]], os.environ | ENVIRONMENT)  # noqa: S606


def own_home(folder: Path) -> dict[str, str]:
    """Return the variables by which a process keeps all its sweeps in a folder, whatever the user's say."""
    return {"SWEEPS_HOME": str(folder), "SWEEPS_LEDGER": "", "MLFLOW_TRACKING_URI": ""}


_ENVIRONMENT = dict(os.environ)


def run_module(module: str, *arguments: str | Path, log: Path, **env: str) -> float:
    """Run `python -m module arguments` to its end; the wall time of its process in seconds.

    Args:
        module: with a `__main__`.
        arguments: of its command line.
        log: file that its output goes to.
        env: environment variables on top of `environment()`.

    Raises:
        ArmFailedError: it ended with an error.
    """
    command = [sys.executable, "-m", module, *map(str, arguments)]
    with log.open("w") as output:
        began = time.perf_counter()
        ended = subprocess.run(  # noqa: S603 - our own modules
            command,
            cwd=ROOT,
            env=environment(**env),
            stdout=output,
            stderr=subprocess.STDOUT,
            timeout=TIMEOUT_S,
            check=False,
        )
        seconds = time.perf_counter() - began
    if ended.returncode:
        raise ArmFailedError(f"{' '.join(command[1:])} ended with {ended.returncode}:\n{log.read_text()[-3000:]}")
    return seconds


def plan_parser(description: str | None) -> argparse.ArgumentParser:
    """Return the parser of a module that trains a plan's trials: `PLAN.yaml OUT.json --cache FOLDER --adapters FOLDER`.

    Args:
        description: the module's docstring.
    """
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("plan", type=Path, help="spec whose trials are all enqueued, see `benchmarks.arms.plan`")
    parser.add_argument("out", type=Path, help="the outcome, see `benchmarks.instruments.outcome`")
    parser.add_argument("--cache", type=Path, required=True, help="folder of compiled programs")
    parser.add_argument("--adapters", type=Path, required=True, help="folder that adapters are written to")
    return parser


def in_turns(arms: Mapping[str, Callable[[int], T]], *, rounds: int) -> dict[str, list[T]]:
    """Run arms in turn, each round beginning with another one; name → what each round returned.

    Args:
        arms: name → what runs it once, given the number of the round.
        rounds: how often.
    """
    found: dict[str, list[T]] = {name: [] for name in arms}
    for turn, name in rotation(list(arms), rounds=rounds):
        print(f"round {turn + 1} of {rounds}: {name} …", flush=True)
        found[name].append(arms[name](turn))
    return found
