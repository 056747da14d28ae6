"""What a sweep may use up, over all runs of its driver: trials, hours, accelerator-hours. Reached, it is drained.

The hours that were used are in the ledger, so that a resumed sweep does not begin at zero.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, final

from sweeps.progress import WorkerStatus

if TYPE_CHECKING:
    from sweeps.ledger.ledger import Ledger
    from sweeps.settings import BudgetSettings

WRITE_S = 10.0
_ENDED = ("complete", "pruned", "failed")


@final
class Budget:
    """Counts while workers run; used by one thread.

    Args:
        settings: the limits.
        ledger: keeps what was used.
        clock: seconds that only grow.
    """

    def __init__(self, settings: BudgetSettings, ledger: Ledger, clock: Callable[[], float] = time.monotonic) -> None:
        self._settings = settings
        self._ledger = ledger
        self._clock = clock
        self._counted = self._written = clock()
        used = ledger.study.user_attrs
        self._hours, self._accelerator_hours = used.get("hours", 0.0), used.get("accelerator_hours", 0.0)

    def spend(self, workers: Sequence[WorkerStatus]) -> None:
        """Count the time since the last call, for each worker that holds an accelerator."""
        now = self._clock()
        hours, self._counted = (now - self._counted) / 3600, now
        self._hours += hours
        self._accelerator_hours += hours * sum(worker.state in {"loading", "ready"} for worker in workers)
        if now - self._written >= WRITE_S:
            self.write()

    def write(self) -> None:
        """Keep what was used in the ledger."""
        self._written = self._clock()
        self._ledger.note_sweep(hours=self._hours, accelerator_hours=self._accelerator_hours, hours_at=time.time())

    def reached(self) -> str | None:
        """Say which limit is reached, if one is."""
        limits = self._settings
        if limits.max_hours is not None and self._hours >= limits.max_hours:
            return f"its budget of {limits.max_hours:g} hours is used up"
        if limits.max_accelerator_hours is not None and self._accelerator_hours >= limits.max_accelerator_hours:
            return f"its budget of {limits.max_accelerator_hours:g} accelerator-hours is used up"
        if limits.max_trials is not None and self._ended() >= limits.max_trials:
            return f"its budget of {limits.max_trials} trials is used up"
        return None

    def _ended(self) -> int:
        return sum(trial.state in _ENDED for trial in self._ledger.trials())
