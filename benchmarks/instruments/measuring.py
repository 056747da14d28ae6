"""Paired timing: the arms of a comparison take turns in one run, so that a slow minute of the machine hits them all."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

Work = Callable[[], float]


@dataclass(frozen=True)
class Ratio:
    """A ratio of two arms over the rounds of a run: its median, and the smallest and largest seen."""

    median: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.median:.2f}× ({self.low:.2f}–{self.high:.2f})"


def take_turns(arms: Mapping[str, Work], *, rounds: int) -> dict[str, list[float]]:
    """Measure arms in turn, each round beginning with another one.

    Args:
        arms: name → something that does its work once, ready to be timed (compiled, warmed), and returns how much it
            did (tokens, steps, trials). It must wait for its own results.
        rounds: how often each arm is measured.

    Returns:
        Name → work per second in each round.
    """
    rates: dict[str, list[float]] = {name: [] for name in arms}
    for _, name in rotation(list(arms), rounds=rounds):
        gc.collect()
        started = time.perf_counter()
        work = arms[name]()
        rates[name].append(work / (time.perf_counter() - started))
    return rates


def rotation(names: Sequence[str], *, rounds: int) -> Iterator[tuple[int, str]]:
    """Yield (round, name) of every turn; each round begins with another name."""
    for turn in range(rounds):
        shift = turn % len(names)
        for name in [*names[shift:], *names[:shift]]:
            yield turn, name


def ratio(ours: Sequence[float], theirs: Sequence[float]) -> Ratio:
    """Compare two arms round by round."""
    each = [a / b for a, b in zip(ours, theirs, strict=True)]
    return Ratio(median(each), min(each), max(each))
