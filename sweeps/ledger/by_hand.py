"""What a trial counts with that a person has stopped: the best epoch whose adapter is stored.

He ended it, not the search: what it had reached by then competes like a complete trial. An epoch counts when it was
evaluated at its end, and from the next reconciliation on (`sweeps.driver.reconcile`) only if its adapter is in MLflow.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sweeps.ledger.trial_record import TrialRecord
    from sweeps.settings import SearchSettings

BY_HAND = "stopped by hand"
STORED = "stored_epochs:"  # and a trial's number, among a study's attributes: the epochs whose adapters are in MLflow


def best_epoch_value(
    trial: TrialRecord, settings: SearchSettings, *, stored: Collection[int] | None, inherited: Collection[int]
) -> float | None:
    """Return the metric at the end of the best epoch that counts; None when none does.

    Args:
        trial: that was stopped by hand.
        settings: of its sweep.
        stored: epochs whose adapters are in MLflow; None while that was not looked up.
        inherited: evaluations of the trial that it continues, which has their adapters.
    """
    per_epoch = settings.evaluations_per_epoch
    counting = [
        value
        for evaluation, value in trial.evaluations.items()
        if evaluation % per_epoch == 0
        and (evaluation not in inherited if stored is None else evaluation // per_epoch in stored)
    ]
    best = max if settings.direction == "maximize" else min
    return best(counting, default=None)
