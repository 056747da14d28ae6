"""Steering: ledger, tracker and events agree about everything that happens to a trial."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import pytest

from adapter_registry.runs.memory_tracker import MemoryTracker
from search_spaces import SearchSpace
from sweeps.driver.steering import Handout, Steering
from sweeps.errors import TrackingError
from sweeps.ledger.ledger import Ledger
from sweeps.progress import (
    Draining,
    ProgressEvent,
    SlotStatus,
    TrialEnded,
    TrialRetried,
    TrialStarted,
    WorkerStatus,
)
from sweeps.settings import SearchSettings
from sweeps.workers.outbox import Outbox
from sweeps.workers.reports import Dropped, Lost, Rejected, Scored, Unstorable
from trainer.config import TrialConfig
from trainer.events import Diverged, Evaluated, Finished


class Table:
    """A steering with all that it steers."""

    def __init__(self, ledger_url: str, space: SearchSpace, configure: Any = TrialConfig.from_params) -> None:
        self.ledger = Ledger.create(ledger_url, "s", SearchSettings(trials=4), space)
        self.tracker = MemoryTracker()
        self.outbox = Outbox("test")
        self.events: list[ProgressEvent] = []
        self.run_id = self.tracker.open_sweep("s", spec_yaml="", tags={}, params={})
        self.steering = Steering(
            self.ledger,
            self.tracker,
            self.outbox,
            run_id=self.run_id,
            configure=configure,
            emit=self.events.append,
        )

    def next(self) -> Handout:
        handout = self.steering.next()
        assert handout is not None
        return handout

    def states(self, number: int) -> tuple[str, str]:
        """The trial's state in the ledger, and in the tracker."""
        assert self.outbox.flush(10)
        tracked = next(t for t in self.tracker.trials(self.run_id) if t.number == number)
        return self.ledger.trial(number).state, tracked.state


@pytest.fixture
def table(ledger_url: str, space: SearchSpace) -> Table:
    return Table(ledger_url, space)


def event(value: float, evaluation: int = 1, total: int = 3) -> Evaluated:
    metrics = {"val_loss": value, "val_accuracy": 0.5}
    return Evaluated(
        key="k", step=10 * evaluation, evaluation=evaluation, evaluations_total=total, epoch=1.0, metrics=metrics
    )


def evaluated(value: float, evaluation: int = 1, total: int = 3) -> Scored:
    return Scored(event=event(value, evaluation, total))


def ended(table: Table) -> list[tuple[int, str, str]]:
    return [(e.number, e.state, e.because) for e in table.events if isinstance(e, TrialEnded)]


def test_a_trial_has_its_run_before_it_is_handed_out(table: Table) -> None:
    handout = table.next()
    assert handout.number == 0
    assert table.states(0) == ("running", "running")
    assert table.ledger.trial(0).run_id == handout.run_id
    assert TrialConfig(**handout.params) == TrialConfig.from_params(table.ledger.trial(0).params)
    assert [e.number for e in table.events if isinstance(e, TrialStarted)] == [0]


def test_a_finished_trial_is_complete_with_its_last_value(table: Table) -> None:
    number = table.next().number
    assert table.steering.evaluated(number, evaluated(0.5, 1, 2), "w")
    assert table.steering.evaluated(number, evaluated(0.6, 2, 2), "w")
    table.steering.ended(number, Finished(key="k", step=20))
    assert table.states(number) == ("complete", "complete")
    assert table.ledger.trial(number).value == 0.6
    assert table.ledger.trial(number).worker == "w"


def test_what_was_measured_last_of_a_trial_outlives_its_driver(table: Table) -> None:
    """So that a board of the next driver, or elsewhere, shows the same."""
    number = table.next().number
    slot = SlotStatus(key="k", number=number, step=9, steps_total=10, epoch=0.9, train_loss=1.5, tokens_per_second=None)
    table.steering.evaluated(number, evaluated(0.5, 1, 1), "w")
    table.steering.seen([WorkerStatus(worker="w", state="ready", taken=(slot,))])
    table.steering.ended(number, Finished(key="k", step=10))
    known = Ledger.open(table.ledger.url, "s").trial(number)
    assert known.metrics == {"val_loss": 0.5, "val_accuracy": 0.5, "train_loss": 1.5}


