"""The board of a sweep that has begun is that of its ledger, whoever looks: a driver that goes on, or a watcher."""

from __future__ import annotations

import time
from typing import Any

import pytest

from search_spaces import load_space
from sweeps.cli.shared.boards import board_of, elapsed_s
from sweeps.driver.budget import Budget
from sweeps.home import find_home
from sweeps.ledger.claim import Claim
from sweeps.ledger.ledger import Ledger
from sweeps.opening import open_ledger
from sweeps.settings import BudgetSettings
from sweeps.spec import load_spec


@pytest.fixture
def ledger(ledger_url: str) -> Ledger:
    """A sweep whose first trial is complete, and whose second a driver that died has left in its slot."""
    spec = load_spec("quickstart", ["name=mine"])
    settings = spec.search.settings()
    ledger = Ledger.create(ledger_url, "mine", settings, load_space("quickstart"), spec_yaml=spec.to_yaml())
    for number in range(2):
        trial = ledger.next_trial()
        assert trial is not None
        ledger.report(number, 1, 2.0)
    ledger.tell(0, "complete", value=2.0)
    return ledger


def test_what_a_dead_driver_had_in_its_slots_is_shown_as_stopped_with_its_bar(ledger: Ledger) -> None:
    opened = open_ledger(find_home({"SWEEPS_LEDGER": ledger.url}), "mine")
    board = board_of(opened)
    assert opened.spec is not None
    epochs = opened.spec.trial_config(ledger.trial(1).drawn).epochs
    row = board.rows[1]
    assert (row.state, row.evaluations_total) == ("stopped", epochs * opened.spec.training.evaluations_per_epoch)
    assert row.fraction == pytest.approx(1 / (row.evaluations_total or 1))
    assert not board.alive


def test_the_time_of_earlier_drivers_counts_and_that_in_between_does_not(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = time.time()
    hours = iter([0.0, 7200.0, 7200.0])
    budget = Budget(BudgetSettings(), ledger, lambda: next(hours))
    budget.spend([])  # two hours
    opened = open_ledger(find_home({"SWEEPS_LEDGER": ledger.url}), "mine")
    record = opened.ledger.record
    monkeypatch.setattr("time.time", lambda: now + 86400)
    assert elapsed_s(record) == 7200
    board = board_of(opened)
    assert board.clock() - board.began_at == pytest.approx(7200, abs=60)


def test_of_a_driver_that_runs_the_time_since_it_wrote_is_added(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sweeps.ledger.claim.is_alive", lambda holder: True)
    Claim(ledger)
    started = ledger.record.driver["started"]  # type: ignore[index]
    for hours_at, used in ((started - 1000.0, 3600.0), (started + 50.0, 3650.0)):
        ledger.note_sweep(hours=used / 3600, hours_at=hours_at)
        monkeypatch.setattr("time.time", lambda: started + 60.0)
        expected: Any = 3660.0
        assert elapsed_s(ledger.record) == pytest.approx(expected)
