"""The driver's desk: what other processes ask of the sweep while it runs, and what they are shown."""

from __future__ import annotations

from typing import TYPE_CHECKING, final

from sweeps.errors import NotFoundError, RequestError
from sweeps.ledger.carrying_out import carry_out, stoppable, stopped
from sweeps.ledger.live_note import write_workers
from sweeps.ledger.requests import Answer, Asked, Cancel, Pause, Request, Stop, StopTrial, answer, pending

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import UnionType

    from sweeps.driver.steering import Steering
    from sweeps.ledger.ledger import Ledger
    from sweeps.progress import WorkerStatus

TURN_S = 0.5  # longer than Tune's loop takes to record what it heard
_ENDING = Stop | Pause | Cancel


@final
class Desk:
    """Carries out requests from the ledger, and tells there what the workers do; used by the driver's threads.

    Args:
        ledger: of the sweep.
        steering: carries out what is asked of trials, and ends the sweep.
        left_over: what was pending before this driver claimed the sweep: it was asked of an earlier one.
    """

    def __init__(self, ledger: Ledger, steering: Steering, left_over: Sequence[Asked]) -> None:
        self._ledger = ledger
        self._steering = steering
        self._left_over = left_over
        self._closed = False
        self._shown: object = None

    def open(self) -> None:
        """Begin: an earlier driver that was asked to stop and died has done so, what else it was asked is done now."""
        self._ledger.note_sweep(draining="")
        for asked in pending(self._ledger):
            if asked in self._left_over and isinstance(asked.request, _ENDING):
                answer(self._ledger, asked, Answer("The process that ran the sweep has ended."))
        self.look()

    def look(self) -> None:
        """Carry out and answer what was asked since; what has to wait for its turn is left to the next look.

        Tune's loop keeps the turn for as long as MLflow does not answer it. Whoever wants the sweep to end is heard
        then, too, and the monitor goes on with all else that it does.
        """
        self._hear(_ENDING)
        if self._steering.turn.acquire(timeout=TURN_S):
            try:
                self._hear(Request)
            finally:
                self._steering.turn.release()

    def show(self, workers: Sequence[WorkerStatus]) -> None:
        """Let others see what the workers do; writes nothing while that stays the same."""
        note = write_workers(workers)
        if note != self._shown:
            self._ledger.note_sweep(workers=note)
            self._shown = note

    def closes(self) -> bool:
        """Close, unless there is more to train: who asks from then on waits for the driver's end."""
        with self._steering.turn:
            self.look()
            self._closed = not self._steering.has_more
            self._steering.exhausted = self._closed
            return self._closed

    def _hear(self, kinds: UnionType) -> None:
        for asked in () if self._closed else pending(self._ledger):
            if isinstance(asked.request, kinds):
                answer(self._ledger, asked, self._answer(asked))

    def _answer(self, asked: Asked) -> Answer:
        try:
            return Answer(self._carry_out(asked))
        except (RequestError, NotFoundError) as error:
            return Answer(str(error), refused=True)

    def _carry_out(self, asked: Asked) -> str:
        name = self._ledger.name
        match asked.request:
            case Stop():
                self._steering.drain("`sweeps stop` was called")
                return f"{name!r} is stopping: its trials end as soon as their checkpoints are stored."
            case Pause():
                self._steering.pausing = True
                self._steering.drain("`sweeps pause` was called")
                return f"{name!r} is about to pause: its trials end as soon as their checkpoints are stored."
            case Cancel():
                self._steering.cancel("`sweeps stop --now` was called")
                return f"{name!r} is ended at once: its trials go on from their last checkpoints."
            case StopTrial(number=number):
                if stoppable(self._ledger, number).state != "pruned":
                    self._steering.stop_by_hand(number)
                return stopped(self._ledger, number)
        text = carry_out(self._ledger, asked)
        self._steering.look_again()
        return text
