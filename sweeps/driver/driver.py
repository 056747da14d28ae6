"""Runs a sweep, or goes on with one: Ray Tune in the middle, the ledger and MLflow on either side.

    result = run_sweep(ledger, tracker, run_id=run_id, engine_factory=RehearsalSettings(),
                       tracker_factory=factory, compute=ComputeSettings(slots=8))

What is finished is left alone, what is unfinished is trained first, in the MLflow runs that exist. Ray holds nothing
that matters: kill everything, call this again with the same ledger, and the sweep ends with the trials asked for.
"""

from __future__ import annotations

import contextlib
import importlib
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from adapter_registry.runs.tracking import State
from sweeps.driver.budget import Budget
from sweeps.driver.desk import Desk
from sweeps.driver.monitor import Monitor
from sweeps.driver.reconcile import reconcile
from sweeps.driver.steering import Configure, Steering
from sweeps.errors import ClaimLostError
from sweeps.host.accelerators import cores
from sweeps.host.interrupts import watch_interrupts
from sweeps.host.local_ray import prepare_environment, quiet_ray, ray_session
from sweeps.ledger.carrying_out import carry_out_pending
from sweeps.ledger.claim import Claim
from sweeps.ledger.requests import pending
from sweeps.ledger.storage import storage_errors
from sweeps.progress import Outage, ProgressEvent, SweepStarted
from sweeps.settings import BudgetSettings
from sweeps.workers.outbox import Outbox
from trainer.config import TrialConfig

if TYPE_CHECKING:
    from adapter_registry.runs.tracking import Tracker
    from sweeps.ledger.ledger import Ledger
    from sweeps.ledger.trial_record import TrialRecord
    from sweeps.settings import ComputeSettings
    from sweeps.workers.engine import EngineFactory
    from sweeps.workers.pool import WorkerPool
    from sweeps.workers.recorder import TrackerFactory

SweepState = State | Literal["paused"]

FLUSH_S = 120.0
NO_LIMITS = BudgetSettings()


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepResult:
    """How a sweep ended.

    state       `complete`: every trial that was asked for has ended; `stopped` or `paused`: the rest waits for a resume
    best        the best trial that competes (`TrialRecord.score`), None when none does
    seconds     wall time of this run of the driver, and of those before it
    occupancy   part of the slots' time in which a trial trained while others waited, None when nothing ran
    warnings    what went wrong without ending a trial
    """

    name: str
    state: SweepState
    run_id: str
    trials: tuple[TrialRecord, ...]
    best: TrialRecord | None
    seconds: float
    occupancy: float | None
    warnings: tuple[str, ...]


def run_sweep(
    ledger: Ledger,
    tracker: Tracker,
    *,
    run_id: str,
    engine_factory: EngineFactory,
    tracker_factory: TrackerFactory,
    compute: ComputeSettings,
    configure: Configure = TrialConfig.from_params,
    on_event: Callable[[ProgressEvent], None] = lambda event: None,
    budget: BudgetSettings = NO_LIMITS,
    take_over: bool = False,
    finish: Callable[[SweepResult], None] = lambda result: None,
) -> SweepResult:
    """Train every trial of the ledger that is not finished, and let the sweep be finished.

    Args:
        ledger: created or opened with its search space.
        tracker: of this process; opens the trials' runs and sets their states.
        run_id: of the sweep's MLflow run.
        engine_factory: builds the engine in a worker's process; must be possible to pickle.
        tracker_factory: builds the tracker of a worker's process; must be possible to pickle.
        compute: where to run.
        configure: makes a trial's configuration of what was sampled; a spec's is `spec.trial_config`.
        on_event: receives progress, one event at a time, from more than one thread.
        budget: what the sweep may use up, earlier runs included; reached, it is drained.
        take_over: take the sweep from a driver that seems to be alive; that one leaves it within seconds
            and is waited for.
        finish: does the rest (plots, promotion) while the sweep is still ours and says that it is `finishing`; what it
            raises leaves it so, and a resume does the rest again.

    Raises:
        BusyError: another process is running this sweep.
        ClaimLostError: another process has taken it over; it is that one's to end.
        WorkerError: no worker can be started, or all were lost; the sweep can be resumed.
        LedgerError: the ledger failed; the sweep can be resumed.
        KeyboardInterrupt: the second Ctrl-C; the sweep can be resumed.
    """
    began, earlier_s = time.monotonic(), 3600 * ledger.record.hours
    prepare_environment()
    emit = _one_at_a_time(on_event)
    left_over = pending(ledger)  # who asks from the claim on asks this driver, which hears it once it has begun
    claim = Claim(ledger, take_over=take_over, emit=emit)
    outbox = Outbox("driver-outbox")
    steering = Steering(
        ledger,
        tracker,
        outbox,
        run_id=run_id,
        configure=configure,
        emit=emit,
        max_failures=compute.max_failures,
    )
    ledger.most_trials = budget.max_trials
    ledger.patience.on_outage = _outage_heard(claim, steering, emit)
    spent = Budget(budget, ledger)
    occupancy: float | None = None
    warnings: tuple[str, ...] = ()
    try:
        try:
            with storage_errors(ledger.url):
                mended = _begin(ledger, tracker, run_id, compute, emit)
                desk = Desk(ledger, steering, left_over)
                desk.open()
                if steering.has_more and spent.reached() is None:
                    occupancy, warnings = _train(
                        steering, desk, claim, spent, emit, compute, engine_factory, tracker_factory
                    )
                state: SweepState = _end(ledger, tracker, claim, steering, outbox, run_id)
                state = "paused" if state == "stopped" and steering.pausing else state
                ledger.note_sweep(state="finishing")
        except ClaimLostError:
            raise
        except BaseException:
            ledger.patience.give_up()
            with contextlib.suppress(Exception):  # a ledger or tracker that failed before fails again: told once
                ledger.note_sweep(state=_end(ledger, tracker, claim, steering, outbox, run_id))
            raise
        result = SweepResult(
            name=ledger.name,
            state=state,
            run_id=run_id,
            trials=tuple(ledger.trials()),
            best=ledger.best(),
            seconds=earlier_s + time.monotonic() - began,
            occupancy=occupancy,
            warnings=(*mended, *warnings, *_said(spent.reached(), state)),
        )
        with claim.kept():
            finish(result)
        _leave(ledger, claim, state)
    finally:
        with contextlib.suppress(Exception):
            claim.release()
    return result


