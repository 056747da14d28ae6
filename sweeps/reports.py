"""What a worker answers to a trial that asks how it is getting on.

`Evaluated`, `Finished` and `Diverged` are the engine's own events; these are the worker's. Light, because the
process of every trial imports it.
"""

from __future__ import annotations

from dataclasses import dataclass

from trainer.events import Diverged, Evaluated, Finished


@dataclass(frozen=True, slots=True, kw_only=True)
class StillWaiting:
    """The trial is in the worker's line, without a slot."""

    key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejected:
    """The trial can never train as it is configured; trying again would not help."""

    key: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Broken:
    """The worker, or what it writes to, failed: the trial may be tried again, here or elsewhere."""

    key: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Dropped:
    """The worker no longer has the trial: the sweep is draining, or nobody asked for its reports."""

    key: str


Report = Evaluated | Finished | Diverged | Rejected | Dropped
