"""How a sweep is doing, as Ray metrics: the cluster's nodes offer them to Prometheus, and the dashboard draws them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, final, get_args

from sweeps.progress import WorkerState

if TYPE_CHECKING:
    from sweeps.progress import WorkerStatus

SWEEP, STATE = "sweep", "state"


@final
class Gauges:
    """The gauges of one sweep, set by its driver.

    Args:
        sweep: its name, a label of all of them.
    """

    def __init__(self, sweep: str) -> None:
        from ray.util.metrics import Gauge

        self._sweep = sweep
        self._workers = Gauge("sweeps_workers", "Workers of a sweep, by their state.", (SWEEP, STATE))
        self._slots = Gauge("sweeps_slots", "Slots of a sweep's workers that are ready.", (SWEEP,))
        self._taken = Gauge("sweeps_slots_taken", "Slots in which a trial trains.", (SWEEP,))
        self._speed = Gauge("sweeps_tokens_per_second", "Tokens a second that all slots train on.", (SWEEP,))

    def show(self, workers: Sequence[WorkerStatus]) -> None:
        """Set them to what was seen last."""
        own = {SWEEP: self._sweep}
        states = Counter(worker.state for worker in workers)
        for state in get_args(WorkerState):
            self._workers.set(states[state], own | {STATE: state})
        taken = [slot for worker in workers for slot in worker.taken]
        self._slots.set(sum(worker.slots for worker in workers), own)
        self._taken.set(len(taken), own)
        self._speed.set(sum(slot.tokens_per_second or 0.0 for slot in taken), own)

    def clear(self) -> None:
        """Set them to zero: the sweep runs no more."""
        self.show(())
