"""Successive halving whose rungs are the ledger's own values, so that trials are judged by all that is known.

Optuna's pruner of that name lets whoever reports first at a rung go on, whatever its value. Slots train in step and
report in the same moment: then a poor trial could go on because it stood in the first slot, and better ones end. Here
a trial is measured against everybody who has reached its rung by now, and again at each report that follows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, final

from optuna.pruners import BasePruner
from optuna.study import StudyDirection
from optuna.trial import TrialState

if TYPE_CHECKING:
    from optuna.study import Study
    from optuna.trial import FrozenTrial


@final
class HalvingPruner(BasePruner):
    """Stops a trial that is not among the best 1/`reduction_factor` of those that reached the same rung.

    Rungs are at `min_evaluations`, `min_evaluations · reduction_factor`, and so on. Of fewer trials than the factor
    one goes on: the best. Trials that failed are left out, and a trial is stopped only where a better one goes on or
    is complete: else those that a leader had stopped before it diverged, or was stopped by hand, would stop all others,
    and nobody would be left. The pruner has no state: what it says follows from the ledger.

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
        others = [t for t in study.get_trials(deepcopy=False) if rung in t.intermediate_values and _counts(t)]
        sign = -1 if study.direction == StudyDirection.MAXIMIZE else 1
        own = sign * trial.intermediate_values[rung]
        better = [t for t in others if sign * t.intermediate_values[rung] < own]
        going_on = max(1, len(others) // self._factor)
        return len(better) >= going_on and any(t.state != TrialState.PRUNED for t in better)

    def _rung(self, evaluations: int) -> int:
        """The highest rung that so many evaluations have reached, as an evaluation's number; at least the first."""
        rung = self._first
        while rung * self._factor <= evaluations:
            rung *= self._factor
        return rung


def _counts(trial: FrozenTrial) -> bool:
    """Tell whether others are measured by a trial: not by one that failed, whatever it promised before.

    Nor by one that continues another: it has the same values again, which may count for nobody twice.
    """
    return trial.state != TrialState.FAIL and "continues" not in trial.user_attrs
