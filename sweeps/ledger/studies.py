"""The ledger's studies: how a sweep's is created, and which there are."""

from __future__ import annotations

import hashlib
import uuid
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import optuna

from sweeps.ledger.storage import storage_errors
from sweeps.ledger.trial_record import SweepRecord, read_trial

if TYPE_CHECKING:
    from collections.abc import Mapping

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
    study.set_user_attr("id", uuid.uuid4().hex)
    study.set_user_attr("created", datetime.now(UTC).isoformat(timespec="seconds"))
    study.set_user_attr("state", "created")
    return study


def id_of(name: str, attrs: Mapping[str, Any]) -> str:
    """A sweep's unique id; of one that has none, since its ledger is older, every process makes the same."""
    told = "|".join([name, attrs.get("created", ""), attrs.get("run_id") or ""])
    return str(attrs.get("id") or hashlib.sha256(told.encode()).hexdigest()[:32])


def list_sweeps(url: str, storage: BaseStorage) -> list[SweepRecord]:
    """List the sweeps of a ledger, oldest first.

    Raises:
        LedgerError: the database cannot be used.
    """
    with storage_errors(url):
        studies = [s for s in storage.get_all_studies() if "settings" in s.user_attrs]
        trials = [[read_trial(t) for t in storage.get_all_trials(s._study_id, deepcopy=False)] for s in studies]
    return [SweepRecord.read(s.study_name, s.user_attrs, t) for s, t in zip(studies, trials, strict=True)]
