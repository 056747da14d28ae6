"""What a worker answers to a trial that asks how it is getting on.

`Finished` and `Diverged` are the engine's own events; these are the worker's. Light, because the process of every
trial imports it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from trainer.events import Diverged, Evaluated, Finished


@dataclass(frozen=True, slots=True, kw_only=True)
class Scored:
    """A trial was evaluated; `together` are the trials, by number, that were in the same moment (itself included)."""

    event: Evaluated
    together: Mapping[int, Evaluated] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """Of the trial in its engine."""
        return self.event.key


@dataclass(frozen=True, slots=True, kw_only=True)
class StillWaiting:
    """The trial is in the worker's line, without a slot: it may look for another worker that has one."""

    key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejected:
    """The trial can never train as it is configured; trying again would not help."""

    key: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Lost:
    """The worker died, broke or gave the trial up: it goes on from its last checkpoint, here or elsewhere, if it may.

    preempted        its machine or its seat was taken away, or it had no slot yet: it is not the trial's failure
    out_of_memory    with so many slots, one of which it had; 0: something else
    """

    key: str
    reason: str
    preempted: bool = False
    out_of_memory: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Unstorable:
    """What the trial left behind was refused by the tracking store, for good: no trial can go on."""

    key: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Dropped:
    """The worker no longer has the trial: the sweep is draining, or the trial was given up."""

    key: str


Report = Scored | Finished | Diverged | Rejected | Lost | Unstorable | Dropped
LAST = (Finished, Diverged, Rejected, Unstorable, Dropped)
