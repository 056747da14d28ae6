"""What a worker needs of the thing that trains: the protocol that a pack and the rehearsal both speak.

An engine is driven by one thread only: whoever calls `tick` also calls `join` and `leave`, between ticks.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from trainer.config import TrialConfig
    from trainer.events import Event


class Engine(Protocol):
    """Slots that train together; `trainer.pack.Pack` is the real one, `sweeps.rehearsal` the model-free one."""

    @property
    def slots(self) -> int:
        """Number of slots, taken or free."""
        ...

    @property
    def free_slots(self) -> int:
        """Number of slots that `join` may still take."""
        ...

    @property
    def base_metrics(self) -> Mapping[str, float]:
        """Validation metrics of the base model without an adapter; empty where nothing was measured."""
        ...

    def join(self, key: str, config: TrialConfig, checkpoint: bytes | None = None) -> None:
        """Take a slot for the trial `key`, from its first step or from a checkpoint.

        Raises:
            TrainerError: the trial does not fit (no slot free, a rank above the capacity, a damaged checkpoint).
        """
        ...

    def leave(self, key: str) -> None:
        """Free the slot of the trial `key`; an unknown key is no error."""
        ...

    def tick(self) -> list[Event]:
        """Do one packed step or evaluation and tell what happened; nothing when no slot is taken."""
        ...


# Built here, called in the worker's process: it must be possible to pickle it.
EngineFactory = Callable[[], Engine]
