"""A worker in this process, with the rehearsal engine and a tracker that remembers."""

from __future__ import annotations

import functools
import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest

from adapter_registry.errors import MetricsRejectedError, TrackingStoreError, TrackingUnreachableError
from adapter_registry.runs.checkpoints import Checkpoints
from adapter_registry.runs.memory_tracker import MemoryTracker
from sweeps.ledger.outages import OUTAGE_S
from sweeps.workers.engine import Engine, EngineFactory
from sweeps.workers.rehearsal import RehearsalEngine, RehearsalSettings
from sweeps.workers.reports import Dropped, Lost, Rejected, Scored, StillWaiting, Unstorable
from sweeps.workers.tenancy import Tenancy, Tenant
from sweeps.workers.worker import LEASE_S, Worker
from tests import services
from trainer.config import TrialConfig
from trainer.events import Diverged, Evaluated, Event, Finished

QUICK = RehearsalSettings(tick_s=0.002, steps_per_epoch=10)
UNHURRIED = RehearsalSettings(tick_s=1.0, steps_per_epoch=2)
SLOW = RehearsalSettings(tick_s=0.05, steps_per_epoch=10_000)
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
        workers.append(Worker("w", settings, factory, **{"slots": 2, **options}))
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


def attach_again(worker: Worker, tracker: MemoryTracker, number: int) -> Worker:
    run = run_id(tracker, number)
    assert worker.attach(f"{number}-again", number=number, params=PARAMS, run_id=run, may_wait=True, again=True)
    return worker


def kept(tracker: MemoryTracker, number: int) -> Any:
    """The newest checkpoint of a trial."""
    return Checkpoints(tracker).latest(run_id(tracker, number))


def next_report(worker: Worker, key: str) -> Any:
    """The next report of a trial; one that stands in line hears nothing, or that it waits, from time to time."""
    deadline = time.monotonic() + WAIT_S
    while (report := worker.next_report(key, WAIT_S)) is None or isinstance(report, StillWaiting):
        assert time.monotonic() < deadline
    return report


def reports(worker: Worker, key: str) -> list[Any]:
    """All reports of a trial up to its last."""
    seen: list[Any] = []
    while not seen or isinstance(seen[-1], Scored):
        seen.append(next_report(worker, key))
    return seen


def loaded_after(event: threading.Event, factory: EngineFactory) -> EngineFactory:
    """An engine factory whose base model is not there before the event."""

    def load(*, slots: int) -> Engine:
        event.wait(WAIT_S)
        return factory(slots=slots)

    return load


until = functools.partial(services.until, timeout_s=WAIT_S, what="what the test waits for", pause_s=0.005)


def test_a_trial_begins_from_the_checkpoint_of_the_one_that_it_continues(start: Start, tracker: MemoryTracker) -> None:
    """What that one had reported is reported, and logged to the new run; what it had trained is not trained again."""
    worker = start()
    reports(worker, attach(worker, tracker, 0))
    first, second = run_id(tracker, 0), run_id(tracker, 1)
    longer = PARAMS | {"epochs": 3}
    assert worker.attach("on", number=1, params=longer, run_id=second, may_wait=True, checkpoint_run_id=first)
    *scored, finished = reports(worker, "on")
    assert [report.event.evaluation for report in scored] == [1, 2, 3]
    assert finished == Finished(key=finished.key, step=30)
    assert [step for step, _ in tracker.runs[second].metrics["val_loss"]] == [10, 20, 30]
    assert [step for step, _ in tracker.runs[second].metrics["train_loss"]] == [25, 30]


def test_its_own_checkpoint_comes_before_that_of_the_trial_it_continues(start: Start, tracker: MemoryTracker) -> None:
    worker = start()
    reports(worker, attach(worker, tracker, 0))
    first, second = run_id(tracker, 0), run_id(tracker, 1)
    Checkpoints(tracker).save(second, 25, b'[25, "its own"]')
    longer = PARAMS | {"epochs": 3}
    assert worker.attach("on", number=1, params=longer, run_id=second, may_wait=True, checkpoint_run_id=first)
    reports(worker, "on")
    assert [step for step, _ in tracker.runs[second].metrics["train_loss"]] == [30]


