"""What a worker writes to the tracker: metrics at once, adapters, samples and checkpoints behind the engine's back.

An outage of the tracking store is waited out: training goes on, writes are repeated until they are taken. What the
store refuses for good ends the sweep: nothing more is written, so that every trial can go on from a checkpoint that
lies before what is missing.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, final

from adapter_registry.errors import MetricsRejectedError, TrackingUnreachableError
from sweeps.sentences import sentence_of
from sweeps.workers.outbox import Outbox

if TYPE_CHECKING:
    from adapter_registry.runs.checkpoints import Checkpoints
    from adapter_registry.runs.system_metrics import SystemMetrics
    from adapter_registry.runs.tracking import Tracker
    from trainer.events import EpochEnded, Snapshot

TrackerFactory = Callable[[], "Tracker"]

KEPT_WARNINGS = 10
RETRY_S = 2.0


@final
class Recorder:
    """Writes the trials of one worker.

    Args:
        name: of the worker.
        factory: builds the tracker, in a thread of this process.
        sweep_run_id: where this machine's metrics go; None: they are not recorded.
    """

    def __init__(self, name: str, factory: TrackerFactory, sweep_run_id: str | None = None) -> None:
        self._name = name
        self._sweep_run_id = sweep_run_id
        self._system_metrics: SystemMetrics | None = None
        self._tracker: Tracker | None = None
        self._warnings: list[str] = []
        self._refusal: str | None = None
        self._again: set[str] = set()
        self._stored: dict[tuple[str, str], set[int]] = {}
        self._checkpoints: Checkpoints | None = None
        self._snapshots: dict[str, Snapshot] = {}
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._outbox = Outbox(f"{name}-outbox", prepare=lambda: self._build(factory))

    @property
    def warnings(self) -> tuple[str, ...]:
        """The last few things that went wrong without ending a trial."""
        return tuple(self._warnings)

    def wait_until_ready(self) -> None:
        """Wait for the tracker.

        Raises:
            Exception: what building it raised.
        """
        self._outbox.flush()

    def again(
        self,
        run_id: str,
        found: Callable[[bytes | None], None],
        failed: Callable[[str], None],
        checkpoint_run_id: str | None = None,
    ) -> None:
        """Prepare for a run that has been trained before; `found` hears its last checkpoint, or that there is none.

        Without one of its own it is that of `checkpoint_run_id`. What the run repeats from there on is stored already,
        and is not logged again.
        """

        def find() -> None:
            runs = [run_id] if checkpoint_run_id is None else [run_id, checkpoint_run_id]
            checkpoints = (self._ready_checkpoints.latest(each) for each in runs)
            found(next((each for each in checkpoints if each is not None), None))

        self._again.add(run_id)
        self._queue(find, failed)

    def metrics(self, run_id: str, metrics: Mapping[str, float], step: int) -> None:
        """Queue metrics; returns at once."""
        if run_id in self._again:
            self._queue(partial(self._log_new, run_id, metrics, step), self._refuse, urgent=True)
        else:
            self._log(run_id, metrics, step)

    def epoch(self, run_id: str, event: EpochEnded, failed: Callable[[str], None]) -> None:
        """Queue an epoch's adapter and samples; `failed` hears why they could not be stored."""

        def write() -> None:
            self._ready_tracker.log_adapter(run_id, event.epoch, event.adapter, step=event.step)
            if event.samples:
                self._ready_tracker.log_samples(run_id, event.epoch, event.samples)

        self._queue(write, failed)

    def checkpoint(self, run_id: str, snapshot: Snapshot, failed: Callable[[str], None]) -> None:
        """Queue a checkpoint, behind all metrics before it; in an outage the newest of a run is kept, the others go."""
        step = snapshot.step
        with self._lock:
            self._snapshots[run_id] = snapshot
        self._queue(partial(self._write_checkpoint, run_id, step), failed)

    def after_metrics(self, done: Callable[[], None], failed: Callable[[str], None]) -> None:
        """Call `done` when all metrics that were recorded before are stored; adapters and checkpoints may wait."""
        self._queue(partial(self._flush_and, done), failed, urgent=True)

    def after_everything(self, done: Callable[[], None], failed: Callable[[str], None]) -> None:
        """Call `done` when all that was recorded before is stored."""
        self._queue(partial(self._flush_and, done), failed)

    def close(self, timeout_s: float) -> None:
        """Write what waits, and let the tracker go."""
        self._closing.set()
        self._outbox.close(timeout_s)
        if self._system_metrics is not None:
            self._system_metrics.stop()
        if self._tracker is not None:
            self._tracker.close(timeout_s)

    @property
    def _ready_tracker(self) -> Tracker:
        if self._tracker is None:
            raise TrackingUnreachableError("The tracker is not built yet; wait_until_ready() comes first.")
        return self._tracker

    def _build(self, factory: TrackerFactory) -> None:
        from adapter_registry.runs.system_metrics import SystemMetrics

        self._tracker = factory()
        if self._sweep_run_id is not None:
            place = self._name.rsplit("-", 2)[-2:]  # the pool's names begin with a number of their own
            self._system_metrics = SystemMetrics(self._tracker, self._sweep_run_id, "-".join(place)).start()

    @property
    def _ready_checkpoints(self) -> Checkpoints:
        from adapter_registry.runs.checkpoints import Checkpoints

        if self._checkpoints is None:
            self._checkpoints = Checkpoints(self._ready_tracker)
        return self._checkpoints

    def _flush_and(self, done: Callable[[], None]) -> None:
        self._ready_tracker.flush()
        done()

    def _write_checkpoint(self, run_id: str, step: int) -> None:
        """In the outbox's thread. Metrics first: who goes on from here does not repeat them."""
        snapshot = self._snapshots.get(run_id)
        if snapshot is None or snapshot.step != step:
            return  # a newer one comes, behind the metrics that it needs
        self._ready_tracker.flush()
        self._ready_checkpoints.save(run_id, step, snapshot.to_bytes(), may_have_some=run_id in self._again)
        with self._lock:
            if self._snapshots[run_id] is snapshot:
                del self._snapshots[run_id]

    def _log(self, run_id: str, metrics: Mapping[str, float], step: int) -> None:
        try:
            self._ready_tracker.log_metrics(run_id, metrics, step)
        except MetricsRejectedError as error:
            self._refuse(sentence_of(error))

    def _log_new(self, run_id: str, metrics: Mapping[str, float], step: int) -> None:
        """In the outbox's thread: log what an earlier attempt did not get to store; a trial repeats itself exactly."""
        key = (run_id, min(metrics))
        if key not in self._stored:
            self._stored[key] = {at for at, _ in self._ready_tracker.history(*key)}
        if step not in self._stored[key]:
            self._stored[key].add(step)
            self._log(run_id, metrics, step)

    def _warn(self, error: Exception) -> None:
        text = sentence_of(error)
        if text not in self._warnings[-1:]:
            self._warnings = [*self._warnings, text][-KEPT_WARNINGS:]

    def _queue(self, write: Callable[[], None], failed: Callable[[str], None], *, urgent: bool = False) -> None:
        self._outbox.put(partial(self._insist, write, failed), urgent=urgent)

    def _insist(self, write: Callable[[], None], failed: Callable[[str], None]) -> None:
        """In the outbox's thread: write until it is taken or refused; after a refusal, write nothing."""
        while self._refusal is None:
            try:
                write()
            except TrackingUnreachableError as error:
                self._warn(error)
                if self._closing.wait(RETRY_S):
                    failed(sentence_of(error))
                    return
            except Exception as error:
                self._refuse(sentence_of(error))
            else:
                return
        failed(self._refusal)

    def _refuse(self, why: str) -> None:
        self._refusal = self._refusal or why
