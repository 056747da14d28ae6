"""What an arm of a comparison leaves behind: its trials, and when its parts began, as JSON between processes."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sweeps.ledger.trial_record import TrialRecord


@dataclass(frozen=True, kw_only=True)
class TrialOutcome:
    """One trial as an arm trained it.

    state    `complete`, `pruned` or `failed`
    losses   validation loss after each evaluation
    """

    number: int
    state: str
    losses: tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class ArmOutcome:
    """One run of one arm.

    seconds   wall time of the whole arm, its process included, measured from outside
    marks     seconds of its parts, by name, measured from inside
    """

    trials: tuple[TrialOutcome, ...]
    seconds: float = 0.0
    marks: Mapping[str, Any] = field(default_factory=dict)

    @property
    def completed(self) -> int:
        """Trials that were trained to their end."""
        return sum(trial.state == "complete" for trial in self.trials)

    @property
    def best_loss(self) -> float | None:
        """The lowest last loss of a trial that was trained to its end."""
        return min((t.losses[-1] for t in self.trials if t.state == "complete" and t.losses), default=None)

    @property
    def evaluations(self) -> int:
        """Evaluations of all trials."""
        return sum(len(trial.losses) for trial in self.trials)

    def differences(self, other: ArmOutcome) -> list[float]:
        """How far the last loss of each trial that both have trained to its end lies above the other's, relatively."""
        ours, theirs = self._last_losses(), other._last_losses()
        return [ours[number] / theirs[number] - 1 for number in sorted(ours.keys() & theirs.keys())]

    def _last_losses(self) -> dict[int, float]:
        return {t.number: t.losses[-1] for t in self.trials if t.state == "complete" and t.losses}


def from_ledger(trials: Iterable[TrialRecord]) -> tuple[TrialOutcome, ...]:
    """Read outcomes from what the ledger says of trials."""
    return tuple(
        TrialOutcome(number=t.number, state=t.state, losses=tuple(t.evaluations[e] for e in sorted(t.evaluations)))
        for t in trials
    )


def write_outcome(path: Path, trials: Sequence[TrialOutcome], marks: Mapping[str, Any] | None = None) -> None:
    """Write an arm's outcome, its own wall time left out: who started it knows that."""
    path.write_text(json.dumps({"trials": [asdict(trial) for trial in trials], "marks": dict(marks or {})}))


def read_outcome(path: Path, *, seconds: float) -> ArmOutcome:
    """Read what `write_outcome` wrote."""
    found = json.loads(path.read_text())
    trials = (TrialOutcome(**{**trial, "losses": tuple(trial["losses"])}) for trial in found["trials"])
    return ArmOutcome(trials=tuple(trials), seconds=seconds, marks=found["marks"])