def test_a_trial_reports_its_evaluations_and_its_end(start: Start, tracker: MemoryTracker) -> None:
    worker = start()
    key = attach(worker, tracker, 0)
    evaluated, again, finished = reports(worker, key)
    assert (evaluated.event.evaluation, again.event.evaluation, again.event.evaluations_total) == (1, 2, 2)
    assert finished == Finished(key=finished.key, step=20)


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
    assert isinstance(worker.next_report(keys[0], WAIT_S), Lost)


def test_the_status_shows_how_far_each_trial_is(start: Start, tracker: MemoryTracker) -> None:
    worker = start(RehearsalSettings(tick_s=0.005, steps_per_epoch=1000))
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
    (end,) = reports(worker, bad)
    assert end == Diverged(key=end.key, step=5, reason="train_loss is nan")
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
    (lost,) = reports(worker, key)
    assert isinstance(lost, Lost)
    assert lost.preempted, "it is nobody's failure"
    status = worker.status()
    assert status.state == "broken"
    assert status.error == "RuntimeError: there is no preset 'gemma9'"
    assert status.load_seconds is None
    assert not worker.attach("b", number=1, params=PARAMS, run_id="r", may_wait=True)


def test_an_engine_that_breaks_leaves_nobody_hanging(start: Start, tracker: MemoryTracker) -> None:
    worker = start(RehearsalSettings(tick_s=0.002, breaks_at_tick=3), slots=1)
    training, waiting = attach(worker, tracker, 0), attach(worker, tracker, 1)
    for key in (training, waiting):
        report = reports(worker, key)[-1]
        assert isinstance(report, Lost)
        assert "break at tick 3" in report.reason
        assert not worker.status().vacant
        worker.detach(key)
    assert worker.status().vacant


def test_a_tracker_that_cannot_be_built_is_told(start: Start) -> None:
    def factory() -> MemoryTracker:
        raise TrackingStoreError("The tracking store is no store.")

    worker = start(factory=factory)
    until(lambda: worker.status().state == "broken")
    assert worker.status().error == "The tracking store is no store."


def test_a_draining_worker_drops_everybody_and_keeps_how_far_they_are(start: Start, tracker: MemoryTracker) -> None:
    worker = start(RehearsalSettings(tick_s=0.01, steps_per_epoch=10_000), slots=1)
    training, waiting = attach(worker, tracker, 0), attach(worker, tracker, 1)
    until(lambda: any(slot.step >= 5 for slot in worker.status().taken))
    worker.drain()
    late = attach(worker, tracker, 2)
    for key in (training, waiting, late):
        assert [type(report) for report in reports(worker, key)] == [Dropped]
    assert worker.status().taken == ()
    step, _ = json.loads(kept(tracker, 0))
    assert step >= 5
    assert kept(tracker, 1) is None


def test_a_worker_that_is_given_back_sends_its_trials_to_others_with_a_checkpoint(
    start: Start, tracker: MemoryTracker
) -> None:
    worker = start(RehearsalSettings(tick_s=0.01, steps_per_epoch=10_000), slots=1)
    training, waiting = attach(worker, tracker, 0), attach(worker, tracker, 1)
    until(lambda: any(slot.step >= 5 for slot in worker.status().taken))
    worker.vacate()
    for key in (training, waiting):
        (report,) = reports(worker, key)
        assert isinstance(report, Lost)
        assert report.preempted, "it is nobody's failure"
        assert not worker.status().vacant
        worker.detach(key)
    until(lambda: worker.status().vacant)
    assert json.loads(kept(tracker, 0))[0] >= 5
    run = run_id(tracker, 2)
    assert not worker.attach("2-key", number=2, params=PARAMS, run_id=run, may_wait=True)
    assert worker.room() < 0


