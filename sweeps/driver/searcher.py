"""Ray Tune's searcher: Tune asks it for trials, and it hands out what the ledger says."""

from __future__ import annotations

from typing import Any

from ray.tune.search import Searcher

from sweeps.driver.steering import Steering
from sweeps.workers.reports import Report


class LedgerSearcher(Searcher):
    """Translates between Tune's trial ids and the ledger's trial numbers.

    Args:
        steering: knows which trial is next, and what its end means.
        workers: prefix of the workers' names, for the trials' processes.
        processes: that Tune starts, for the first trials; later ones are given those that are free.
        starting: how many of them may start at the same time.
    """

    def __init__(self, steering: Steering, *, workers: str, processes: int, starting: int) -> None:
        super().__init__()
        self._steering = steering
        self._workers = workers
        self._processes = processes
        self._starting = starting
        self._numbers: dict[str, int] = {}
        self._begun: set[str] = set()
        self.reasons: dict[str, str] = {}

    def suggest(self, trial_id: str) -> Any:
        """Hand out the next trial; None when there is none now, and `FINISHED` (a word) when there are no more.

        Tune never asks again after that word, and while a trial is under way somebody may still ask for others. There
        is none now, either, while as many of the first processes are starting as may.
        """
        if len(self._begun) < self._processes and len(self._numbers) - len(self._begun) >= self._starting:
            return None
        handout = None
        with self._steering.guarded():
            handout = self._steering.next()
        if handout is None:
            return None if self._steering.is_training else Searcher.FINISHED
        self._numbers[trial_id] = handout.number
        config = {"number": handout.number, "params": dict(handout.params), "run_id": handout.run_id}
        config |= {"again": handout.again, "checkpoint_run_id": handout.checkpoint_run_id}
        return {**config, "workers": self._workers}

    def began(self, trial_id: str) -> None:
        """Hear that a trial's process has begun."""
        self._begun.add(trial_id)

    def number_of(self, trial_id: str) -> int:
        """Return the ledger's number of a Tune trial."""
        return self._numbers[trial_id]

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Tell the end of a trial; `error` means that its process died, before it began or later."""
        self._begun.add(trial_id)  # or it never will
        number = self.number_of(trial_id)
        report: Report | None = (result or {}).get("report")
        with self._steering.guarded():
            if error:
                self._steering.process_lost(number, self.reasons.get(trial_id, "its process failed"))
            elif report is None:
                self._steering.stopped(number)
            else:
                self._steering.ended(number, report)

    def save(self, checkpoint_path: str) -> None:
        """Save nothing: what must survive is in the ledger."""

    def restore(self, checkpoint_path: str) -> None:
        """Restore nothing: a resumed sweep opens the ledger."""

    def save_to_dir(self, checkpoint_dir: str, session_str: str = "default") -> None:
        """Save nothing, as in `save`."""

    def __getstate__(self) -> dict[str, Any]:
        return {}  # Tune pickles its configuration into a file that nobody reads here
