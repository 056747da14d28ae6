"""Successive halving: by whom a trial is measured, and that somebody is always left."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from adapter_registry.runs.tracking import State
from search_spaces import SearchSpace
from sweeps.ledger.ledger import Ledger
from sweeps.settings import SearchSettings


@pytest.fixture
def ledger(ledger_url: str, space: SearchSpace) -> Ledger:
    """A sweep of which one in four goes on, from the first evaluation on."""
    return Ledger.create(ledger_url, "s", SearchSettings(trials=20), space)


def report_together(ledger: Ledger, values: Sequence[float]) -> list[int]:
    """Begin trials that report their first values in the same moment; those that are not pruned."""
    trials = [ledger.next_trial() for _ in values]
    numbers = [trial.number for trial in trials if trial is not None]
    for number, value in zip(numbers, values, strict=True):
        ledger.report(number, 1, value)
    for number in numbers:
        if ledger.should_prune(number, 1):
            ledger.tell(number, "pruned")
    return [number for number in numbers if ledger.trial(number).state == "running"]


def test_nobody_is_measured_by_a_trial_that_failed(ledger: Ledger) -> None:
    """The best of the first evaluation diverges, and those after it are judged as if it had not been."""
    assert report_together(ledger, [0.1]) == [0]
    ledger.tell(0, "failed", because="diverged")
    assert [report_together(ledger, [value]) for value in (0.5, 0.6, 0.4, 0.45)] == [[1], [], [3], []]


def test_a_trial_that_failed_takes_no_place_of_those_that_go_on(ledger: Ledger) -> None:
    """Eight reach the rung, but two of eight go on only where all eight could."""
    assert report_together(ledger, [0.9]) == [0]
    ledger.tell(0, "failed", because="diverged")
    assert report_together(ledger, [0.5, 0.6, 0.7, 0.3, 0.8, 0.4, 0.9]) == [4]


@pytest.mark.parametrize("end", ["failed", "pruned"])
def test_a_leader_that_ended_early_leaves_the_best_of_the_others_to_go_on(ledger: Ledger, end: State) -> None:
    """It diverged, or was stopped by hand, after it had stopped all that trained beside it."""
    assert report_together(ledger, [0.5, 0.1, 0.6, 0.7]) == [1]
    ledger.tell(1, end)
    assert report_together(ledger, [0.9, 0.8, 0.95]) == [5]
    assert report_together(ledger, [0.85]) == []
    ledger.tell(5, "complete", value=0.8)
    assert report_together(ledger, [0.85]) == []
    assert report_together(ledger, [0.75]) == [9]