def test_a_trial_goes_on_from_its_checkpoint_as_if_it_had_never_stopped(start: Start, tracker: MemoryTracker) -> None:
    """The chain of digests in the last adapter has a link for every step; evaluations from before are told again."""
    undisturbed = start()
    whole = reports(undisturbed, attach(undisturbed, tracker, 1))
    first = start(replace(QUICK, tick_s=0.02))
    key = attach(first, tracker, 0)
    assert isinstance(first.next_report(key, WAIT_S), Scored)
    first.drain()
    assert isinstance(reports(first, key)[-1], Dropped)
    assert 10 <= json.loads(kept(tracker, 0))[0] < 20
    again = reports(attach_again(second := start(), tracker, 0), "0-again")
    assert second.status().ticks <= 11
    assert [report.event.evaluation for report in again[:-1]] == [1, 2]
    assert [r.event.metrics for r in again[:-1]] == [r.event.metrics for r in whole[:-1]]
    runs = [tracker.runs[run_id(tracker, number)] for number in (0, 1)]
    assert runs[0].files["adapters/epoch_0002/rehearsal.txt"] == runs[1].files["adapters/epoch_0002/rehearsal.txt"]
    for metric in ("val_loss", "train_loss"):
        assert runs[0].metrics[metric] == runs[1].metrics[metric]


def test_checkpoints_are_also_taken_by_the_clock(start: Start, tracker: MemoryTracker) -> None:
    worker = start(SLOW, checkpoint_s=0.2)
    attach(worker, tracker, 0)
    until(lambda: kept(tracker, 0) is not None)
    before = json.loads(kept(tracker, 0))[0]
    until(lambda: json.loads(kept(tracker, 0))[0] > before)
    assert len([name for name in tracker.runs[run_id(tracker, 0)].files if name.endswith("state.npz")]) == 2


def test_a_damaged_checkpoint_is_passed_over_for_the_one_before(start: Start, tracker: MemoryTracker) -> None:
    run = run_id(tracker, 0)
    checkpoints = Checkpoints(tracker)
    checkpoints.save(run, 5, b'[5, "five"]')
    checkpoints.save(run, 6, b'[6, "six"]')
    assert Checkpoints(tracker).latest(run) == b'[6, "six"]'
    tracker.log_file(run, "checkpoints/2/state.npz", b'[6, "si')
    assert Checkpoints(tracker).latest(run) == b'[5, "five"]'
    reader = Checkpoints(tracker)
    reader.latest(run)
    reader.save(run, 7, b'[7, "seven"]')
    assert tracker.read_file(run, "checkpoints/1/state.npz") == b'[5, "five"]'
    assert Checkpoints(tracker).latest(run) == b'[7, "seven"]'


def test_the_next_process_of_a_trial_takes_its_seat(start: Start, tracker: MemoryTracker) -> None:
    """Tune starts a new process where one was killed: the trial has trained on, and nothing it told is lost."""
    worker = start(replace(QUICK, tick_s=0.01))
    first = attach(worker, tracker, 0)
    heard = worker.next_report(first, WAIT_S)
    assert isinstance(heard, Scored)
    assert worker.room(0) > worker.room(1)
    assert worker.attach("second", number=0, params=PARAMS, run_id=run_id(tracker, 0), may_wait=True, again=True)
    worker.detach(first)
    assert isinstance(worker.next_report(first, WAIT_S), Lost)
    told = reports(worker, "second")
    assert told[0] == heard
    assert [type(report) for report in told] == [Scored, Scored, Finished]
    assert worker.status().ticks < 30
    assert [step for step, _ in tracker.runs[run_id(tracker, 0)].metrics["val_loss"]] == [10, 20]


