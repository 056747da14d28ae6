"""All that happens to a trial, in one place: the ledger, its MLflow run and the progress events say the same.

Knows no Ray: the searcher and the scheduler translate between Tune and this. Two threads call it, Tune's loop and the
monitor's, which hold `turn` meanwhile (`guarded` does); `drain`, `cancel` and `abort` may be called at any time.
"""

from __future__ import annotations

import math
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, final

from adapter_registry.names import SWEEP_CONTINUES, SWEEP_RETRY_OF
from search_spaces.errors import SearchSpaceError
from sweeps.errors import TrackingError
from sweeps.ledger.by_hand import BY_HAND
from sweeps.ledger.storage import storage_errors
from sweeps.ledger.trial_record import TRAIN_LOSS
from sweeps.progress import Draining, ProgressEvent, SweepGrew, TrialEnded, TrialEvaluated, TrialRetried, TrialStarted
from sweeps.settings import ComputeSettings
from sweeps.workers.reports import Dropped, Lost, Rejected, Report, Scored, Unstorable
from trainer.config import TrialConfig
from trainer.errors import TrainerError
from trainer.events import Diverged, Evaluated, Finished

if TYPE_CHECKING:
    from adapter_registry.runs.tracking import State, Tracker
    from sweeps.ledger.ledger import Ledger
    from sweeps.ledger.trial_record import TrialRecord
    from sweeps.progress import WorkerStatus
    from sweeps.workers.outbox import Outbox

Configure = Callable[[Mapping[str, Any]], TrialConfig]

MAX_LOST_PROCESSES = 20  # of one trial: they hold nothing, and its training goes on meanwhile


@dataclass(frozen=True, slots=True, kw_only=True)
class Handout:
    """A trial that is to be trained: what its process and a worker need to know.

    again               it was trained before, at least in part, and goes on from its last checkpoint
    checkpoint_run_id   of the run whose last checkpoint it begins from when it has none of its own
    """

    number: int
    params: Mapping[str, Any]
    run_id: str
    again: bool
    checkpoint_run_id: str | None = None


