"""What a worker needs of the thing that trains: the protocol that a pack and the rehearsal both speak.

An engine is driven by one thread only: whoever calls `tick` also calls `join` and `leave`, between ticks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from trainer.config import TrialConfig
    from trainer.events import Evaluated, Event, Snapshot


class Engine(Protocol):
    """Slots that train together; `trainer.pack.pack.Pack` is the real one, `rehearsal` the model-free one."""

    @property
    def slots(self) -> int:
        """Number of slots, taken or free."""
        ...

    @property
    def free_slots(self) -> int:
        """Number of slots that `join` may still take."""
        ...

    @property
    def evaluation_due(self) -> bool:
        """Whether trials are still to be evaluated before the next step."""
        ...

    @property
    def base_metrics(self) -> Mapping[str, float]:
        """Validation metrics of the base model without an adapter; empty where nothing was measured."""
        ...

    def join(self, key: str, config: TrialConfig, checkpoint: bytes | None = None) -> Sequence[Evaluated]:
        """Take a slot for the trial `key`, from its first step or from a checkpoint; evaluations that this one knows.

        Raises:
            TrainerError: the trial does not fit (no slot free, a rank above the capacity, a damaged checkpoint).
        """
        ...

    def checkpoint(self, key: str) -> Snapshot:
        """Hold fast where the trial `key` is now, whatever it does next."""
        ...

    def leave(self, key: str) -> None:
        """Free the slot of the trial `key`; an unknown key is no error."""
        ...

    def tick(self) -> list[Event]:
        """Do one packed step, or a part of an evaluation, and tell what happened; nothing when no slot is taken.

        Of an epoch's end it tells while the trial has its slot, and not after the evaluation that belongs to it: a
        checkpoint can be taken, and stored while the trial is evaluated. Of the evaluations that are due in one moment,
        those of trials that end with it may be told first. Trials may join and leave while others are evaluated.
        """
        ...


class EngineFactory(Protocol):
    """Built in the driver, called in a worker's process: it must be possible to pickle it."""

    def __call__(self, *, slots: int) -> Engine:
        """Build an engine with so many slots; out of memory, it is tried again with fewer."""
        ...
