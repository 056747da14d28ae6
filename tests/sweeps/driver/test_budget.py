"""Budgets count over all runs of a driver, and say which limit is reached."""

from __future__ import annotations

import pytest

from search_spaces import SearchSpace
from sweeps.driver.budget import Budget
from sweeps.ledger.ledger import Ledger
from sweeps.progress import WorkerStatus
from sweeps.settings import BudgetSettings, SearchSettings

READY = WorkerStatus(worker="a", state="ready")
LOST = WorkerStatus(worker="b", state="lost")


class Clock:
    """A clock that is moved by hand; `hours` since it was made."""

    def __init__(self) -> None:
        self.hours = 0.0

    def __call__(self) -> float:
        return 3600 * self.hours


@pytest.fixture
def ledger(ledger_url: str, space: SearchSpace) -> Ledger:
    return Ledger.create(ledger_url, "s", SearchSettings(trials=4), space)


def test_hours_go_on_where_an_earlier_driver_stopped(ledger: Ledger, ledger_url: str, space: SearchSpace) -> None:
    clock = Clock()
    first = Budget(BudgetSettings(max_hours=2), ledger, clock)
    clock.hours = 1.5
    first.spend([READY])
    assert first.reached() is None
    first.write()
    clock.hours = 9.0  # nobody ran it
    second = Budget(BudgetSettings(max_hours=2), Ledger.open(ledger_url, "s", space), clock)
    second.spend([READY])
    assert second.reached() is None
    clock.hours = 9.6
    second.spend([])
    assert second.reached() == "its budget of 2 hours is used up"


def test_accelerator_hours_count_the_workers_that_hold_one(ledger: Ledger) -> None:
    clock = Clock()
    budget = Budget(BudgetSettings(max_accelerator_hours=4), ledger, clock)
    clock.hours = 1.0
    budget.spend([READY, READY, LOST])
    assert budget.reached() is None
    clock.hours = 2.0
    budget.spend([READY, READY])
    assert budget.reached() == "its budget of 4 accelerator-hours is used up"


def test_trials_count_when_they_have_ended(ledger: Ledger) -> None:
    budget = Budget(BudgetSettings(max_trials=2), ledger)
    for number in range(3):
        ledger.next_trial()
        assert budget.reached() is None or number == 2
        ledger.tell(number, "failed") if number else ledger.tell(number, "complete", value=1.0)
    assert budget.reached() == "its budget of 2 trials is used up"


def test_without_limits_nothing_is_reached(ledger: Ledger) -> None:
    clock = Clock()
    budget = Budget(BudgetSettings(), ledger, clock)
    clock.hours = 1e5
    budget.spend([READY] * 100)
    assert budget.reached() is None
