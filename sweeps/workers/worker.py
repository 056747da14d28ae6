"""A worker: the process that owns one accelerator, one engine and its slots. Run as a Ray actor by `pool`.

One thread drives the engine. Trials stand in line until a slot is free and take it between two ticks, so a freed
slot is refilled without asking anybody. Metrics, adapters and checkpoints go to the tracker from here, where they are
born; a trial's own process only hears of its evaluations and of its end, and only of what is stored.
"""

from __future__ import annotations

import os
import threading
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, final

from sweeps.ledger.outages import OUTAGE_S
from sweeps.progress import WorkerState, WorkerStatus
from sweeps.sentences import sentence_of
from sweeps.workers.recorder import Recorder, TrackerFactory
from sweeps.workers.reports import Dropped, Lost, Rejected, Report, Scored, StillWaiting, Unstorable
from sweeps.workers.tenancy import Tenancy, Tenant, seat_lost
from trainer.config import TrialConfig
from trainer.errors import TrainerError
from trainer.events import Diverged, EpochEnded, Evaluated, Event, Finished, Progress

if TYPE_CHECKING:
    from sweeps.workers.engine import Engine, EngineFactory

_After = Callable[[Callable[[], None], Callable[[str], None]], None]

# While the driver waits for a store it lets no trial ask; the ledger and MLflow may be away one after the other.
LEASE_S = 3 * OUTAGE_S
CHECKPOINT_S = 300.0
IDLE_S = 1.0
NO_ROOM = -(10**6)
AT_HOME = 10**6


