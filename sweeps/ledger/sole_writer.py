"""The ledger's storage as the driver sees it: trials are read once, because nobody else writes them.

Optuna reads every unfinished trial from the database each time a sampler or pruner looks around, some twenty times
per trial. The driver is the only writer of trials (`sweeps.ledger.claim`), so it may remember them: handing out a trial
takes a third of the time.
"""

from __future__ import annotations

import copy
import threading
from collections.abc import Container
from typing import TYPE_CHECKING, Any, final

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.storages import BaseStorage
    from optuna.trial import FrozenTrial, TrialState


@final
class SoleWriterStorage:
    """Wraps a storage: every write goes to the database at once, reads of trials come from memory.

    Whatever is not about single trials is passed on. Stands in for an `optuna.storages.BaseStorage`.
    """

    def __init__(self, storage: BaseStorage) -> None:
        self._storage = storage
        self._lock = threading.RLock()
        self._trials: dict[int, FrozenTrial] = {}
        self._ids: dict[int, list[int]] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._storage, name)

    def forget(self) -> None:
        """Read everything anew: what was read before this process became the only writer may be old."""
        with self._lock:
            self._trials.clear()
            self._ids.clear()

    def get_trial(self, trial_id: int) -> FrozenTrial:
        """Return a copy, which the caller may change."""
        with self._lock:
            return copy.deepcopy(self._known(trial_id))

    def get_all_trials(
        self, study_id: int, deepcopy: bool = True, states: Container[TrialState] | None = None
    ) -> list[FrozenTrial]:
        """Return the trials of a study by number."""
        with self._lock:
            if study_id not in self._ids:
                trials = self._storage.get_all_trials(study_id, deepcopy=True)
                self._ids[study_id] = [trial._trial_id for trial in trials]
                self._trials |= {trial._trial_id: trial for trial in trials}
            found = [self._known(trial_id) for trial_id in self._ids[study_id]]
            found = [trial for trial in found if states is None or trial.state in states]
            return copy.deepcopy(found) if deepcopy else found

    def create_new_trial(self, study_id: int, template_trial: FrozenTrial | None = None) -> int:
        """Add a trial."""
        with self._lock:
            trial_id = self._storage.create_new_trial(study_id, template_trial)
            ids = self._ids.get(study_id)
            if ids is None:
                return trial_id
            if self._known(trial_id).number == len(ids):
                ids.append(trial_id)
            else:  # somebody else has written: a list with a gap would lead from a number to another trial
                self.forget()
            return trial_id

    def get_trial_id_from_study_id_trial_number(self, study_id: int, trial_number: int) -> int:
        """Look up a trial; the numbers of a study count from 0 without gaps."""
        with self._lock:
            ids = self._ids.get(study_id, [])
            if trial_number < len(ids):
                return ids[trial_number]
            return self._storage.get_trial_id_from_study_id_trial_number(study_id, trial_number)

    def get_n_trials(self, study_id: int, state: Any = None) -> int:
        """Count trials, of some states or all."""
        states = (state,) if state is not None and not isinstance(state, tuple) else state
        return len(self.get_all_trials(study_id, deepcopy=False, states=states))

    def get_trial_system_attrs(self, trial_id: int) -> dict[str, Any]:
        """Return what Optuna keeps about a trial."""
        return self.get_trial(trial_id).system_attrs

    def set_trial_param(
        self, trial_id: int, param_name: str, param_value_internal: float, distribution: BaseDistribution
    ) -> None:
        """Store a parameter."""
        with self._lock:
            self._storage.set_trial_param(trial_id, param_name, param_value_internal, distribution)
            value = distribution.to_external_repr(param_value_internal)
            self._remember(trial_id, "params", param_name, value)
            self._remember(trial_id, "distributions", param_name, distribution)

    def set_trial_state_values(self, trial_id: int, *args: Any, **kwargs: Any) -> bool:
        """Store a state; False when the trial was not in the one that this follows."""
        with self._lock:
            self._trials.pop(trial_id, None)
            return self._storage.set_trial_state_values(trial_id, *args, **kwargs)

    def set_trial_intermediate_value(self, trial_id: int, step: int, intermediate_value: float) -> None:
        """Store a reported value."""
        with self._lock:
            self._storage.set_trial_intermediate_value(trial_id, step, intermediate_value)
            self._remember(trial_id, "intermediate_values", step, intermediate_value)

    def set_trial_user_attr(self, trial_id: int, key: str, value: Any) -> None:
        """Store one of our own attributes."""
        with self._lock:
            self._storage.set_trial_user_attr(trial_id, key, value)
            self._remember(trial_id, "user_attrs", key, value)

    def set_trial_system_attr(self, trial_id: int, key: str, value: Any) -> None:
        """Store one of Optuna's attributes."""
        with self._lock:
            self._storage.set_trial_system_attr(trial_id, key, value)
            self._remember(trial_id, "system_attrs", key, value)

    def _known(self, trial_id: int) -> FrozenTrial:
        if trial_id not in self._trials:
            self._trials[trial_id] = copy.deepcopy(self._storage.get_trial(trial_id))
        return self._trials[trial_id]

    def _remember(self, trial_id: int, field: str, key: Any, value: Any) -> None:
        """Change a copy: lists that were given out before keep what they held."""
        if trial_id in self._trials:
            changed = copy.copy(self._trials[trial_id])
            setattr(changed, field, {**getattr(changed, field), key: value})
            self._trials[trial_id] = changed
