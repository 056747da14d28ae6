"""A worker: the process that owns one accelerator, one engine and its slots. Run as a Ray actor by `sweeps.pool`.

One thread drives the engine. Trials stand in line until a slot is free and take it between two ticks, so a freed
slot is refilled without asking anybody. Metrics and adapters go to the tracker from here, where they are born; a
trial's own process only hears of its evaluations and of its end.
"""

from __future__ import annotations

import os
import queue
import threading
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, final

from sweeps.progress import SlotStatus, WorkerState, WorkerStatus
from sweeps.recorder import Recorder, TrackerFactory
from sweeps.reports import Broken, Dropped, Rejected, Report, StillWaiting
from sweeps.sentences import sentence_of
from trainer.config import TrialConfig
from trainer.errors import TrainerError
from trainer.events import Diverged, EpochEnded, Evaluated, Event, Finished, Progress

if TYPE_CHECKING:
    from sweeps.engine import Engine, EngineFactory

LEASE_S = 120.0
LINE_S = 2.0
IDLE_S = 1.0
NO_ROOM = -(10**6)


@dataclass
class _Tenant:
    """A trial in this worker: in line, in a slot, or ended with reports that are not fetched yet."""

    key: str
    number: int
    run_id: str
    checkpoint: bytes | None = None
    config: TrialConfig = field(default_factory=TrialConfig)
    reports: queue.SimpleQueue[Report | Broken] = field(default_factory=queue.SimpleQueue)
    asked_at: float = field(default_factory=time.monotonic)
    in_line: bool = False
    in_slot: bool = False
    progress: Progress | None = None


