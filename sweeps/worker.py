"""A worker: the process that owns one accelerator, one engine and its slots. Run as a Ray actor by `sweeps.pool`.

One thread drives the engine. Trials stand in line until a slot is free and take it between two ticks, so a freed
slot is refilled without asking anybody. Metrics and adapters go to the tracker from here, where they are born; a
trial's own process only hears of its evaluations and of its end.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, final

from sweeps.progress import WorkerState, WorkerStatus
from sweeps.recorder import Recorder, TrackerFactory
from sweeps.reports import Broken, Dropped, Rejected, Report, StillWaiting
from sweeps.sentences import sentence_of
from sweeps.tenancy import Tenancy, Tenant
from trainer.config import TrialConfig
from trainer.errors import TrainerError
from trainer.events import Diverged, EpochEnded, Evaluated, Event, Finished, Progress

if TYPE_CHECKING:
    from sweeps.engine import Engine, EngineFactory

LEASE_S = 120.0
IDLE_S = 1.0
NO_ROOM = -(10**6)


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
        self._tenancy = Tenancy()
        self._changed = self._tenancy.changed
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
            tenant = Tenant(key, number, run_id, checkpoint)
            self._tenancy.add(tenant)
            try:
                tenant.config = TrialConfig.from_params(params)
            except TrainerError as error:
                self._tenancy.end(tenant, Rejected(key=key, reason=str(error)))
                return True
            if self._draining:
                self._tenancy.end(tenant, Dropped(key=key))
                return True
            if again:
                self._recorder.again(run_id)
            self._tenancy.line_up(tenant)
            return True

    def room(self) -> int:
        """Free slots that nobody stands in line for; negative: how long the line is."""
        with self._changed:
            return self._room()

    def next_report(self, key: str, timeout_s: float) -> Report | Broken | StillWaiting | None:
        """Wait for a trial's next report; None when there is none yet."""
        tenant = self._tenancy.get(key)
        return Dropped(key=key) if tenant is None else tenant.next_report(timeout_s)

    def detach(self, key: str) -> None:
        """Give up a trial; its slot is free after the current tick. An unknown key is no error."""
        with self._changed:
            self._tenancy.forget(key)

    def status(self) -> WorkerStatus:
        """Tell how the worker is doing."""
        with self._changed:
            return WorkerStatus(
                worker=self._name,
                state=self._state,
                slots=self._slots,
                taken=tuple(tenant.slot_status for tenant in self._tenancy.in_slots),
                waiting=self._tenancy.waiting,
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
            self._tenancy.drop_the_line()

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
                    self._changed.wait_for(lambda: self._tenancy.restless or self._closing, IDLE_S)
            now = time.monotonic()
            self._slot_seconds += (now - last) * self._slots
            self._busy_slot_seconds += (now - last) * self._taken
            last = now
            for event in events:
                self._handle(event)

    def _admit(self, engine: Engine) -> None:
        """Between two ticks: free the slots of those who left, and let the line in."""
        with self._changed:
            self._tenancy.forget_the_silent(self._lease_s)
            for key in self._tenancy.take_leaving():
                engine.leave(key)
            while engine.free_slots > 0 and (tenant := self._tenancy.step_up()) is not None:
                self._join(engine, tenant)
            self._taken = self._slots - engine.free_slots

    def _join(self, engine: Engine, tenant: Tenant) -> None:
        try:
            engine.join(tenant.key, tenant.config, tenant.checkpoint)
        except TrainerError as error:
            self._tenancy.end(tenant, Rejected(key=tenant.key, reason=str(error)))
        else:
            tenant.in_slot = True

    def _handle(self, event: Event) -> None:
        with self._changed:
            tenant = self._tenancy.get(event.key)
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
        return NO_ROOM if self._state == "broken" else self._slots - self._tenancy.held

    def _fail_to_store(self, tenant: Tenant, why: str) -> None:
        reason = f"its adapter or metrics could not be stored: {why}"
        with self._changed:
            self._tenancy.end(tenant, Broken(key=tenant.key, reason=reason))

    def _break(self, error: BaseException) -> None:
        with self._changed:
            self._state, self._error = "broken", sentence_of(error)
            reason = f"its worker broke: {self._error}"
            self._tenancy.end_all(lambda tenant: Broken(key=tenant.key, reason=reason))
