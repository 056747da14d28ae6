"""What is known of a sweep before it runs: from its spec, or from its ledger."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sweeps.settings import Direction

if TYPE_CHECKING:
    from sweeps.ledger.ledger import Ledger
    from sweeps.spec import SweepSpec


@dataclass(frozen=True, kw_only=True)
class Outline:
    """What a table of a sweep needs beside its trials.

    trials                 number that the sweep is to end with
    parameters             names of those that vary, in the order of their columns
    evaluations_per_epoch  None where the spec is not known
    model                  the registered model that the best adapter is promoted to
    first_set              the spec's name of the validation set that metrics call `val`; '' where it has no other
    """

    name: str
    metric: str
    direction: Direction
    trials: int
    parameters: tuple[str, ...] = ()
    evaluations_per_epoch: int | None = None
    model: str | None = None
    first_set: str = ""

    @classmethod
    def of_spec(cls, spec: SweepSpec) -> Outline:
        """Take from a spec what is needed."""
        return cls(
            name=spec.name,
            metric=spec.search.metric,
            direction=spec.search.direction,
            trials=spec.search.trials,
            parameters=spec.search.space.varied,
            evaluations_per_epoch=spec.training.evaluations_per_epoch,
            model=spec.promotion.model,
            first_set=spec.data.first_set,
        )

    @classmethod
    def of_ledger(cls, ledger: Ledger, spec: SweepSpec | None) -> Outline:
        """Take what is needed from a ledger, whose spec may be unknown (a rehearsal's)."""
        settings = ledger.settings
        return cls(
            name=ledger.name,
            metric=settings.metric,
            direction=settings.direction,
            trials=ledger.trials_asked,
            parameters=spec.search.space.varied if spec else (),
            evaluations_per_epoch=spec.training.evaluations_per_epoch if spec else None,
            model=spec.promotion.model if spec else None,
            first_set=spec.data.first_set if spec else "",
        )

    def is_better(self, value: float, than: float) -> bool:
        """Compare two values of the metric."""
        return value > than if self.direction == "maximize" else value < than