@final
class Worker:
    """Trains trials in slots.

    Args:
        name: of this worker, unique in the sweep.
        engine_factory: builds the engine, in this process.
        tracker_factory: builds the tracker, in this process.
        slots: of the engine.
        sweep_run_id: where this machine's metrics go; None: they are not recorded.
        lease_s: a trial whose process has not asked for a report for so long is given up; it may come again.
        checkpoint_s: seconds after which a trial is stored again; it is at the end of every epoch, too.
    """

    def __init__(
        self,
        name: str,
        engine_factory: EngineFactory,
        tracker_factory: TrackerFactory,
        *,
        slots: int,
        sweep_run_id: str | None = None,
        lease_s: float = LEASE_S,
        checkpoint_s: float = CHECKPOINT_S,
    ) -> None:
        self._name = name
        self._lease_s = lease_s
        self._checkpoint_s = checkpoint_s
        self._tenancy = Tenancy()
        self._changed = self._tenancy.changed
        self._state: WorkerState = "loading"
        self._error = ""
        self._out_of_memory = self._draining = self._vacating = self._closing = False
        self._slots = self._taken = self._ticks = 0
        self._counted_at = self._step_s = 0.0
        self._load_seconds: float | None = None
        self._base_metrics: Mapping[str, float] = {}
        self._slot_seconds = self._busy_slot_seconds = 0.0
        self._recorder = Recorder(name, tracker_factory, sweep_run_id)
        self._thread = threading.Thread(
            target=self._run, args=(engine_factory, slots), name=f"{name}-engine", daemon=True
        )
        self._thread.start()

    # ------------------------------------------------------------------------------ called by trials and by the pool

    def attach(
        self,
        seat: str,
        *,
        number: int,
        params: Mapping[str, Any],
        run_id: str,
        may_wait: bool,
        again: bool = False,
        checkpoint_run_id: str | None = None,
    ) -> bool:
        """Let a trial train here; False when all slots are spoken for and it may not wait in line.

        A trial that is here already goes on, and its reports, from the first on, go to `seat`. `again` says that it
        was trained before, at least in part: it goes on from its last checkpoint, and without one from that of
        `checkpoint_run_id`, the run of the trial that it continues. A mistake in its parameters is told by its first
        report, as is anything else that happens to it.
        """
        with self._changed:
            tenant = self._tenancy.of(number)
            if tenant is not None:
                tenant.seat, tenant.asked_at = seat, time.monotonic()
                tenant.reports.rewind()
                return True
            if self._state == "broken" or self._vacating or self._closing or not (may_wait or self._room() > 0):
                return False
            again = again or checkpoint_run_id is not None
            tenant = Tenant(f"{number}-{uuid.uuid4().hex[:8]}", seat, number, run_id, ready=not again)
            self._tenancy.add(tenant)
            try:
                tenant.config = TrialConfig.from_params(params)
            except TrainerError as error:
                self._tenancy.end(tenant, Rejected(key=tenant.key, reason=str(error)))
                return True
            if self._draining:
                self._tenancy.end(tenant, Dropped(key=tenant.key))
                return True
            self._tenancy.line_up(tenant)
        if again:
            prepare, fail = partial(self._prepare, tenant), partial(self._fail_to_store, tenant)
            self._recorder.again(run_id, prepare, fail, checkpoint_run_id)
        return True

    def room(self, number: int | None = None) -> int:
        """Free slots that nobody stands in line for; negative: how long the line is. Large where a trial is already."""
        with self._changed:
            at_home = number is not None and self._tenancy.of(number) is not None
            return AT_HOME if at_home else self._room()

    def next_report(self, seat: str, timeout_s: float) -> Report | StillWaiting | None:
        """Wait for a trial's next report; None when there is none yet. Who has no seat any more may take another."""
        with self._changed:
            tenant = self._tenancy.at(seat)
            if tenant is not None:
                self._tenancy.ask_on(tenant)
        return seat_lost(seat) if tenant is None else tenant.next_report(timeout_s)

    def detach(self, seat: str) -> None:
        """Give up a trial; its slot is free after the current tick. Who has lost the seat gives up nothing."""
        with self._changed:
            tenant = self._tenancy.at(seat)
            if tenant is not None:
                self._tenancy.forget(tenant)

    def let_go(self, number: int) -> None:
        """End a trial's training, if it is here; its process hears that it was dropped."""
        with self._changed:
            tenant = self._tenancy.of(number)
            if tenant is not None and (tenant.in_line or tenant.in_slot):
                self._tenancy.end(tenant, Dropped(key=tenant.key))

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
                out_of_memory=self._out_of_memory,
                vacant=(self._vacating or self._state == "broken") and self._tenancy.is_empty,
                warnings=self._recorder.warnings,
                base_metrics=self._base_metrics,
                pid=os.getpid(),
            )

    def drain(self) -> None:
        """Begin no more trials, and let those in slots go as soon as their checkpoints are stored."""
        with self._changed:
            self._draining = True
            self._tenancy.send_the_line_away(_dropped)

    def vacate(self) -> None:
        """Begin no more trials, and send those that are here to other workers when their checkpoints are stored."""
        with self._changed:
            self._vacating = True
            self._tenancy.send_the_line_away(_given_back)
            self._changed.notify_all()

    def close(self, timeout_s: float = 60.0) -> None:
        """Stop training, and write what is still to be written."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self._thread.join(timeout_s)
        self._recorder.close(timeout_s)

    # ------------------------------------------------------------------------------------------ the engine's thread

    def _run(self, engine_factory: EngineFactory, slots: int) -> None:
        began = time.monotonic()
        try:
            engine = engine_factory(slots=slots)
            self._recorder.wait_until_ready()  # it was built meanwhile
            with self._changed:
                self._slots, self._base_metrics = engine.slots, engine.base_metrics
                self._load_seconds = time.monotonic() - began
                self._state = "ready"
            self._train(engine)
        except BaseException as error:
            self._break(error, slots)

    def _train(self, engine: Engine) -> None:
        self._counted_at = time.monotonic()
        while not self._closing:
            self._admit(engine)
            self._save(engine)
            if self._taken:
                self._tick(engine)
            else:
                with self._changed:
                    self._changed.wait_for(lambda: self._tenancy.restless or self._closing, IDLE_S)
            self._count()

    def _tick(self, engine: Engine) -> None:
        """Do a tick, and after evaluations wait for what the driver makes of them, at most as long as a step takes.

        Who is stopped would train a step too many, and who comes next would be behind by one: until they are level
        again, each step that not all of them take costs nearly as much as one that they do. While others are still to
        be evaluated there is time enough.
        """
        began, is_step = time.monotonic(), not engine.evaluation_due
        events = engine.tick()
        self._ticks += 1
        if is_step and all(isinstance(event, Progress) for event in events):
            self._step_s = time.monotonic() - began
        self._handle(engine, events)
        self._count()
        self._taken = self._slots - engine.free_slots
        if any(isinstance(event, Evaluated | Finished | Diverged) for event in events) and not engine.evaluation_due:
            with self._changed:
                self._tenancy.wait_until_settled(self._slots, self._step_s, self._is_on_its_way_out)

    def _count(self) -> None:
        """Add the time since it was last counted to that of the slots."""
        now = time.monotonic()
        self._slot_seconds += (now - self._counted_at) * self._slots
        self._busy_slot_seconds += (now - self._counted_at) * self._taken
        self._counted_at = now

    def _is_on_its_way_out(self) -> bool:
        return self._closing or self._draining or self._vacating

    def _admit(self, engine: Engine) -> None:
        """Between two ticks: free the slots of those who left, and let the line in."""
        joined: list[tuple[Tenant, Sequence[Evaluated]]] = []
        with self._changed:
            self._tenancy.forget_the_silent(self._lease_s)
            for key in self._tenancy.take_leaving():
                engine.leave(key)
            while engine.free_slots > 0 and (tenant := self._tenancy.step_up()) is not None:
                joined.append((tenant, self._join(engine, tenant)))
            self._taken = self._slots - engine.free_slots
        for tenant, known in joined:
            for event in known:
                self._recorder.metrics(tenant.run_id, event.metrics, event.step)
                tenant.scored += 1
                tenant.reports.put(Scored(event=event))

    def _join(self, engine: Engine, tenant: Tenant) -> Sequence[Evaluated]:
        try:
            known = engine.join(tenant.key, tenant.config, tenant.checkpoint)
        except TrainerError as error:
            self._tenancy.end(tenant, Rejected(key=tenant.key, reason=str(error)))
            return ()
        tenant.checkpoint, tenant.saved_at = None, time.monotonic()
        return known

    def _save(self, engine: Engine) -> None:
        """Between two ticks: store the trials whose time has come; all of them, and for the last time, when they go."""
        with self._changed:
            training, draining, vacating = self._tenancy.in_slots, self._draining, self._vacating
        for tenant in training:
            if draining or vacating or time.monotonic() - tenant.saved_at >= self._checkpoint_s:
                self._checkpoint(engine, tenant)
            if draining or vacating:
                engine.leave(tenant.key)
                with self._changed:
                    tenant.in_slot = False
                last = _dropped(tenant) if draining else _given_back(tenant)
                self._tell_after(self._recorder.after_everything, [(tenant, last)])
        self._taken = self._slots - engine.free_slots

    def _checkpoint(self, engine: Engine, tenant: Tenant) -> None:
        tenant.saved_at = time.monotonic()
        snapshot = engine.checkpoint(tenant.key)
        self._recorder.checkpoint(tenant.run_id, snapshot, partial(self._fail_to_store, tenant))

    def _handle(self, engine: Engine, events: Sequence[Event]) -> None:
        """Record what happened in a tick, and tell of it when it is stored."""
        with self._changed:
            happened = [(tenant, event) for event in events if (tenant := self._training(event)) is not None]
        for tenant, event in happened:
            if isinstance(event, Progress | Evaluated):
                self._recorder.metrics(tenant.run_id, event.metrics, event.step)
            if isinstance(event, Progress):
                tenant.progress = event
            elif isinstance(event, Evaluated):
                tenant.scored += 1
            elif isinstance(event, EpochEnded):
                self._recorder.epoch(tenant.run_id, event, partial(self._fail_to_store, tenant))
                self._checkpoint(engine, tenant)
        evaluated = [(tenant, event) for tenant, event in happened if isinstance(event, Evaluated)]
        if evaluated:
            together = {tenant.number: event for tenant, event in evaluated}
            scores = [(tenant, Scored(event=event, together=together)) for tenant, event in evaluated]
            self._tell_after(self._recorder.after_metrics, scores)
        for tenant, event in happened:
            if isinstance(event, Finished | Diverged):
                self._tell_after(self._recorder.after_everything, [(tenant, event)])

    def _training(self, event: Event) -> Tenant | None:
        """Who it happened to; None when they left during the tick."""
        tenant = self._tenancy.get(event.key)
        if tenant is None or not tenant.in_slot:
            return None
        tenant.in_slot = not isinstance(event, Finished | Diverged)  # the engine has freed it
        return tenant

    # ------------------------------------------------------------------------------------------------------ private

    def _room(self) -> int:
        return NO_ROOM if self._state == "broken" or self._vacating else self._slots - self._tenancy.held

    def _tell_after(self, stored: _After, news: Sequence[tuple[Tenant, Report]]) -> None:
        """What the ledger hears of is in the tracking store: nothing that is decided there can be missing here."""

        def tell() -> None:
            for tenant, report in news:
                tenant.reports.put(report)

        def fail(why: str) -> None:
            for tenant, _ in news:
                self._fail_to_store(tenant, why)

        stored(tell, fail)

    def _prepare(self, tenant: Tenant, checkpoint: bytes | None) -> None:
        with self._changed:
            tenant.checkpoint, tenant.ready = checkpoint, True
            self._changed.notify_all()

    def _fail_to_store(self, tenant: Tenant, why: str) -> None:
        with self._changed:
            self._tenancy.end(tenant, Unstorable(key=tenant.key, reason=why))

    def _break(self, error: BaseException, slots: int) -> None:
        with self._changed:
            self._state, self._error, self._out_of_memory = "broken", sentence_of(error), is_out_of_memory(error)
            reason, memory = f"its worker broke: {self._error}", slots if self._out_of_memory else 0
            self._tenancy.end_all(partial(_broken, reason=reason, out_of_memory=memory))


def _broken(tenant: Tenant, *, reason: str, out_of_memory: int) -> Report:
    """Only who had a slot can have broken the worker, or have been too large for its memory."""
    if tenant.in_slot:
        return Lost(key=tenant.key, reason=reason, out_of_memory=out_of_memory)
    return Lost(key=tenant.key, reason=reason, preempted=True)


def _dropped(tenant: Tenant) -> Report:
    return Dropped(key=tenant.key)


def _given_back(tenant: Tenant) -> Report:
    return Lost(key=tenant.key, reason="its worker was given back to the cluster", preempted=True)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an accelerator, or this machine, could not give so much memory; XLA has no class for it."""
    text = str(error).lower()
    return isinstance(error, MemoryError) or "resource_exhausted" in text or "out of memory" in text
