"""What a running sweep tells: small frozen values, from which a live table or plain lines are drawn.

`run_sweep(..., on_event=...)` calls the function with these, from the driver's threads, one call at a time.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from adapter_registry.runs.tracking import State

WorkerState = Literal["loading", "ready", "broken", "lost"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Preparing:
    """What is done before the sweep begins, or after its last trial: a few words such as `reading the data`."""

    what: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepStarted:
    """The driver has begun; `finished` trials were complete, pruned or failed before (after a resume)."""

    name: str
    trials: int
    finished: int
    workers: int
    slots: int
    run_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepGrew:
    """Somebody asked for more trials: the sweep is to end with so many."""

    trials: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialStarted:
    """A trial was handed out; it trains as soon as a worker has a slot. `attempt` counts from 1."""

    number: int
    params: Mapping[str, Any]
    attempt: int
    run_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialEvaluated:
    """A trial reported its metrics; `value` is the one that the sweep optimises."""

    number: int
    evaluation: int
    evaluations_total: int
    step: int
    epoch: float
    value: float
    metrics: Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialRetried:
    """A trial lost its worker and goes on from its last checkpoint, or from the beginning."""

    number: int
    because: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialEnded:
    """A trial is complete, pruned, failed or stopped, and why; `kept`: what it counts with if a person stopped it."""

    number: int
    state: State
    value: float | None
    because: str
    kept: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SlotStatus:
    """One taken slot; the loss and the speed are the last that were measured, None before the first."""

    key: str
    number: int
    step: int
    steps_total: int | None
    epoch: float
    train_loss: float | None
    tokens_per_second: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerStatus:
    """One worker now.

    slot_seconds          of all its slots since it was ready, and `busy_slot_seconds` of those that were taken
    waiting               trials in its line
    error                 why it is broken or lost
    out_of_memory         whether that was for want of memory
    vacant                whether it was told to give its trials to others, or is broken, and nobody has to hear of it
    warnings              what went wrong lately without ending a trial
    base_metrics          of the base model without an adapter, once the worker is ready
    """

    worker: str
    state: WorkerState
    slots: int = 0
    taken: tuple[SlotStatus, ...] = ()
    waiting: int = 0
    ticks: int = 0
    load_seconds: float | None = None
    slot_seconds: float = 0.0
    busy_slot_seconds: float = 0.0
    error: str = ""
    out_of_memory: bool = False
    vacant: bool = False
    warnings: tuple[str, ...] = ()
    base_metrics: Mapping[str, float] = field(default_factory=dict)
    pid: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkersSeen:
    """All workers, as seen every half second or so."""

    workers: tuple[WorkerStatus, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Draining:
    """No new trials begin; running ones stop as soon as their checkpoints are stored."""

    because: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Outage:
    """The ledger does not answer, and why; training goes on meanwhile. Without a reason it answers again."""

    because: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Withdrawn:
    """The launch was refused before a trial had begun, and nothing is left of it."""


ProgressEvent = (
    Preparing
    | SweepStarted
    | SweepGrew
    | TrialStarted
    | TrialEvaluated
    | TrialRetried
    | TrialEnded
    | WorkersSeen
    | Draining
    | Outage
    | Withdrawn
)