@final
class Steering:
    """Decides what every trial does next.

    Args:
        ledger: opened with its search space.
        tracker: opens the trials' runs.
        outbox: for writes to the tracker that nobody has to wait for.
        run_id: of the sweep's MLflow run.
        configure: makes a trial's configuration of its parameters; what it raises fails the trial.
        emit: receives progress events.
        max_failures: times that a trial may lose its worker and go on.
    """

    def __init__(
        self,
        ledger: Ledger,
        tracker: Tracker,
        outbox: Outbox,
        *,
        run_id: str,
        configure: Configure,
        emit: Callable[[ProgressEvent], None],
        max_failures: int = ComputeSettings.max_failures,
    ) -> None:
        self._ledger = ledger
        self._max_failures = max_failures
        self._tracker = tracker
        self._outbox = outbox
        self.run_id = run_id
        self._configure = configure
        self._emit = emit
        self.on_drain: Callable[[], None] = lambda: None
        self.on_give_up: Callable[[int], None] = lambda number: None
        self.given_up: set[int] = set()
        self.turn = threading.RLock()
        self._metric = ledger.settings.metric
        self._alive: dict[int, str] = {}  # number → MLflow run
        self._metrics: dict[int, Mapping[str, float]] = {}  # of those, at the last evaluation
        self._train_losses: dict[int, float] = {}
        self._unattended: list[int] = []  # alive, but without a process
        self._lost_processes: Counter[int] = Counter()
        self._lock = threading.Lock()
        self.exhausted = False
        self.draining = self.pausing = self.cancelled = False
        self.error: BaseException | None = None

    @property
    def is_training(self) -> bool:
        """Whether a trial is under way, while which others may be asked for."""
        return bool(self._alive) and not self.draining

    @property
    def is_over(self) -> bool:
        """Whether the sweep ends now, without waiting for its trials."""
        return self.cancelled or self.error is not None

    @property
    def has_more(self) -> bool:
        """Whether there is a trial to begin; that of one that waits again may have come since `exhausted`."""
        return not self.draining and self._ledger.has_more

    # ------------------------------------------------------------------------------------------------------ handing out

    def next(self) -> Handout | None:
        """Hand out a trial whose MLflow run exists; None when there is no more to begin."""
        if self.draining:
            return None
        while self._unattended:
            number = self._unattended.pop(0)
            if number in self._alive:
                known = self._ledger.trial(number)
                return self._handout(known, asdict(known.config(self._configure)), self._alive[number], again=True)
        if self.exhausted:
            return None
        trial = self._ledger.next_trial()
        if trial is None:
            self.exhausted = True
            return None
        try:
            config = asdict(trial.config(self._configure))
        except (TrainerError, SearchSpaceError) as error:
            self._begin(trial, trial.params)
            self._end(trial.number, "failed", because=str(error))
            return self.next()
        run_id = self._begin(trial, {**trial.params, **config})
        return self._handout(trial, config, run_id, again=trial.attempts > 1)

    def _handout(self, trial: TrialRecord, config: Mapping[str, Any], run_id: str, *, again: bool) -> Handout:
        continued = None if trial.continues is None else self._ledger.trial(trial.continues).run_id
        return Handout(number=trial.number, params=config, run_id=run_id, again=again, checkpoint_run_id=continued)

    def seen(self, workers: Sequence[WorkerStatus]) -> None:
        """Take note of the training losses of the trials in slots."""
        for slot in (slot for worker in workers for slot in worker.taken):
            if slot.train_loss is not None and slot.number in self._alive:
                self._train_losses[slot.number] = slot.train_loss

    def look_again(self) -> None:
        """Hear that there may be trials to begin again."""
        self.exhausted = False
        self._emit(SweepGrew(trials=self._ledger.trials_asked))

    # ----------------------------------------------------------------------------------------------------- what happens

    def evaluated(self, number: int, scored: Scored, worker: str) -> bool:
        """Record an evaluation; True when the trial goes on, False when it is to be stopped now."""
        if number not in self._alive:
            return False
        report = scored.event
        value = report.metrics.get(self._metric)
        if value is None or not math.isfinite(value):
            self._end(number, "failed", because=self._no_value(value, report))
            return False
        for other, event in {**scored.together, number: report}.items():
            self._report(other, event, worker)
        self._metrics[number] = report.metrics
        self._emit(_evaluated(number, report, value))
        if report.evaluation >= report.evaluations_total or not self._ledger.should_prune(number, report.evaluation):
            return True
        why = f"{self._metric} {value:.4g} at evaluation {report.evaluation} of {report.evaluations_total}"
        self._end(number, "pruned", because=f"{why} was not among the best")
        return False

    def ended(self, number: int, report: Report) -> None:
        """Record a trial's last report."""
        match report:
            case Finished():
                trial = self._ledger.trial(number)
                last = max(trial.evaluations, default=0)
                self._end(number, "complete", value=trial.evaluations.get(last))
            case Diverged():
                self._end(number, "failed", because=f"diverged at step {report.step}: {report.reason}")
            case Rejected():
                self._end(number, "failed", because=report.reason)
            case Unstorable():
                self.stopped(number)
                self.abort(
                    TrackingError(f"What trial {number} left behind could not be stored in MLflow: {report.reason}")
                )
            case Scored() | Lost() | Dropped():
                self.stopped(number)

    def failed(self, number: int, because: str) -> None:
        """Record that a trial was given up after all its attempts."""
        if self.draining:
            self.stopped(number)
        else:
            self._end(number, "failed", because=because)

    def process_lost(self, number: int, because: str) -> None:
        """Hear that a trial's own process died: another one takes its seat, and the training does not notice."""
        if number not in self._alive:
            return
        self._lost_processes[number] += 1
        if self._lost_processes[number] > MAX_LOST_PROCESSES:
            self.failed(number, because)
            self.on_give_up(number)  # nobody is left to leave its slot
        else:
            self._unattended.append(number)

    def lost(self, number: int, report: Lost) -> bool:
        """Record that a trial lost its worker; True when it goes on in another, from its last checkpoint."""
        if number not in self._alive:
            return False
        trial = self._ledger.trial(number)
        counts = not (report.preempted or report.out_of_memory > 1)
        if report.out_of_memory == 1:
            self.failed(number, f"{report.reason}; it had the worker for itself")
        elif counts and trial.failures >= self._max_failures:
            self.failed(number, report.reason)
        else:
            self._ledger.note(number, attempts=trial.attempts + 1, failures=trial.failures + counts)
            self._emit(TrialRetried(number=number, because=report.reason))
        return number in self._alive

    def stopped(self, number: int) -> None:
        """Leave a trial unfinished, for a resume."""
        run_id = self._alive.pop(number, None)
        if run_id is not None:
            because = "the sweep was stopped"
            self._ledger.stop(number, because)
            self._outbox.put(lambda: self._tracker.set_state(run_id, "stopped"))
            self._emit(TrialEnded(number=number, state="stopped", value=None, because=because))

    def stop_by_hand(self, number: int) -> None:
        """End a trial that trains or waits, as pruned; others do not notice."""
        if number not in self._alive:
            self._ledger.take(number)
            trial = self._ledger.trial(number)
            self._begin(trial, trial.params)
        self.given_up.add(number)
        self._end(number, "pruned", because=BY_HAND)
        self.on_give_up(number)

    # -------------------------------------------------------------------------------------------------- the sweep's end

    @contextmanager
    def guarded(self) -> Iterator[None]:
        """End the sweep with the error that is raised inside: Tune would show its traceback, and try on."""
        try:
            with self.turn, storage_errors(self._ledger.url):
                yield
        except Exception as error:
            self.abort(error)

    def drain(self, because: str) -> None:
        """Begin no more trials, and let the running ones end as soon as their checkpoints are stored."""
        with self._lock:
            if self.draining:
                return
            self.draining = True
        self._emit(Draining(because=because))
        self.on_drain()
        self._ledger.note_sweep(draining=because)

    def cancel(self, because: str) -> None:
        """End the sweep at once; what trains goes on from its last checkpoint, once the sweep is resumed."""
        self.draining = self.cancelled = True
        self._emit(Draining(because=because))

    def abort(self, error: BaseException) -> None:
        """End the sweep as soon as possible; `error` is what the driver will raise."""
        self.error = self.error or error
        self.draining = True

    def stop_the_rest(self) -> None:
        """Leave every trial that is still alive unfinished."""
        for number in list(self._alive):
            self.stopped(number)

    # ---------------------------------------------------------------------------------------------------------- private

    def _begin(self, trial: TrialRecord, params: Mapping[str, Any]) -> str:
        """Open the trial's MLflow run before anything is trained."""
        run_id = self._tracker.open_trial(
            self.run_id,
            self._ledger.name,
            trial.number,
            params,
            state="running",
            is_new=trial.attempts <= 1,
            sweep_id=self._ledger.id,
        )
        if trial.run_id != run_id:
            self._ledger.note(trial.number, run_id=run_id)
        tags = {SWEEP_RETRY_OF: trial.retry_of, SWEEP_CONTINUES: trial.continues}
        origin = {tag: str(number) for tag, number in tags.items() if number is not None}
        if origin:
            self._outbox.put(lambda: self._tracker.set_tags(run_id, origin))
        self._alive[trial.number] = run_id
        self._emit(TrialStarted(number=trial.number, params=trial.params, attempt=trial.attempts, run_id=run_id))
        return run_id

    def _end(self, number: int, state: State, *, value: float | None = None, because: str = "") -> None:
        run_id = self._alive.pop(number, None)
        if run_id is None:
            return
        self._note_measured(number)
        self._ledger.tell(number, state, value=value, because=because)
        told = self._ledger.trial(number)  # the ledger may know better: no finite value is no completion
        self._outbox.put(lambda: self._tracker.set_state(run_id, told.state))
        ended = TrialEnded(
            number=number, state=told.state, value=told.value, because=told.ended_because, kept=told.kept
        )
        self._emit(ended)

    def _note_measured(self, number: int) -> None:
        """Keep what is shown of a trial that ends, for boards that have not seen it train."""
        metrics = dict(self._metrics.pop(number, {}))
        if number in self._train_losses:
            metrics[TRAIN_LOSS] = self._train_losses.pop(number)
        finite = {name: value for name, value in metrics.items() if math.isfinite(value)}
        if finite:
            self._ledger.note(number, metrics=finite)

    def _report(self, number: int, report: Evaluated, worker: str) -> None:
        """Enter a value into the ledger: of every trial of that moment, before the first of them is judged."""
        value = report.metrics.get(self._metric)
        if number in self._alive and value is not None and math.isfinite(value):
            is_new = self._ledger.report(number, report.evaluation, value)
            if is_new and report.evaluation == 1:
                self._ledger.note(number, worker=worker)

    def _no_value(self, value: float | None, report: Evaluated) -> str:
        if value is None:
            return f"reported no {self._metric}, only: {', '.join(sorted(report.metrics))}"
        return f"diverged at step {report.step}: {self._metric} is {value}"


def _evaluated(number: int, report: Evaluated, value: float) -> TrialEvaluated:
    return TrialEvaluated(
        number=number,
        evaluation=report.evaluation,
        evaluations_total=report.evaluations_total,
        step=report.step,
        epoch=report.epoch,
        value=value,
        metrics=report.metrics,
    )
