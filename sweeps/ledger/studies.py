"""The ledger's studies: how a sweep's is created, and which there are."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import optuna

from sweeps.ledger.storage import storage_errors
from sweeps.ledger.trial_record import SweepRecord, read_trial

if TYPE_CHECKING:
    from optuna.storages import BaseStorage

    from sweeps.settings import SearchSettings


def new_study(storage: BaseStorage, name: str, settings: SearchSettings) -> optuna.Study:
    """Create the study, or take over one whose creation was cut off."""
    try:
        study = optuna.create_study(study_name=name, storage=storage, direction=settings.direction)
    except optuna.exceptions.DuplicatedStudyError:
        study = optuna.load_study(study_name=name, storage=storage)
        if "settings" in study.user_attrs:
            raise
        optuna.delete_study(study_name=name, storage=storage)
        return new_study(storage, name, settings)
    study.set_user_attr("created", datetime.now(UTC).isoformat(timespec="seconds"))
    study.set_user_attr("state", "created")
    return study


def list_sweeps(url: str, storage: BaseStorage) -> list[SweepRecord]:
    """List the sweeps of a ledger, oldest first.

    Raises:
        LedgerError: the database cannot be used.
    """
    with storage_errors(url):
        studies = [s for s in storage.get_all_studies() if "settings" in s.user_attrs]
        trials = [[read_trial(t) for t in storage.get_all_trials(s._study_id, deepcopy=False)] for s in studies]
    return [SweepRecord.read(s.study_name, s.user_attrs, t) for s, t in zip(studies, trials, strict=True)]