@final
class Worker:
    """Trains trials in slots.

    Args:
        name: of this worker, unique in the sweep.
        engine_factory: builds the engine, in this process.
        tracker_factory: builds the tracker, in this process.
        sweep_run_id: where this machine's metrics go; None: they are not recorded.
        lease_s: a trial whose process has not asked for a report for so long is given up.
    """

    def __init__(
        self,
        name: str,
        engine_factory: EngineFactory,
        tracker_factory: TrackerFactory,
        *,
        sweep_run_id: str | None = None,
        lease_s: float = LEASE_S,
    ) -> None:
        self._name = name
        self._lease_s = lease_s
        self._changed = threading.Condition()
        self._tenants: dict[str, _Tenant] = {}
        self._line: deque[str] = deque()
        self._leaving: set[str] = set()
        self._state: WorkerState = "loading"
        self._error = ""
        self._draining = self._closing = False
        self._slots = self._taken = self._ticks = 0
        self._load_seconds: float | None = None
        self._base_metrics: Mapping[str, float] = {}
        self._slot_seconds = self._busy_slot_seconds = 0.0
        self._recorder = Recorder(name, tracker_factory, sweep_run_id)
        self._thread = threading.Thread(target=self._run, args=(engine_factory,), name=f"{name}-engine", daemon=True)
        self._thread.start()

    # ------------------------------------------------------------------------------ called by trials and by the pool

    def attach(
        self,
        key: str,
        *,
        number: int,
        params: Mapping[str, Any],
        run_id: str,
        may_wait: bool,
        again: bool = False,
        checkpoint: bytes | None = None,
    ) -> bool:
        """Let a trial train here; False when all slots are spoken for and it may not wait in line.

        `again` says that it was trained before, at least in part. A mistake in its parameters is told by its first
        report, as is anything else that happens to it.
        """
        with self._changed:
            if self._state == "broken" or self._closing or not (may_wait or self._room() > 0):
                return False
            tenant = self._tenants[key] = _Tenant(key, number, run_id, checkpoint)
            try:
                tenant.config = TrialConfig.from_params(params)
            except TrainerError as error:
                self._end(tenant, Rejected(key=key, reason=str(error)))
                return True
            if self._draining:
                self._end(tenant, Dropped(key=key))
                return True
            if again:
                self._recorder.again(run_id)
            tenant.in_line = True
            self._line.append(key)
            self._changed.notify_all()
            return True

    def room(self) -> int:
        """Free slots that nobody stands in line for; negative: how long the line is."""
        with self._changed:
            return self._room()

    def next_report(self, key: str, timeout_s: float) -> Report | Broken | StillWaiting | None:
        """Wait for a trial's next report; None when there is none yet."""
        tenant = self._tenants.get(key)
        if tenant is None:
            return Dropped(key=key)
        tenant.asked_at = time.monotonic()
        try:
            return tenant.reports.get(timeout=min(timeout_s, LINE_S) if tenant.in_line else timeout_s)
        except queue.Empty:
            return StillWaiting(key=key) if tenant.in_line else None
        finally:
            tenant.asked_at = time.monotonic()

    def detach(self, key: str) -> None:
        """Give up a trial; its slot is free after the current tick. An unknown key is no error."""
        with self._changed:
            tenant = self._tenants.pop(key, None)
            if tenant is not None:
                self._end(tenant, Dropped(key=key))

    def status(self) -> WorkerStatus:
        """Tell how the worker is doing."""
        with self._changed:
            return WorkerStatus(
                worker=self._name,
                state=self._state,
                slots=self._slots,
                taken=tuple(_slot_status(t) for t in self._tenants.values() if t.in_slot),
                waiting=len(self._line),
                ticks=self._ticks,
                load_seconds=self._load_seconds,
                slot_seconds=self._slot_seconds,
                busy_slot_seconds=self._busy_slot_seconds,
                error=self._error,
                warnings=self._recorder.warnings,
                base_metrics=self._base_metrics,
                pid=os.getpid(),
            )

    def drain(self) -> None:
        """Begin no more trials: those in line are dropped, and so are those that still come."""
        with self._changed:
            self._draining = True
            for key in list(self._line):
                self._end(self._tenants[key], Dropped(key=key))

    def close(self, timeout_s: float = 60.0) -> None:
        """Stop training, and write what is still to be written."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self._thread.join(timeout_s)
        self._recorder.close(timeout_s)

    # ------------------------------------------------------------------------------------------ the engine's thread

    def _run(self, engine_factory: EngineFactory) -> None:
        began = time.monotonic()
        try:
            engine = engine_factory()
            self._recorder.wait_until_ready()  # it was built meanwhile
            with self._changed:
                self._slots, self._base_metrics = engine.slots, engine.base_metrics
                self._load_seconds = time.monotonic() - began
                self._state = "ready"
            self._train(engine)
        except BaseException as error:
            self._break(error)

    def _train(self, engine: Engine) -> None:
        last = time.monotonic()
        while not self._closing:
            self._admit(engine)
            if self._taken:
                events = engine.tick()
                self._ticks += 1
            else:
                events = []
                with self._changed:
                    self._changed.wait_for(lambda: self._line or self._leaving or self._closing, IDLE_S)
            now = time.monotonic()
            self._slot_seconds += (now - last) * self._slots
            self._busy_slot_seconds += (now - last) * self._taken
            last = now
            for event in events:
                self._handle(event)

    def _admit(self, engine: Engine) -> None:
        """Between two ticks: free the slots of those who left, and let the line in."""
        with self._changed:
            self._give_up_the_silent()
            for key in self._leaving:
                engine.leave(key)
            self._leaving.clear()
            while self._line and engine.free_slots > 0:
                self._join(engine, self._tenants[self._line.popleft()])
            self._taken = self._slots - engine.free_slots

    def _join(self, engine: Engine, tenant: _Tenant) -> None:
        tenant.in_line = False
        try:
            engine.join(tenant.key, tenant.config, tenant.checkpoint)
        except TrainerError as error:
            self._end(tenant, Rejected(key=tenant.key, reason=str(error)))
        else:
            tenant.in_slot = True

    def _give_up_the_silent(self) -> None:
        deadline = time.monotonic() - self._lease_s
        for tenant in [t for t in self._tenants.values() if t.asked_at < deadline]:
            del self._tenants[tenant.key]
            self._end(tenant, Dropped(key=tenant.key))

    def _handle(self, event: Event) -> None:
        with self._changed:
            tenant = self._tenants.get(event.key)
            if tenant is None or not tenant.in_slot:
                return  # it left during the tick
            if isinstance(event, Finished | Diverged):
                tenant.in_slot = False  # the engine has freed it
        if isinstance(event, Progress | Evaluated):
            self._recorder.metrics(tenant.run_id, event.metrics, event.step)
        if isinstance(event, Progress):
            tenant.progress = event
        elif isinstance(event, Evaluated):
            tenant.reports.put(event)
        elif isinstance(event, EpochEnded):
            self._recorder.epoch(tenant.run_id, event, lambda why: self._fail_to_store(tenant, why))
        elif isinstance(event, Finished | Diverged):
            # Told only after all that the trial left behind is stored: what the ledger calls complete is in MLflow.
            self._recorder.after_everything(
                lambda: tenant.reports.put(event), lambda why: self._fail_to_store(tenant, why)
            )

    # ------------------------------------------------------------------------------------------------------ private

    def _room(self) -> int:
        if self._state == "broken":
            return NO_ROOM
        return self._slots - sum(t.in_slot or t.in_line for t in self._tenants.values())

    def _fail_to_store(self, tenant: _Tenant, why: str) -> None:
        with self._changed:
            self._end(tenant, Broken(key=tenant.key, reason=f"its adapter or metrics could not be stored: {why}"))

    def _end(self, tenant: _Tenant, report: Report | Broken) -> None:
        """Send a trial its last report and take it out of line or slot; the lock is held."""
        if tenant.in_line and tenant.key in self._line:
            self._line.remove(tenant.key)
        if tenant.in_slot:
            self._leaving.add(tenant.key)
        tenant.in_line = tenant.in_slot = False
        tenant.reports.put(report)
        self._changed.notify_all()

    def _break(self, error: BaseException) -> None:
        with self._changed:
            self._state, self._error = "broken", sentence_of(error)
            for tenant in self._tenants.values():
                self._end(tenant, Broken(key=tenant.key, reason=f"its worker broke: {self._error}"))


def _slot_status(tenant: _Tenant) -> SlotStatus:
    seen = tenant.progress
    metrics = seen.metrics if seen is not None else {}
    return SlotStatus(
        key=tenant.key,
        number=tenant.number,
        step=seen.step if seen is not None else 0,
        steps_total=seen.steps_total if seen is not None else None,
        epoch=seen.epoch if seen is not None else 0.0,
        train_loss=metrics.get("train_loss"),
        tokens_per_second=metrics.get("tokens_per_second"),
    )
