"""A worker in this process, with the rehearsal engine and a tracker that remembers."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import pytest

from adapter_registry.errors import MetricsRejectedError, TrackingStoreError, TrackingUnreachableError
from adapter_registry.memory_tracker import MemoryTracker
from sweeps.rehearsal import RehearsalSettings
from sweeps.reports import Broken, Dropped, Rejected, StillWaiting
from sweeps.worker import Worker
from trainer.events import Diverged, Evaluated, Finished

QUICK = RehearsalSettings(slots=2, tick_s=0.002, steps_per_epoch=10)
SLOW = RehearsalSettings(slots=2, tick_s=0.05, steps_per_epoch=10_000)
PARAMS = {"learning_rate": 1e-3, "rank": 8, "epochs": 2}
WAIT_S = 20.0

Start = Callable[..., Worker]


@pytest.fixture
def tracker() -> MemoryTracker:
    return MemoryTracker()


@pytest.fixture
def start(tracker: MemoryTracker) -> Iterator[Start]:
    workers = []

    def start(settings: Any = QUICK, **options: Any) -> Worker:
        factory = options.pop("factory", lambda: tracker)
        workers.append(Worker("w", settings, factory, **options))
        return workers[-1]

    yield start
    for worker in workers:
        worker.close(5)


def run_id(tracker: MemoryTracker, number: int) -> str:
    sweep = tracker.open_sweep("s", spec_yaml="", tags={}, params={})
    return tracker.open_trial(sweep, "s", number, {})


def attach(worker: Worker, tracker: MemoryTracker, number: int, *, may_wait: bool = True, **params: Any) -> str:
    key = f"{number}-key"
    run = run_id(tracker, number)
    assert worker.attach(key, number=number, params=PARAMS | params, run_id=run, may_wait=may_wait)
    return key


def reports(worker: Worker, key: str) -> list[Any]:
    """All reports of a trial up to its last."""
    seen: list[Any] = []
    while not seen or isinstance(seen[-1], Evaluated | StillWaiting):
        report = worker.next_report(key, WAIT_S)
        assert report is not None
        seen.append(report)
    return [report for report in seen if not isinstance(report, StillWaiting)]


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_a_trial_reports_its_evaluations_and_its_end(start: Start, tracker: MemoryTracker) -> None:
    worker = start()
    key = attach(worker, tracker, 0)
    evaluated, again, finished = reports(worker, key)
    assert (evaluated.evaluation, again.evaluation, again.evaluations_total) == (1, 2, 2)
    assert finished == Finished(key=key, step=20)


def test_everything_is_in_the_tracker_before_the_end_is_told(start: Start, tracker: MemoryTracker) -> None:
    worker = start()
    reports(worker, attach(worker, tracker, 0))
    run = tracker.runs[run_id(tracker, 0)]
    assert [step for step, _ in run.metrics["val_loss"]] == [10, 20]
    assert [step for step, _ in run.metrics["train_loss"]] == [5, 10, 15, 20]
    assert {"adapters/epoch_0001/rehearsal.txt", "adapters/epoch_0002/rehearsal.txt", "samples.json"} <= set(run.files)


def test_a_trial_that_is_trained_again_adds_no_metric_twice(start: Start, tracker: MemoryTracker) -> None:
    """After a lost worker or a resume its first steps are in the store already; only what is new is logged."""
    worker = start()
    run = run_id(tracker, 0)
    tracker.log_metrics(run, {"train_loss": 3.0, "learning_rate": 1e-3}, 5)
    tracker.log_metrics(run, {"train_loss": 2.9, "learning_rate": 1e-3}, 10)
    assert worker.attach("again", number=0, params=PARAMS, run_id=run, may_wait=True, again=True)
    assert isinstance(reports(worker, "again")[-1], Finished)
    metrics = tracker.runs[run].metrics
    assert [step for step, _ in metrics["train_loss"]] == [5, 10, 15, 20]
    assert [step for step, _ in metrics["val_loss"]] == [10, 20]


def test_freed_slots_are_taken_by_the_line(start: Start, tracker: MemoryTracker) -> None:
    worker = start()
    keys = [attach(worker, tracker, number) for number in range(5)]
    assert all(isinstance(reports(worker, key)[-1], Finished) for key in keys)
    status = worker.status()
    assert status.ticks < 80  # five trials of 20 steps, two at a time: 60 ticks, not 100


def test_only_as_many_trials_train_as_there_are_slots(start: Start, tracker: MemoryTracker) -> None:
    worker = start(SLOW)
    until(lambda: worker.status().state == "ready")
    assert worker.room() == 2
    for number in range(2):
        attach(worker, tracker, number, may_wait=False)
    assert not worker.attach("c", number=2, params=PARAMS, run_id="r", may_wait=False)
    key = attach(worker, tracker, 3)
    assert worker.room() == -1
    until(lambda: len(worker.status().taken) == 2)
    assert worker.status().waiting == 1
    assert {slot.number for slot in worker.status().taken} == {0, 1}
    assert isinstance(worker.next_report(key, WAIT_S), StillWaiting)


def test_a_detached_trial_frees_its_slot_for_the_next(start: Start, tracker: MemoryTracker) -> None:
    worker = start(SLOW)
    keys = [attach(worker, tracker, number) for number in range(3)]
    until(lambda: len(worker.status().taken) == 2)
    worker.detach(keys[0])
    worker.detach("never seen")
    until(lambda: {slot.number for slot in worker.status().taken} == {1, 2})
    assert isinstance(worker.next_report(keys[0], WAIT_S), Dropped)


def test_the_status_shows_how_far_each_trial_is(start: Start, tracker: MemoryTracker) -> None:
    worker = start(RehearsalSettings(slots=2, tick_s=0.005, steps_per_epoch=1000))
    attach(worker, tracker, 7)
    until(lambda: any(slot.step >= 5 for slot in worker.status().taken))
    slot = worker.status().taken[0]
    assert (slot.number, slot.steps_total) == (7, 2000)
    assert slot.train_loss is not None
    assert slot.tokens_per_second is not None
    status = worker.status()
    assert 0 < status.busy_slot_seconds < status.slot_seconds
    assert status.load_seconds is not None


def test_a_diverging_trial_ends_alone(start: Start, tracker: MemoryTracker) -> None:
    worker = start()
    good, bad = attach(worker, tracker, 0), attach(worker, tracker, 1, learning_rate=0.1)
    assert reports(worker, bad) == [Diverged(key=bad, step=5, reason="train_loss is nan")]
    assert isinstance(reports(worker, good)[-1], Finished)


def test_impossible_parameters_are_the_trials_own_fault(start: Start, tracker: MemoryTracker) -> None:
    worker = start()
    bad = attach(worker, tracker, 0, rank=0)
    (report,) = reports(worker, bad)
    assert isinstance(report, Rejected)
    assert "`rank` must be a whole number" in report.reason


def test_a_base_model_that_does_not_load_is_told_to_everybody(start: Start, tracker: MemoryTracker) -> None:
    worker = start(RehearsalSettings(start_s=0.1, fails_to_start="there is no preset 'gemma9'"))
    key = attach(worker, tracker, 0)
    assert isinstance(reports(worker, key)[-1], Broken)
    status = worker.status()
    assert status.state == "broken"
    assert status.error == "RuntimeError: there is no preset 'gemma9'"
    assert status.load_seconds is None
    assert not worker.attach("b", number=1, params=PARAMS, run_id="r", may_wait=True)


def test_an_engine_that_breaks_leaves_nobody_hanging(start: Start, tracker: MemoryTracker) -> None:
    worker = start(RehearsalSettings(slots=1, tick_s=0.002, breaks_at_tick=3))
    training, waiting = attach(worker, tracker, 0), attach(worker, tracker, 1)
    for key in (training, waiting):
        report = reports(worker, key)[-1]
        assert isinstance(report, Broken)
        assert "break at tick 3" in report.reason


def test_a_tracker_that_cannot_be_built_is_told(start: Start) -> None:
    def factory() -> MemoryTracker:
        raise TrackingStoreError("The tracking store is no store.")

    worker = start(factory=factory)
    until(lambda: worker.status().state == "broken")
    assert worker.status().error == "The tracking store is no store."


def test_a_draining_worker_drops_the_line_and_trains_on(start: Start, tracker: MemoryTracker) -> None:
    worker = start(RehearsalSettings(slots=1, tick_s=0.01, steps_per_epoch=10))
    training, waiting = attach(worker, tracker, 0), attach(worker, tracker, 1)
    until(lambda: len(worker.status().taken) == 1)
    worker.drain()
    late = attach(worker, tracker, 2)
    assert isinstance(reports(worker, waiting)[-1], Dropped)
    assert isinstance(reports(worker, late)[-1], Dropped)
    assert isinstance(reports(worker, training)[-1], Finished)


def test_a_trial_that_nobody_asks_for_is_given_up(start: Start, tracker: MemoryTracker) -> None:
    worker = start(SLOW, lease_s=0.3)
    forgotten = attach(worker, tracker, 0)
    until(lambda: len(worker.status().taken) == 1)
    until(lambda: not worker.status().taken)
    assert isinstance(worker.next_report(forgotten, WAIT_S), Dropped)


class FaultyTracker:
    """A tracker that remembers, but for what it is told to fail at first."""

    def __init__(self, inner: MemoryTracker, errors: Mapping[str, Sequence[Exception]]) -> None:
        self._inner = inner
        self._errors = {name: list(given) for name, given in errors.items()}

    def __getattr__(self, name: str) -> Any:
        errors = self._errors.get(name)
        if errors:
            raise errors.pop(0)
        return getattr(self._inner, name)


def test_an_outage_of_the_tracking_store_is_waited_out(
    start: Start, tracker: MemoryTracker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sweeps.recorder.RETRY_S", 0.01)
    outage = [TrackingUnreachableError("The tracking store does not answer.")]
    faulty = FaultyTracker(tracker, {"log_adapter": outage * 2, "flush": outage})
    worker = start(factory=lambda: faulty)
    assert isinstance(reports(worker, attach(worker, tracker, 0))[-1], Finished)
    assert "adapters/epoch_0001/rehearsal.txt" in tracker.runs[run_id(tracker, 0)].files
    assert worker.status().warnings == ("The tracking store does not answer.",)


def test_refused_metrics_are_a_warning(start: Start, tracker: MemoryTracker) -> None:
    refusal = [MetricsRejectedError("The store refused 3 metrics.")]
    worker = start(factory=lambda: FaultyTracker(tracker, {"log_metrics": refusal}))
    assert isinstance(reports(worker, attach(worker, tracker, 0))[-1], Finished)
    assert worker.status().warnings == ("The store refused 3 metrics.",)


def test_an_adapter_that_cannot_be_stored_ends_its_trial_only(start: Start, tracker: MemoryTracker) -> None:
    worker = start(factory=lambda: FaultyTracker(tracker, {"log_adapter": [TrackingStoreError("The disk is full.")]}))
    first, second = attach(worker, tracker, 0), attach(worker, tracker, 1)
    ends = [reports(worker, first)[-1], reports(worker, second)[-1]]
    assert sorted(type(end).__name__ for end in ends) == ["Broken", "Finished"]
    broken = next(end for end in ends if isinstance(end, Broken))
    assert "The disk is full." in broken.reason
