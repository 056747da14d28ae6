"""A sweep as plain lines, one for each event worth reading: for logs, pipes, and terminals that cannot redraw."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import suppress
from typing import final

from rich.console import Console

from sweeps.progress import (
    Draining,
    Outage,
    Preparing,
    ProgressEvent,
    SweepGrew,
    SweepStarted,
    TrialEnded,
    TrialEvaluated,
    TrialRetried,
    TrialStarted,
    WorkersSeen,
    WorkerStatus,
)
from sweeps.terminal.board import Board
from sweeps.terminal.time_left import time_left
from sweeps.terminal.wording import duration, number, one_line, plural, settings


@final
class PlainLines:
    """Writes lines to a console, each at its time."""

    def __init__(self, board: Board, console: Console) -> None:
        self._board = board
        self._console = console
        self._lock = threading.Lock()
        self._seen: set[tuple[str, str]] = set()

    def hear(self, event: ProgressEvent) -> None:
        """Take an event in, and write what it tells."""
        with self._lock:
            self._board.hear(event)
            for line in self._lines(event):
                at = duration(self._board.clock() - self._board.began_at)
                # A log that is full, or that nobody reads any more, must not end the sweep.
                with suppress(OSError):
                    self._console.print(f"[{at}] {line}", markup=False, highlight=False, emoji=False, soft_wrap=True)

    def _lines(self, event: ProgressEvent) -> Iterator[str]:
        match event:
            case Preparing():
                yield f"{event.what} …"
            case SweepStarted():
                workers, slots = plural(event.workers, "worker"), plural(event.slots, "slot")
                before = f", {event.finished} of them finished before" if event.finished else ""
                yield f"sweep {event.name}: {plural(event.trials, 'trial')}{before}; {workers} with {slots}"
            case SweepGrew():
                yield f"the sweep is to end with {plural(event.trials, 'trial')}"
            case TrialStarted():
                again = f" (attempt {event.attempt})" if event.attempt > 1 else ""
                yield f"trial {event.number} started{again}: {settings(event.params)}"
            case TrialEvaluated():
                at = f"{event.evaluation} of {event.evaluations_total}, epoch {event.epoch:.4g}"
                yield f"trial {event.number} evaluated ({at}): {self._metric(event.value)}"
            case TrialRetried():
                yield f"trial {event.number} will be trained again: {one_line(event.because)}"
            case TrialEnded():
                yield self._ended(event)
            case WorkersSeen():
                for worker in event.workers:
                    yield from self._news(worker)
            case Draining():
                yield f"stopping ({one_line(event.because)}); the sweep can be resumed"
            case Outage(because=""):
                yield "the ledger answers again"
            case Outage():
                yield f"the ledger does not answer ({one_line(event.because)}); training goes on"

    def _ended(self, event: TrialEnded) -> str:
        line = f"trial {event.number} {event.state}"
        score = event.value if event.state == "complete" else event.kept
        if event.because:
            line += f": {one_line(event.because)}"
        if score is not None:
            best = self._board.best
            line += f": {self._metric(score)}"
            line += ", the best so far" if best is not None and best.number == event.number else ""
        left = time_left(self._board)
        more = f", about {duration(left)} left" if left else ""
        return f"{line} ({self._board.finished} of {self._board.asked} finished{more})"

    def _news(self, worker: WorkerStatus) -> Iterator[str]:
        """Tell what has changed about a worker since it was seen last, once."""
        took = f" after {worker.load_seconds:.1f} s" if worker.load_seconds is not None else ""
        told = {
            "loading": "loading the base model and compiling",
            "ready": f"ready{took}, {plural(worker.slots, 'slot')}",
            "broken": f"broken: {one_line(worker.error)}",
            "lost": f"lost: {one_line(worker.error)}",
        }
        news = [(worker.state, told[worker.state]), *((text, f"warning: {one_line(text)}") for text in worker.warnings)]
        name = "worker" if len(self._board.workers) == 1 else f"worker {worker.worker.rpartition('-')[2]}"
        for kind, text in news:
            if (worker.worker, kind) not in self._seen:
                self._seen.add((worker.worker, kind))
                yield f"{name} {text}"

    def _metric(self, value: float | None) -> str:
        return f"{self._board.outline.metric} {number(value)}"
