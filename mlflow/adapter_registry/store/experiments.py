"""The MLflow experiment that holds the sweeps: found or created, with what its page says to a reader."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from adapter_registry.errors import TrackingStoreError
from adapter_registry.names import NOTE
from adapter_registry.store.environment import HOSTED, sqlite_path
from trainer.masking import redact

_NOTE = (
    "Each sweep is a run, and its trials are the runs below it. **Views**, above, holds every sweep's leaderboard; a "
    "sweep's own page holds its description, and the search's plots under **Artifacts**."
)
_TAGS = {
    NOTE: _NOTE,
    "mlflow.experimentKind": "custom_model_development",  # the UI's page for training, without asking which one
}


def open_experiment(client: Any, uri: str, name: str, artifact_root: str | None) -> str:
    """Find or create an experiment; its id.

    Raises:
        TrackingStoreError: it was deleted, or a database needs an artifact folder and none was given.
    """
    from mlflow.exceptions import MlflowException

    found = client.get_experiment_by_name(name)
    if found is None:
        location = artifact_location(uri, artifact_root)
        try:
            created = client.create_experiment(name, artifact_location=location, tags=_TAGS)
            refuse_deleted(name, str(created or ""), "active")
            return str(created)
        except MlflowException:
            found = client.get_experiment_by_name(name)  # another process was faster
            if found is None:
                raise
    refuse_deleted(name, str(found.experiment_id), found.lifecycle_stage)
    return str(found.experiment_id)


def refuse_deleted(name: str, experiment_id: str, stage: str) -> None:
    """Refuse an experiment that is not active, or has no id: nothing can be recorded in it.

    Raises:
        TrackingStoreError: with what to do.
    """
    if not experiment_id:
        raise TrackingStoreError(
            f"The tracking store answers, but not as MLflow should: it tells no id of the experiment {name!r}. Check "
            "MLFLOW_TRACKING_URI and the credentials: a proxy or another service answers in its place."
        )
    if stage != "active":
        raise TrackingStoreError(
            f"The experiment {name!r} was deleted. Restore it with `mlflow experiments restore "
            f"--experiment-id {experiment_id}`, or choose another name."
        )


def artifact_location(uri: str, artifact_root: str | None) -> str | None:
    """Where a new experiment's files go; None: where its server says.

    Raises:
        TrackingStoreError: a database needs an artifact folder and none was given.
    """
    if artifact_root is not None:
        return (
            artifact_root
            if "://" in artifact_root or ":/" in artifact_root
            else Path(artifact_root).absolute().as_uri()
        )
    path = sqlite_path(uri)
    if path is not None:
        return (path.parent / "artifacts").as_uri()
    if uri.startswith(HOSTED):
        return None
    raise TrackingStoreError(
        f"A database without a tracking server needs a folder or bucket for artifacts, but {redact(uri)} has none. "
        "Start `mlflow server` with it, and set MLFLOW_TRACKING_URI to the server's address."
    )