def test_trials_of_one_moment_are_told_together(start: Start, tracker: MemoryTracker) -> None:
    worker = start()
    first, second = attach(worker, tracker, 0), attach(worker, tracker, 1, rank=2)
    one, other = reports(worker, first)[0], reports(worker, second)[0]
    assert one.together[0] == one.event
    assert one.together == other.together or set(one.together) == {0}  # the second may have joined a tick later


def test_too_little_memory_is_told_with_the_number_of_slots(start: Start, tracker: MemoryTracker) -> None:
    worker = start(replace(QUICK, memory_slots=1))
    report = reports(worker, attach(worker, tracker, 0))[-1]
    assert isinstance(report, Lost)
    assert report.out_of_memory == 2
    assert "out of memory with 2 slots" in report.reason
    assert worker.status().out_of_memory


@pytest.mark.parametrize("slots", [1, 2])
def test_want_of_memory_is_no_fault_of_those_in_line(start: Start, tracker: MemoryTracker, slots: int) -> None:
    """They may fit, and with one slot who trained is failed."""
    attached = threading.Event()
    worker = start(loaded_after(attached, replace(QUICK, memory_slots=0)), slots=slots)
    training = [attach(worker, tracker, number) for number in range(slots)]
    waiting = attach(worker, tracker, slots)
    attached.set()
    for key in training:
        (lost,) = reports(worker, key)
        assert (lost.out_of_memory, lost.preempted) == (slots, False)
    (lost,) = reports(worker, waiting)
    assert (lost.out_of_memory, lost.preempted) == (0, True)
    assert worker.status().out_of_memory


class FullEngine(RehearsalEngine):
    """It has no memory for a trial's first values."""

    def join(self, key: str, config: TrialConfig, checkpoint: bytes | None = None) -> tuple[Evaluated, ...]:
        raise MemoryError(f"out of memory with {self.slots} slots")


def test_a_trial_that_does_not_even_begin_for_want_of_memory_is_told_so(start: Start, tracker: MemoryTracker) -> None:
    attached = threading.Event()
    worker = start(loaded_after(attached, lambda *, slots: FullEngine(QUICK, slots)), slots=1)
    first, waiting = attach(worker, tracker, 0), attach(worker, tracker, 1)
    attached.set()
    assert [report.out_of_memory for key in (first, waiting) for report in reports(worker, key)] == [1, 0]


def test_a_trial_that_nobody_asks_for_is_given_up_and_goes_on_when_somebody_does(
    start: Start, tracker: MemoryTracker
) -> None:
    worker = start(replace(SLOW, steps_per_epoch=100), lease_s=1.0, checkpoint_s=0.0)
    forgotten = attach(worker, tracker, 0)
    until(lambda: len(worker.status().taken) == 1)
    until(lambda: not worker.status().taken)
    lost = worker.next_report(forgotten, WAIT_S)
    assert isinstance(lost, Lost)
    assert lost.preempted, "it is nobody's failure"
    worker.close()
    step, _ = json.loads(kept(tracker, 0))
    second = attach_again(start(replace(QUICK, steps_per_epoch=100)), tracker, 0)
    assert isinstance(reports(second, "0-again")[-1], Finished)
    assert second.status().ticks <= 201 - step
    assert step > 0


def test_a_trial_is_kept_while_the_driver_waits_for_one_store_after_the_other() -> None:
    tenancy = Tenancy()
    for number, silent_s in enumerate((2 * OUTAGE_S, 2 * LEASE_S)):
        tenant = Tenant(f"{number}-key", f"{number}-seat", number, "run", asked_at=time.monotonic() - silent_s)
        tenancy.add(tenant)
    with tenancy.changed:
        tenancy.forget_the_silent(LEASE_S)
    assert tenancy.of(0) is not None
    assert tenancy.of(1) is None


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


class HeldUpTracker(FaultyTracker):
    """A tracker that remembers, and stores a run's adapters once its gate is open."""

    def __init__(self, inner: MemoryTracker, gates: Mapping[str, threading.Event]) -> None:
        super().__init__(inner, {})
        self._gates = gates

    def log_adapter(self, run_id: str, *args: Any, **options: Any) -> None:
        self._gates[run_id].wait(WAIT_S)
        self._inner.log_adapter(run_id, *args, **options)


