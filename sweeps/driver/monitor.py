"""The driver's second thread: looks at the workers, hears requests, and keeps the claim on the sweep alive."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Self, final

from sweeps.errors import SweepsError, WorkerError
from sweeps.progress import ProgressEvent, WorkersSeen
from sweeps.sentences import sentence_of
from sweeps.workers.gauges import Gauges

if TYPE_CHECKING:
    from sweeps.driver.budget import Budget
    from sweeps.driver.desk import Desk
    from sweeps.driver.steering import Steering
    from sweeps.host.interrupts import Interrupts
    from sweeps.ledger.claim import Claim
    from sweeps.workers.pool import WorkerPool

LEDGER_EVERY_S = 2.0


@final
class Monitor:
    """Runs while trials run; use it as a context.

    Args:
        poll_s: seconds between two looks at the workers.
    """

    def __init__(
        self,
        pool: WorkerPool,
        steering: Steering,
        desk: Desk,
        claim: Claim,
        budget: Budget,
        interrupts: Interrupts,
        emit: Callable[[ProgressEvent], None],
        *,
        poll_s: float,
    ) -> None:
        self._pool = pool
        self._steering = steering
        self._claim = claim
        self._budget = budget
        self._desk = desk
        self._interrupts = interrupts
        self._emit = emit
        self._gauges = Gauges(claim.sweep)
        self._poll_s = poll_s
        self._ended = threading.Event()
        self._ledger_read = 0.0
        self._while_waiting: tuple[float, float] | None = None
        self.warnings: dict[str, None] = {}
        self._thread = threading.Thread(target=self._work, name="sweep-monitor", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()
        self._gauges.clear()
        with contextlib.suppress(SweepsError):  # of a ledger that fails or is another's the driver hears without this
            self._claim.check()
            self._budget.write()
            self._desk.show(())

    @property
    def occupancy(self) -> float | None:
        """Part of the slots' time in which a trial trained, while there were trials to begin."""
        total, busy = self._while_waiting or self._pool.slot_seconds()
        return busy / total if total else None

    def _work(self) -> None:
        try:
            while not self._ended.wait(self._poll_s):
                self._look()
        except SweepsError as error:
            self._steering.abort(error)
        except Exception as error:
            self._steering.abort(WorkerError(f"The workers cannot be watched any more: {sentence_of(error)}."))

    def _look(self) -> None:
        workers = self._pool.look()
        self.warnings |= dict.fromkeys(w for worker in workers for w in worker.warnings)
        for number in self._steering.given_up & {slot.number for worker in workers for slot in worker.taken}:
            self._pool.let_go(number)  # it was on its way to a slot when it was given up
        if self._steering.exhausted and self._while_waiting is None:
            self._while_waiting = self._pool.slot_seconds()
        self._steering.seen(workers)
        self._emit(WorkersSeen(workers=workers))
        self._gauges.show(workers)
        self._budget.spend(workers)
        spent = self._budget.reached()
        if spent is not None:
            self._steering.drain(spent)
        if self._interrupts.because is not None:
            self._steering.drain(self._interrupts.because)
        if time.monotonic() - self._ledger_read >= LEDGER_EVERY_S:
            self._ledger_read = time.monotonic()
            self._claim.renew()
            self._desk.show(workers)
            self._desk.look()
