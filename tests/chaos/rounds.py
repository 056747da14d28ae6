"""One round: a sweep that runs in peace, the same again with kills, and a comparison."""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from dataclasses import dataclass

import psutil

from tests.chaos.arena import Arena
from tests.chaos.invariants import Undisturbed, broken, undisturbed

MOST_SECONDS = 300.0
MOST_DRIVERS = 40
GONE = "(gone)"


@dataclass(frozen=True)
class Round:
    """What was killed in a sweep, and what is wrong with it."""

    name: str
    killed: tuple[str, ...]
    drivers: int
    seconds: float
    wrong: tuple[str, ...]

    def __str__(self) -> str:
        verdict = "exact" if not self.wrong else "WRONG: " + "; ".join(self.wrong)
        parts = ", ".join(self.killed) or "nothing"
        return f"{self.name}: killed {parts}; {self.drivers} drivers, {self.seconds:.0f} s: {verdict}"


def run_round(
    ground: Arena,
    name: str,
    plan: Sequence[tuple[str, float]],
    rng: random.Random,
    *,
    seed: int,
    truth: Sequence[Undisturbed],
) -> Round:
    """Run a sweep and kill, for each entry of the plan, a part so many seconds after the one before.

    Args:
        ground: where it runs.
        name: of the sweep.
        plan: a part to kill, and seconds.
        rng: chooses among several processes of a part.
        seed: of the sweep.
        truth: the trials of the same seed `in_peace`.
    """
    trials, began = len(truth), time.monotonic()
    ground.begin(name, trials=trials, seed=seed)
    ground.drive()
    killed: list[str] = []
    drivers, left = 1, list(plan)
    processes: list[psutil.Process] = []
    while ground.ended() != 0 and time.monotonic() < began + MOST_SECONDS and drivers < MOST_DRIVERS:
        victim, seconds = left.pop(0) if left else ("", 5.0)
        ground.wait(seconds)
        processes += ground.family()
        if victim and ground.ended() is None and ground.kill(victim, rng):
            killed.append(victim)
        ground.wait(0.2)
        if ground.ended() not in {None, 0}:
            ground.drive()
            drivers += 1
    with ground.tracker() as tracker:
        wrong = broken(ground.ledger, tracker, trials, truth) if ground.ended() == 0 else [_stuck(ground)]
    wrong += _left_behind(processes)
    ground.end()
    return Round(name, tuple(killed), drivers, time.monotonic() - began, tuple(wrong))


def in_peace(ground: Arena, name: str, *, seed: int, trials: int) -> list[Undisturbed]:
    """Run a sweep with nothing killed and nothing pruned: it knows every value that a trial of the seed can have."""
    ground.begin(name, trials=trials, seed=seed, prune=False)
    ground.drive()
    deadline = time.monotonic() + MOST_SECONDS
    while ground.ended() is None and time.monotonic() < deadline:
        ground.wait(5.0)
    if ground.ended() != 0:
        raise RuntimeError(f"The sweep in peace did not end well: {_stuck(ground)}")
    with ground.tracker() as tracker:
        return undisturbed(ground.ledger, tracker, tracker.find_sweep(name) or "")


def _stuck(ground: Arena) -> str:
    return f"the driver ended with {ground.ended()}; its last words: {ground.last_words()}"


def _left_behind(processes: Sequence[psutil.Process]) -> list[str]:
    """Processes of the sweep that outlive it; Ray's own agents take up to a minute to notice."""
    ours = [p for p in set(processes) if p.is_running()]
    _, alive = psutil.wait_procs(ours, timeout=30)
    left = [(p.pid, _name(p)) for p in alive]
    return [f"the process {pid} is left: {name}" for pid, name in left if name != GONE and "Agent" not in name]


def _name(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())[:80]
    except psutil.Error:
        return GONE  # or dead, and its parent has not noticed yet
