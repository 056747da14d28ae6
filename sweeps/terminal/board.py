"""The state of a sweep as it runs, built from progress events; drawn by `drawing`, told by `plain`.

Not safe for more than one thread: `live` holds a lock around it.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any, final

from adapter_registry.runs.tracking import State
from sweeps.ledger.trial_record import TRAIN_LOSS, TrialRecord
from sweeps.progress import (
    Draining,
    Outage,
    Preparing,
    ProgressEvent,
    SlotStatus,
    SweepGrew,
    SweepStarted,
    TrialEnded,
    TrialEvaluated,
    TrialRetried,
    TrialStarted,
    Withdrawn,
    WorkersSeen,
    WorkerStatus,
)
from sweeps.terminal.outline import Outline
from sweeps.terminal.row import ENDED, Row

EVIDENCE_S = 3.0  # of training, before its pace means anything


@final
class Board:
    """A sweep's trials, workers and times.

    Args:
        outline: of the sweep.
        clock: seconds, as `time.monotonic`.
    """

    def __init__(self, outline: Outline, clock: Callable[[], float] = time.monotonic) -> None:
        self.outline = outline
        self.clock = clock
        self.asked = outline.trials
        self.rows: dict[int, Row] = {}
        self.finished_before = 0
        self.workers: tuple[WorkerStatus, ...] = ()
        self.preparing = ""
        self.draining = ""
        self.outage = ""
        self.run_id = ""
        self.began_at = clock()
        self.training_since: float | None = None
        self.step_seconds: float | None = None  # of all slots together; None before there is something to judge by
        self._changes = 0

    # ------------------------------------------------------------------------------------------------- what happens

    def hear(self, event: ProgressEvent) -> None:
        """Take an event in."""
        match event:
            case Preparing():
                self.preparing = event.what
            case SweepStarted():
                self.preparing, self.asked = "", event.trials
                self.finished_before, self.run_id = event.finished, event.run_id
            case SweepGrew():
                self.asked = event.trials
            case TrialStarted():
                self._started(event)
            case TrialEvaluated():
                self._evaluated(event)
            case TrialRetried():
                self._retried(event)
            case TrialEnded():
                self._ended(event)
            case WorkersSeen():
                self._seen(event.workers)
            case Draining():
                self.draining = event.because
            case Outage():
                self.outage = event.because
            case Withdrawn():
                self.run_id = ""  # there is nothing to go on with

    def remember(self, known: Iterable[tuple[TrialRecord, int | None]]) -> None:
        """Take in what a ledger knows of the trials that have begun, in the order in which they ended.

        Args:
            known: each with the number of evaluations that it is to have, None where that is not known.
        """
        begun = [pair for pair in known if pair[0].state != "waiting"]
        for record, evaluations_total in sorted(
            begun, key=lambda pair: (pair[0].ended or datetime.max, pair[0].number)
        ):
            row = self.rows.get(record.number)
            if row is None or row.attempt < record.attempts:
                row = self._begin(record.number, record.params, record.attempts)
            self._learn(row, record, evaluations_total)

    def measure(self, row: Row) -> None:
        """Take the pace from a trial that was evaluated now: a worker tells of steps so many at a time."""
        now = self.clock()
        if row.seen_at is None or row.step <= row.first_step or self.training_since is None:
            return
        row.step_seconds = (now - row.seen_at) / (row.step - row.first_step)
        done = sum(each.step - each.first_step for each in self.rows.values() if each.seen_at is not None)
        if now - self.training_since >= EVIDENCE_S:
            self.step_seconds = (now - self.training_since) / done

    # -------------------------------------------------------------------------------------------------- what is known

    @property
    def parameters(self) -> tuple[str, ...]:
        """Names of the parameters that vary: the outline's, then others that trials turned out to have."""
        known = dict.fromkeys(self.outline.parameters)
        for row in self.rows.values():
            known |= dict.fromkeys(row.params)
        return tuple(known)

    @property
    def alive(self) -> list[Row]:
        """Trials in a slot, then trials that wait for one."""
        rows = [row for row in self.rows.values() if row.state in {"running", "waiting"}]
        return sorted(rows, key=lambda row: (row.state == "waiting", row.number))

    @property
    def ended(self) -> list[Row]:
        """Trials that have ended, the last one first."""
        rows = [row for row in self.rows.values() if row.state not in {"running", "waiting"}]
        return sorted(rows, key=lambda row: -row.order)

    @property
    def counts(self) -> Counter[State]:
        """Trials by state; those that are not handed out yet are not among them."""
        return Counter(row.state for row in self.rows.values())

    @property
    def finished(self) -> int:
        """Trials that are complete, pruned or failed; never less than the driver said at its start."""
        return max(self.finished_before, sum(self.counts[state] for state in ENDED))

    @property
    def fraction(self) -> float:
        """Part of the sweep that is done."""
        under_way = sum(row.fraction for row in self.rows.values() if row.state not in ENDED)
        return min(1.0, (self.finished + under_way) / max(1, self.asked))

    @property
    def best(self) -> Row | None:
        """The best trial so far: complete, running on, or stopped by hand; others that were pruned do not compete."""
        best: Row | None = None
        for row in sorted(self.rows.values(), key=lambda row: row.number):
            if row.score is None:
                continue
            if best is None or best.score is None or self.outline.is_better(row.score, best.score):
                best = row
        return best

    @property
    def tokens_per_second(self) -> float | None:
        """Speed of all slots together; None before the first measurement."""
        speeds = [slot.tokens_per_second for worker in self.workers for slot in worker.taken]
        known = [speed for speed in speeds if speed is not None]
        return sum(known) if known else None

    # ------------------------------------------------------------------------------------------------------- private

    def _learn(self, row: Row, record: TrialRecord, evaluations_total: int | None) -> None:
        """Bring a row up to date with its record."""
        # Only the workers tell which of the trials that are under way have a slot.
        state = "waiting" if record.state == "running" and row.state != "running" else record.state
        if row.state != state:
            self._turn(row, state)
        done, before = max(record.evaluations, default=0), row.evaluation
        row.params, row.because, row.kept = record.params, record.ended_because, record.kept
        row.evaluation, row.evaluations_total = done, evaluations_total
        row.epoch = max(row.epoch, done / (self.outline.evaluations_per_epoch or 1))
        row.value = record.value if record.value is not None else record.evaluations.get(done)
        known = {} if row.value is None else {self.outline.metric: row.value}
        row.metrics = {**row.metrics, **record.metrics, **known}
        row.train_loss = row.metrics.get(TRAIN_LOSS, row.train_loss)
        if done > before:
            self.measure(row)

    def _begin(self, number: int, params: Mapping[str, Any], attempt: int) -> Row:
        """Begin the row of a trial, which on a further attempt keeps what was measured of it."""
        before = self.rows.get(number)
        row = self.rows[number] = Row(number, params, attempt=max(1, attempt))
        if before is not None:
            row.value, row.metrics = before.value, before.metrics
            row.evaluation, row.evaluations_total = before.evaluation, before.evaluations_total
        self._turn(row, "waiting")
        return row

    def _started(self, event: TrialStarted) -> None:
        self._begin(event.number, event.params, event.attempt)

    def _evaluated(self, event: TrialEvaluated) -> None:
        row = self._row(event.number)
        row.value, row.metrics = event.value, event.metrics
        row.evaluation, row.evaluations_total = event.evaluation, event.evaluations_total
        row.epoch, row.step = max(row.epoch, event.epoch), max(row.step, event.step)
        if row.state == "waiting":
            self._turn(row, "running")
        self.measure(row)

    def _retried(self, event: TrialRetried) -> None:
        row = self._row(event.number)
        self._begin(event.number, row.params, row.attempt + 1).because = event.because

    def _ended(self, event: TrialEnded) -> None:
        row = self._row(event.number)
        row.value = event.value if event.value is not None else row.value
        row.because, row.kept = event.because, event.kept
        self._turn(row, event.state)

    def _seen(self, workers: tuple[WorkerStatus, ...]) -> None:
        self.workers = workers
        for worker in workers:
            for slot in worker.taken:
                self._in_slot(slot)

    def _in_slot(self, slot: SlotStatus) -> None:
        row = self.rows.get(slot.number)
        if row is None or row.state not in {"running", "waiting"}:  # it has ended since the worker was asked
            return
        if row.state == "waiting":
            self._turn(row, "running")
        if row.joined_step is None:
            row.joined_step = slot.step
        if row.seen_at is None and slot.step > row.joined_step:
            row.seen_at, row.first_step = self.clock(), slot.step
            self.training_since = row.seen_at if self.training_since is None else self.training_since
        row.step, row.epoch = max(row.step, slot.step), max(row.epoch, slot.epoch)
        row.steps_total = slot.steps_total if slot.steps_total is not None else row.steps_total
        row.train_loss = slot.train_loss if slot.train_loss is not None else row.train_loss

    def _row(self, number: int) -> Row:
        return self.rows.setdefault(number, Row(number, {}))

    def _turn(self, row: Row, state: State) -> None:
        self._changes += 1
        row.state, row.order = state, self._changes