def _train(
    steering: Steering,
    desk: Desk,
    claim: Claim,
    budget: Budget,
    emit: Callable[[ProgressEvent], None],
    compute: ComputeSettings,
    engine_factory: EngineFactory,
    tracker_factory: TrackerFactory,
) -> tuple[float | None, tuple[str, ...]]:
    """Train the trials that are left; the slots' occupancy and warnings."""
    # Importing Ray Tune takes as long as starting Ray: both at once.
    threading.Thread(target=importlib.import_module, args=("sweeps.driver.tuning",), daemon=True).start()
    with quiet_ray(), ray_session(compute), watch_interrupts() as interrupts:
        from sweeps.workers.pool import WorkerPool

        claim.renew()  # a cluster may have taken its time, and the monitor does not look before trials can begin
        pool = WorkerPool(compute, engine_factory, tracker_factory, steering.run_id)
        steering.on_drain, steering.on_give_up = pool.drain, pool.let_go
        with (
            Monitor(pool, steering, desk, claim, budget, interrupts, emit, poll_s=compute.poll_s) as monitor,
            _closing(pool, steering),
        ):
            from sweeps.driver.tuning import tune_trials

            # Were they all to start at once, workers that load the base model here would have a fraction of a core.
            starting = max(1, cores() - (0 if compute.address else compute.workers))
            while not desk.closes():  # more trials may have been asked for after Tune had heard that there are no more
                tune_trials(steering, pool, at_once=compute.concurrent_trials, starting=starting)
        return monitor.occupancy, tuple(monitor.warnings)


@contextlib.contextmanager
def _closing(pool: WorkerPool, steering: Steering) -> Iterator[None]:
    """End the workers; what they hold is written first, unless the sweep is cut off."""
    completed = False
    try:
        yield
        completed = not steering.is_over
    finally:
        pool.close(flush=completed)


def _begin(
    ledger: Ledger, tracker: Tracker, run_id: str, compute: ComputeSettings, emit: Callable[[ProgressEvent], None]
) -> list[str]:
    """Mend what an earlier driver left behind, and say that the sweep runs; what was mended."""
    mended = reconcile(ledger, tracker, run_id)
    ledger.note_sweep(state="running", run_id=run_id)
    tracker.set_state(run_id, "running")
    finished = len(ledger.trials()) - len(ledger.unfinished())
    emit(
        SweepStarted(
            name=ledger.name,
            trials=ledger.trials_asked,
            finished=finished,
            workers=compute.workers,
            slots=compute.slots,
            run_id=run_id,
        )
    )
    return mended


def _remaining(ledger: Ledger) -> int:
    trials = ledger.trials()
    waiting = sum(t.state == "waiting" for t in trials)
    unfinished = len(ledger.unfinished()) - waiting
    return unfinished + max(0, ledger.trials_asked - (len(trials) - waiting))


def _end(ledger: Ledger, tracker: Tracker, claim: Claim, steering: Steering, outbox: Outbox, run_id: str) -> State:
    """Leave ledger and MLflow in agreement, whatever happened.

    Raises:
        ClaimLostError: another process has taken the sweep; it is that one's to end.
    """
    claim.renew()
    steering.stop_the_rest()
    state: State = "stopped" if _remaining(ledger) else "complete"
    outbox.flush(FLUSH_S)
    outbox.close(FLUSH_S)
    claim.renew()  # both have taken minutes if MLflow does not answer
    reconcile(ledger, tracker, run_id)
    tracker.set_state(run_id, state)
    return state


def _leave(ledger: Ledger, claim: Claim, state: SweepState) -> None:
    """Say how the sweep ended, and do what was asked of it since its desk had closed.

    Raises:
        ClaimLostError: another process has taken the sweep; it is that one's to end.
    """
    with storage_errors(ledger.url):
        claim.check()
        ledger.note_sweep(state=state)
        carry_out_pending(ledger)


def _said(limit: str | None, state: SweepState) -> list[str]:
    return [] if limit is None or state == "complete" else [f"the sweep was stopped because {limit}"]


def _outage_heard(
    claim: Claim, steering: Steering, emit: Callable[[ProgressEvent], None]
) -> Callable[[str | None], None]:
    """Tell of an outage of the ledger; after it, another driver may have taken the sweep."""

    def hear(reason: str | None) -> None:
        emit(Outage(because=reason or ""))
        if reason is None:
            try:
                claim.check()
            except ClaimLostError as error:
                steering.abort(error)

    return hear


def _one_at_a_time(on_event: Callable[[ProgressEvent], None]) -> Callable[[ProgressEvent], None]:
    lock = threading.RLock()  # what is told of may be told by what listens

    def emit(event: ProgressEvent) -> None:
        with lock:
            on_event(event)

    return emit
