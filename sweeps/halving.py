"""Successive halving whose rungs are the ledger's own values, so that trials are judged by all that is known.

Optuna's pruner of that name lets whoever reports first at a rung go on, whatever its value. Slots train in step and
report in the same moment: then a poor trial could go on because it stood in the first slot, and better ones end. Here
a trial is measured against everybody who has reached its rung by now, and again at each report that follows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, final

from optuna.pruners import BasePruner
from optuna.study import StudyDirection

if TYPE_CHECKING:
    from optuna.study import Study
    from optuna.trial import FrozenTrial


@final
class HalvingPruner(BasePruner):
    """Stops a trial that is not among the best 1/`reduction_factor` of those that reached the same rung.

    Rungs are at `min_evaluations`, `min_evaluations · reduction_factor`, and so on. Of fewer trials than the factor
    one goes on: the best. The pruner has no state: what it says follows from the values in the ledger.

    Args:
        min_evaluations: evaluations that every trial gets, at least 1.
        reduction_factor: at least 2.
    """

    def __init__(self, *, min_evaluations: int, reduction_factor: int) -> None:
        self._first = min_evaluations
        self._factor = reduction_factor

    def prune(self, study: Study, trial: FrozenTrial) -> bool:
        """Tell whether the trial is to end now; its last value must be in the ledger."""
        rung = self._rung(max(trial.intermediate_values, default=0))
        if rung not in trial.intermediate_values:
            return False
        sign = -1 if study.direction == StudyDirection.MAXIMIZE else 1
        # One that continues another has the same values again, and may count for nobody twice.
        others = [t for t in study.get_trials(deepcopy=False) if "continues" not in t.user_attrs]
        known = sorted(sign * t.intermediate_values[rung] for t in others if rung in t.intermediate_values)
        going_on = max(1, len(known) // self._factor)
        return bool(sign * trial.intermediate_values[rung] > known[going_on - 1])

    def _rung(self, evaluations: int) -> int:
        """The highest rung that so many evaluations have reached, as an evaluation's number; at least the first."""
        rung = self._first
        while rung * self._factor <= evaluations:
            rung *= self._factor
        return rung
