"""One trial as it is shown: what is known of its parameters, progress and metrics."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from adapter_registry.runs.tracking import State

ENDED: frozenset[State] = frozenset({"complete", "pruned", "failed"})


@dataclass
class Row:
    """One trial.

    kept          what it counts with although it was pruned: somebody stopped it
    state         `waiting`: handed out, but not in a slot yet
    joined_step   the step that it had when it was first seen in a slot (more than 0 after a checkpoint)
    first_step    the first step that it was seen to have done there: those up to it may have compiled
    seen_at       when that was, on the board's clock
    step_seconds  that one of its steps takes; None before it is evaluated behind `first_step`
    order         grows with every change of state: what ended last is shown first
    """

    number: int
    params: Mapping[str, Any]
    state: State = "waiting"
    step: int = 0
    steps_total: int | None = None
    epoch: float = 0.0
    train_loss: float | None = None
    value: float | None = None
    kept: float | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)
    evaluation: int = 0
    evaluations_total: int | None = None
    because: str = ""
    attempt: int = 1
    joined_step: int | None = None
    first_step: int = 0
    seen_at: float | None = None
    step_seconds: float | None = None
    order: int = 0

    @property
    def score(self) -> float | None:
        """What it is compared by, as far as it is known; None: it does not compete."""
        return self.kept if self.state in {"pruned", "failed"} else self.value

    @property
    def fraction(self) -> float:
        """Part of its training that is done, as far as it is known."""
        if self.state in ENDED:
            return 1.0
        return self.reached

    @property
    def reached(self) -> float:
        """Part of its training that it has done, by its steps, or where they are not known, by its evaluations."""
        if self.steps_total:
            return min(1.0, self.step / self.steps_total)
        return min(1.0, self.evaluation / self.evaluations_total) if self.evaluations_total else 0.0
