"""The ledger's storage for the driver: waits for a database that does not answer, and then goes on exactly.

An answer may be lost on its way although the database has done what was asked. Most writes can simply be made again;
those that cannot (a new trial, the end of a trial) look first at what is there. The driver is the only writer of
trials (`sweeps.ledger.claim`), so what is there and was not known is its own.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, final

from optuna.exceptions import UpdateFinishedTrialError
from optuna.trial import TrialState

from sweeps.ledger.storage import wait_for_creation

if TYPE_CHECKING:
    from optuna.storages import BaseStorage
    from optuna.trial import FrozenTrial

    from sweeps.ledger.patience import Patience


@final
class PatientStorage:
    """Wraps a storage of `sweeps.ledger.storage`. Stands in for an `optuna.storages.BaseStorage`.

    What is not defined here does the same when it is done twice, and is repeated as it is.
    """

    def __init__(self, storage: BaseStorage, patience: Patience) -> None:
        self._storage = storage
        self._patience = patience
        self._lock = threading.Lock()  # two threads that create at once could take each other's trial for their own
        self._known: dict[int, set[int]] = {}

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._storage, name)

        def patiently(*args: Any, **kwargs: Any) -> Any:
            return self._patience.repeat(lambda: method(*args, **kwargs))

        return patiently

    def create_new_trial(self, study_id: int, template_trial: FrozenTrial | None = None) -> int:
        """Add one trial, even when the answer to its creation was lost."""

        def create() -> int:
            return self._storage.create_new_trial(study_id, template_trial)

        def look_and_create() -> int:
            found = self._created(study_id, known, template_trial)
            return create() if found is None else found

        with self._lock:
            if study_id not in self._known:
                trials = self._patience.repeat(lambda: self._storage.get_all_trials(study_id, deepcopy=False))
                self._known[study_id] = {trial._trial_id for trial in trials}
            known = self._known[study_id]
            trial_id = self._patience.repeat(create, look_and_create)
            known.add(trial_id)
            return trial_id

    def set_trial_state_values(self, trial_id: int, state: TrialState, values: Sequence[float] | None = None) -> bool:
        """Store a state; False when the trial was not in the one that this follows."""

        def change() -> bool:
            return self._storage.set_trial_state_values(trial_id, state, values)

        def change_or_find_changed() -> bool:
            try:
                return change() or self._storage.get_trial(trial_id).state == state
            except UpdateFinishedTrialError:
                told = self._storage.get_trial(trial_id)
                if told.state == state and (values is None or told.values == list(values)):
                    return True
                raise

        return self._patience.repeat(change, change_or_find_changed)

    def _created(self, study_id: int, known: set[int], template: FrozenTrial | None) -> int | None:
        """Find the trial whose creation was not answered."""
        wait_for_creation(self._storage, study_id)
        for trial in self._storage.get_all_trials(study_id, deepcopy=False):
            if trial._trial_id not in known and _is_like(trial, template):
                return trial._trial_id
        return None


def _is_like(trial: FrozenTrial, template: FrozenTrial | None) -> bool:
    if template is None:
        return trial.state == TrialState.RUNNING
    return trial.state == template.state and trial.system_attrs == template.system_attrs