def test_a_hopeless_trial_is_stopped_and_told_as_pruned(table: Table) -> None:
    first, second = table.next().number, table.next().number
    assert table.steering.evaluated(first, evaluated(0.5), "w")
    assert not table.steering.evaluated(second, evaluated(0.9), "w")
    assert table.states(second) == ("pruned", "pruned")
    assert ended(table) == [(second, "pruned", "val_loss 0.9 at evaluation 1 of 3 was not among the best")]
    table.steering.ended(second, evaluated(0.9))
    assert table.states(second) == ("pruned", "pruned")


def test_the_last_evaluation_of_a_trial_never_prunes_it(table: Table) -> None:
    """All the work is done by then; its rung is recorded all the same, for later trials to be measured by."""
    good, bad, third = (table.next().number for _ in range(3))
    table.steering.evaluated(good, evaluated(0.5), "w")
    assert table.steering.evaluated(bad, evaluated(0.9, 1, 1), "w")
    table.steering.ended(bad, Finished(key="k", step=10))
    assert table.states(bad) == ("complete", "complete")
    assert table.steering.evaluated(third, evaluated(0.4), "w")


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_an_evaluation_that_is_not_a_number_ends_the_trial(table: Table, value: float) -> None:
    number = table.next().number
    assert not table.steering.evaluated(number, evaluated(value), "w")
    assert table.states(number) == ("failed", "failed")
    assert ended(table) == [(number, "failed", f"diverged at step 10: val_loss is {value}")]


def test_a_missing_metric_is_told_with_those_that_came(ledger_url: str, space: SearchSpace) -> None:
    table = Table(ledger_url, space)
    number = table.next().number
    report = Evaluated(key="k", step=1, evaluation=1, evaluations_total=2, epoch=1.0, metrics={"val_accuracy": 1.0})
    assert not table.steering.evaluated(number, Scored(event=report), "w")
    assert ended(table) == [(number, "failed", "reported no val_loss, only: val_accuracy")]


def test_divergence_and_rejection_fail_the_trial_with_the_reason(table: Table) -> None:
    first, second = table.next().number, table.next().number
    table.steering.ended(first, Diverged(key="k", step=7, reason="train_loss is nan"))
    table.steering.ended(second, Rejected(key="k", reason="rank 4096 is above 64."))
    assert ended(table) == [
        (first, "failed", "diverged at step 7: train_loss is nan"),
        (second, "failed", "rank 4096 is above 64."),
    ]
    assert table.states(first) == table.states(second) == ("failed", "failed")


def test_a_trial_that_finishes_without_an_evaluation_is_no_completion(table: Table) -> None:
    number = table.next().number
    table.steering.ended(number, Finished(key="k", step=7))
    assert table.states(number) == ("failed", "failed")


def test_parameters_that_make_no_configuration_fail_their_trial_only(ledger_url: str, space: SearchSpace) -> None:
    refused: list[Mapping[str, Any]] = []

    def configure(params: Mapping[str, Any]) -> TrialConfig:
        if not refused:
            refused.append(params)
            return TrialConfig(rank=0)
        return TrialConfig.from_params(params)

    table = Table(ledger_url, space, configure)
    assert table.next().number == 1
    assert table.states(0) == ("failed", "failed")
    assert "`rank` must be" in table.ledger.trial(0).ended_because


def test_trials_of_one_moment_are_judged_together(table: Table) -> None:
    """Six slots report in the same tick: two of six go on, whoever is heard first."""
    values = [0.9, 0.5, 0.8, 0.6]
    numbers = [table.next().number for _ in values]
    together = {number: event(value) for number, value in zip(numbers, values, strict=True)}
    goes_on = [table.steering.evaluated(n, Scored(event=e, together=together), "w") for n, e in together.items()]
    assert goes_on == [False, True, False, False]
    assert [table.ledger.trial(n).evaluations for n in numbers] == [{1: value} for value in values]


