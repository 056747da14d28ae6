"""Ray Tune's scheduler: reports go to the ledger, whose pruner says which trials stop early."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ray import cloudpickle
from ray.tune.schedulers import FIFOScheduler, TrialScheduler

from sweeps.driver.searcher import LedgerSearcher
from sweeps.driver.steering import Steering
from sweeps.sentences import sentence_of
from sweeps.workers.reports import Lost, Scored

if TYPE_CHECKING:
    from collections.abc import Callable

    from ray.tune.experiment import Trial


PENDING = "PENDING"  # Trial.PENDING


class LedgerScheduler(FIFOScheduler):
    """Runs trials in the order in which they were handed out, and stops those that the ledger's pruner gives up.

    Args:
        steering: decides.
        searcher: knows the trials' numbers.
        release: frees a slot in a worker, by the worker's name and the trial's number.
        has_loaded: whether a worker, by its name, has ever had its model, and so trials in its slots.
    """

    def __init__(
        self,
        steering: Steering,
        searcher: LedgerSearcher,
        *,
        release: Callable[[str, int], None],
        has_loaded: Callable[[str], bool],
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # Ray has no types here
        self._steering = steering
        self._searcher = searcher
        self._release = release
        self._has_loaded = has_loaded

    def on_trial_result(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> str:
        """Record an evaluation or a lost worker, and say whether the trial goes on."""
        report = result["report"]
        if not isinstance(report, Scored | Lost):
            return TrialScheduler.CONTINUE
        number = self._searcher.number_of(trial.trial_id)
        with self._steering.guarded():
            if isinstance(report, Lost):
                # A worker that died while it loaded had nobody in a slot whose failure it could have been.
                preempted = report.preempted or not self._has_loaded(result["worker"])
                goes_on = self._steering.lost(number, replace(report, preempted=preempted))
            else:
                goes_on = self._steering.evaluated(number, report, result["worker"])
            if goes_on:
                return TrialScheduler.CONTINUE
        self._release(result["worker"], number)
        return TrialScheduler.STOP

    def choose_trial_to_run(self, tune_controller: Any) -> Trial | None:
        """Choose the newest pending trial.

        Older ones wait for a process that is on its way. Chosen, they would get one that is free now, Tune would
        throw the other away before it has begun, and start yet another for the newest.
        """
        trials: list[Trial] = tune_controller.get_trials()
        return next((trial for trial in reversed(trials) if trial.status == PENDING), None)

    def on_trial_error(self, tune_controller: Any, trial: Trial) -> None:
        """Keep why a process died; the searcher hears of it next."""
        self._searcher.reasons[trial.trial_id] = _reason(trial)

    def __getstate__(self) -> dict[str, Any]:
        return {}  # Tune pickles its configuration into a file that nobody reads here


def _reason(trial: Trial) -> str:
    """Read the error that Tune has just written; `trial.get_pickled_error()` looks where it is copied to later."""
    path = trial.pickled_error_file
    if path is None or not Path(path).exists():
        return "its process failed"
    with Path(path).open("rb") as file:
        return sentence_of(cloudpickle.load(file))
