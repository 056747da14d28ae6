"""What the driver remembers of its ledger is never believed against what is there."""

from __future__ import annotations

import pytest

from search_spaces import SearchSpace
from sweeps.errors import LedgerError
from sweeps.ledger.ledger import Ledger
from sweeps.settings import SearchSettings

SETTINGS = SearchSettings(trials=6)


def begun(ledger: Ledger) -> int:
    trial = ledger.next_trial()
    assert trial is not None
    return trial.number


def test_values_reach_their_trials_although_somebody_else_has_added_one(any_ledger: str, space: SearchSpace) -> None:
    """A driver that was held up, and has not yet heard that its sweep was taken, begins one trial more."""
    first = Ledger.create(any_ledger, "s", SETTINGS, space)
    second = Ledger.open(any_ledger, "s", space)
    assert second.trials() == []
    assert begun(first) == 0
    assert begun(second) == 1
    assert second.report(1, 1, 0.1)
    assert begun(second) == 0  # the other one's is taken over with the rest
    assert begun(second) == 2
    assert second.report(2, 1, 0.2)
    assert [trial.evaluations for trial in Ledger.open(any_ledger, "s").trials()] == [{}, {1: 0.1}, {1: 0.2}]


def test_a_trial_that_somebody_else_has_ended_is_told_in_a_sentence(any_ledger: str, space: SearchSpace) -> None:
    first = Ledger.create(any_ledger, "s", SETTINGS, space)
    number = begun(first)
    second = Ledger.open(any_ledger, "s", space)
    assert [trial.state for trial in second.trials()] == ["running"]
    first.tell(number, "complete", value=0.5)
    with pytest.raises(LedgerError, match=r"^Somebody else has written to the ledger .*`sweeps resume` goes on"):
        second.next_trial()