def test_evaluations_that_are_told_again_are_not_judged_again(table: Table) -> None:
    """After a resume a trial tells all it knows; what it is judged by is its last."""
    first, second = table.next().number, table.next().number
    for evaluation, value in ((1, 0.9), (2, 0.4), (3, 0.3)):
        assert table.steering.evaluated(first, evaluated(value, evaluation, 9), "w")
    assert table.steering.evaluated(second, evaluated(0.5, 1, 9), "w")
    assert table.steering.evaluated(first, evaluated(0.9, 1, 9), "w")
    assert table.ledger.trial(first).evaluations == {1: 0.9, 2: 0.4, 3: 0.3}


def test_a_lost_worker_counts_unless_it_was_taken_away(table: Table) -> None:
    number = table.next().number
    assert table.steering.lost(number, Lost(key="k", reason="its machine was taken away", preempted=True))
    assert table.steering.lost(number, Lost(key="k", reason="out of memory", out_of_memory=4))
    for _ in range(2):
        assert table.steering.lost(number, Lost(key="k", reason="its worker was lost"))
    assert (table.ledger.trial(number).attempts, table.ledger.trial(number).failures) == (5, 2)
    assert [e.because for e in table.events if isinstance(e, TrialRetried)][-1] == "its worker was lost"
    assert not table.steering.lost(number, Lost(key="k", reason="its worker was lost"))
    assert ended(table) == [(number, "failed", "its worker was lost")]


def test_a_trial_that_does_not_fit_alone_is_failed_with_the_numbers(table: Table) -> None:
    number = table.next().number
    assert not table.steering.lost(number, Lost(key="k", reason="out of memory: 9 GB", out_of_memory=1))
    assert ended(table) == [(number, "failed", "out of memory: 9 GB; it had the worker for itself")]


def test_what_cannot_be_stored_ends_the_sweep_and_leaves_the_trial_unfinished(table: Table) -> None:
    number = table.next().number
    table.steering.ended(number, Unstorable(key="k", reason="The disk is full."))
    assert isinstance(table.steering.error, TrackingError)
    assert "The disk is full." in str(table.steering.error)
    assert table.states(number) == ("stopped", "stopped")


def test_a_draining_sweep_leaves_running_trials_unfinished(table: Table) -> None:
    running, waiting, done = (table.next().number for _ in range(3))
    table.steering.drain("Ctrl-C")
    table.steering.drain("Ctrl-C")
    assert [e.because for e in table.events if isinstance(e, Draining)] == ["Ctrl-C"]
    assert table.steering.next() is None
    assert table.steering.evaluated(running, evaluated(0.1), "w")  # its worker is about to drop it
    table.steering.ended(running, Dropped(key="k"))
    table.steering.ended(waiting, Dropped(key="k"))
    assert table.steering.evaluated(done, evaluated(0.2, 1, 1), "w")  # it has only its end left to tell
    table.steering.ended(done, Finished(key="k", step=10))
    assert table.states(running) == table.states(waiting) == ("stopped", "stopped")
    assert table.states(done) == ("complete", "complete")
    assert table.ledger.trial(running).evaluations == {1: 0.1}


def test_what_is_alive_at_the_end_is_left_for_a_resume(table: Table) -> None:
    number = table.next().number
    table.steering.stop_the_rest()
    assert table.states(number) == ("stopped", "stopped")


def test_the_end_of_the_ledger_is_noticed(table: Table) -> None:
    numbers = [table.next().number for _ in range(4)]
    assert not table.steering.exhausted
    assert table.steering.next() is None
    assert table.steering.exhausted
    assert numbers == [0, 1, 2, 3]


def test_news_of_an_ended_trial_changes_nothing(table: Table) -> None:
    number = table.next().number
    table.steering.ended(number, Diverged(key="k", step=7, reason="x"))
    before = len(table.events)
    assert not table.steering.evaluated(number, evaluated(0.1), "w")
    table.steering.ended(number, Finished(key="k", step=9))
    table.steering.failed(number, "y")
    table.steering.stopped(number)
    assert len(table.events) == before
    assert table.states(number) == ("failed", "failed")
