"""What a pack tells about its slots: small values that can be pickled, and a snapshot, which stays in its process."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One generated reply; `seconds` is the wall time of the batch it was generated in, divided by its prompts."""

    prompt: str
    reply: str
    tokens: int
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that happened to the trial `key` after `step` optimiser steps."""

    key: str
    step: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress(Event):
    """Training goes on; `metrics` are means since the last `Progress` (`train_loss`, `tokens_per_second`, …)."""

    steps_total: int
    epoch: float
    metrics: Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluated(Event):
    """The validation sets were evaluated; `evaluation` counts from 1 to `evaluations_total`."""

    evaluation: int
    evaluations_total: int
    epoch: float
    metrics: Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class EpochEnded(Event):
    """Epoch number `epoch` (from 1) is trained, and about to be evaluated; `adapter`: file names with contents."""

    epoch: int
    adapter: Mapping[str, bytes]
    samples: tuple[Sample, ...] = field(default=())


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished(Event):
    """The trial has trained all its epochs; its slot is free."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Diverged(Event):
    """The loss or a gradient stopped being a finite number at `step`; the slot is free."""

    reason: str


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A trial as it was after `step` steps; `to_bytes` makes its checkpoint, in any thread."""

    step: int
    to_bytes: Callable[[], bytes]