def test_an_outage_of_the_tracking_store_is_waited_out(
    start: Start, tracker: MemoryTracker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sweeps.workers.recorder.RETRY_S", 0.01)
    outage = [TrackingUnreachableError("The tracking store does not answer.")]
    faulty = FaultyTracker(tracker, {"log_adapter": outage * 2, "flush": outage})
    worker = start(factory=lambda: faulty)
    assert isinstance(reports(worker, attach(worker, tracker, 0))[-1], Finished)
    assert "adapters/epoch_0001/rehearsal.txt" in tracker.runs[run_id(tracker, 0)].files
    assert worker.status().warnings == ("The tracking store does not answer.",)


def test_refused_metrics_end_the_trial_before_a_checkpoint_hides_them(start: Start, tracker: MemoryTracker) -> None:
    """Who goes on with it measures them again."""
    refusal = [MetricsRejectedError("The store refused 3 metrics.")]
    worker = start(factory=lambda: FaultyTracker(tracker, {"log_metrics": refusal}))
    end = reports(worker, attach(worker, tracker, 0))[-1]
    assert end == Unstorable(key=end.key, reason="The store refused 3 metrics.")
    assert kept(tracker, 0) is None
    again = start()
    assert isinstance(reports(attach_again(again, tracker, 0), "0-again")[-1], Finished)
    assert [step for step, _ in tracker.history(run_id(tracker, 0), "train_loss")] == [5, 10, 15, 20]


@pytest.mark.parametrize("what", ["log_adapter", "log_file", "flush"])
def test_what_cannot_be_stored_is_told(start: Start, tracker: MemoryTracker, what: str) -> None:
    worker = start(factory=lambda: FaultyTracker(tracker, {what: [TrackingStoreError("The disk is full.")]}))
    end = reports(worker, attach(worker, tracker, 0))[-1]
    assert end == Unstorable(key=end.key, reason="The disk is full.")


def test_who_is_stopped_after_an_evaluation_trains_no_step_more(start: Start, tracker: MemoryTracker) -> None:
    worker = start(UNHURRIED)
    key = attach(worker, tracker, 0)
    assert isinstance(next_report(worker, key), Scored)
    worker.let_go(0)
    until(lambda: not worker.status().taken)
    key = attach(worker, tracker, 1, epochs=1)  # by its end, one that was under way would be counted
    assert isinstance(reports(worker, key)[-1], Finished)
    assert worker.status().ticks == 2 + 3


class StillEvaluating(RehearsalEngine):
    """It always has others to evaluate."""

    @property
    def evaluation_due(self) -> bool:
        return True


def test_while_others_are_to_be_evaluated_nobody_is_waited_for(start: Start, tracker: MemoryTracker) -> None:
    worker = start(lambda *, slots: StillEvaluating(UNHURRIED, slots))
    assert isinstance(next_report(worker, attach(worker, tracker, 0)), Scored)
    worker.let_go(0)
    assert isinstance(reports(worker, attach(worker, tracker, 1, epochs=1))[-1], Finished)
    assert worker.status().ticks == 2 + 1 + 3  # the next tick was under way when it was stopped


class InBatches(RehearsalEngine):
    """It tells of an evaluation after two batches more, which take no time."""

    def __init__(self, settings: RehearsalSettings, slots: int) -> None:
        super().__init__(settings, slots)
        self._to_come: list[list[Event]] = []

    @property
    def evaluation_due(self) -> bool:
        return bool(self._to_come)

    def tick(self) -> list[Event]:
        if not self._to_come:
            events = super().tick()
            if not any(isinstance(event, Evaluated) for event in events):
                return events
            self._to_come = [[], [], events]
        return self._to_come.pop(0)


def test_a_batch_of_an_evaluation_is_not_taken_for_a_step(start: Start, tracker: MemoryTracker) -> None:
    """Or nobody would be waited for after it: it is much shorter."""
    worker = start(lambda *, slots: InBatches(UNHURRIED, slots))
    assert isinstance(next_report(worker, attach(worker, tracker, 0)), Scored)
    worker.let_go(0)
    until(lambda: not worker.status().taken)
    assert isinstance(reports(worker, attach(worker, tracker, 1, epochs=1))[-1], Finished)
    assert worker.status().ticks == (2 + 2) + (3 + 2)


def test_who_takes_a_slot_that_an_end_has_freed_keeps_step_with_its_neighbours(
    start: Start, tracker: MemoryTracker
) -> None:
    both = threading.Event()
    worker = start(loaded_after(both, UNHURRIED))
    with ThreadPoolExecutor() as processes:
        short, long = (attach(worker, tracker, number, epochs=number + 1) for number in range(2))
        both.set()
        ends = [processes.submit(reports, worker, long)]
        assert isinstance(reports(worker, short)[-1], Finished)
        ends.append(processes.submit(reports, worker, attach(worker, tracker, 2, epochs=1)))
        assert all(isinstance(end.result()[-1], Finished) for end in ends)
    assert worker.status().ticks == 3 + 3


def test_an_evaluation_is_told_before_other_trials_adapters_are_stored_and_an_end_after_its_own(
    start: Start, tracker: MemoryTracker
) -> None:
    gates = {run_id(tracker, number): threading.Event() for number in range(2)}
    worker = start(factory=lambda: HeldUpTracker(tracker, gates))
    first, second = (attach(worker, tracker, number, epochs=1) for number in range(2))
    until(lambda: worker.status().ticks >= QUICK.steps_per_epoch and worker.room() == 2)
    gates[run_id(tracker, 0)].set()
    assert isinstance(worker.next_report(first, WAIT_S), Scored)
    assert isinstance(worker.next_report(second, WAIT_S), Scored)
    assert worker.next_report(second, 0.1) is None
    gates[run_id(tracker, 1)].set()
    assert isinstance(worker.next_report(second, WAIT_S), Finished)


def test_checkpoints_are_looked_for_only_where_there_may_be_some(start: Start, tracker: MemoryTracker) -> None:
    read: list[str] = []

    class Watched(FaultyTracker):
        def read_file(self, run_id: str, path: str) -> bytes | None:
            read.append(path)
            return tracker.read_file(run_id, path)

    worker = start(factory=lambda: Watched(tracker, {}))
    reports(worker, attach(worker, tracker, 0))
    assert not [path for path in read if path.startswith("checkpoints")]
    assert json.loads(kept(tracker, 0))[0] == 20
    reports(attach_again(start(factory=lambda: Watched(tracker, {})), tracker, 0), "0-again")
    assert [path for path in read if path.startswith("checkpoints")]


def test_slots_that_nobody_takes_are_waited_for_once() -> None:
    tenancy, looks = Tenancy(), 0

    def waits(timeout_s: float) -> bool:
        """Whether the wait lasts as long as it may."""
        nonlocal looks
        looks = 0

        def look() -> bool:
            nonlocal looks
            looks += 1
            return False

        with tenancy.changed:
            tenancy.wait_until_settled(2, timeout_s, look)
        return looks > 1  # once more when the time is up

    def let_in(number: int) -> Tenant:
        tenant = Tenant(f"{number}-key", f"{number}-seat", number, "run")
        with tenancy.changed:
            tenancy.add(tenant)
            tenancy.line_up(tenant)
            assert tenancy.step_up() is tenant
        return tenant

    one = let_in(0)
    assert waits(0.01)
    assert not waits(0.01)
    one.scored = 1  # and nobody has asked for what comes after
    assert waits(0.01)
    one.judged = 1
    other = let_in(1)
    assert not waits(0.01)
    with tenancy.changed:
        tenancy.end(other, Dropped(key=other.key))
    assert waits(0.01)
