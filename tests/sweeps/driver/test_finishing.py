"""Between the last trial and the end: plots and promotion are done while the sweep is still its driver's."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest

from adapter_registry.runs.memory_tracker import MemoryTracker
from search_spaces import SearchSpace
from sweeps.driver.driver import SweepResult, run_sweep
from sweeps.errors import ClaimLostError
from sweeps.ledger.claim import Claim
from sweeps.ledger.ledger import Ledger
from sweeps.ledger.requests import Asked, Extend, answer_to, pending, post
from sweeps.settings import ComputeSettings, SearchSettings
from sweeps.workers.rehearsal import RehearsalSettings

Finish = Callable[[SweepResult], None]


class Trained:
    """A sweep whose trial has ended, so that nothing is left but to finish it."""

    def __init__(self, url: str, space: SearchSpace) -> None:
        self.open = partial(Ledger.open, url, "s", space)
        self.tracker = MemoryTracker()
        ledger = Ledger.create(url, "s", SearchSettings(trials=1), space)
        ledger.next_trial()
        ledger.report(0, 1, 2.0)
        ledger.tell(0, "complete", value=2.0)

    def finish(self, finish: Finish) -> SweepResult:
        """As a driver does."""
        return run_sweep(
            self.open(),
            self.tracker,
            run_id=self.tracker.open_sweep("s", spec_yaml="", tags={}, params={}),
            engine_factory=RehearsalSettings(),
            tracker_factory=lambda: self.tracker,
            compute=ComputeSettings(),
            finish=finish,
        )


@pytest.fixture
def trained(ledger_url: str, space: SearchSpace) -> Trained:
    return Trained(ledger_url, space)


def test_a_sweep_says_that_it_is_finishing_until_the_rest_is_done(trained: Trained) -> None:
    seen = []

    def look(result: SweepResult) -> None:
        record = trained.open().record
        seen.append((result.state, record.state, record.driver is not None))

    assert trained.finish(look).state == "complete"
    assert seen == [("complete", "finishing", True)]
    after = trained.open().record
    assert (after.state, after.driver) == ("complete", None)


def test_a_driver_that_dies_while_it_finishes_leaves_that_to_a_resume(trained: Trained) -> None:
    def die(result: SweepResult) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        trained.finish(die)
    assert (trained.open().record.state, trained.open().record.driver) == ("finishing", None)
    done: list[SweepResult] = []
    assert trained.finish(done.append).state == trained.open().record.state == "complete"
    assert [result.state for result in done] == ["complete"]


def test_what_is_asked_while_a_sweep_finishes_is_done_at_its_end(trained: Trained) -> None:
    asked: list[Asked] = []
    trained.finish(lambda result: asked.append(post(trained.open(), Extend(trials=1))))
    ledger = trained.open()
    answer = answer_to(ledger, asked[0])
    assert answer is not None
    assert answer.text == "1 more trial: 's' is to end with 2 trials."
    assert (ledger.record.state, pending(ledger)) == ("stopped", [])


def test_who_lost_the_sweep_while_he_finished_it_says_nothing_more(trained: Trained) -> None:
    taken: list[Claim] = []
    with pytest.raises(ClaimLostError):
        trained.finish(lambda result: taken.append(Claim(trained.open(), take_over=True)))
    assert trained.open().record.state == "finishing"
    taken[0].check()


def test_the_driver_is_seen_to_be_alive_however_long_it_takes(
    trained: Trained, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From another machine it would count as dead when its note is a minute old."""
    monkeypatch.setattr("sweeps.ledger.claim.RENEW_S", 0.01)
    notes: set[float] = set()

    def wait_for_new_notes(result: SweepResult) -> None:
        while len(notes) < 3:
            driver = trained.open().record.driver
            assert driver is not None
            notes.add(driver["at"])

    trained.finish(wait_for_new_notes)
