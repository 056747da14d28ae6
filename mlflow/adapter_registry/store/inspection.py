"""Looks at a tracking store before a sweep: whether it can hold one, as far as that is seen without making anything.

MLflow itself makes tables in whatever database it opens, so databases are asked in SQL.
"""

from __future__ import annotations

from typing import Any

from adapter_registry.store.connection import database_engine, database_errors, probe_server, probe_store
from adapter_registry.store.environment import HOSTED, sqlite_path
from adapter_registry.store.experiments import artifact_location, refuse_deleted

_QUESTION = "SELECT experiment_id, lifecycle_stage FROM experiments WHERE name = :name"


def inspect_store(uri: str, experiment: str, artifact_root: str | None = None) -> bool:
    """Check that sweeps can be recorded in an experiment; makes no file, no table and no experiment.

    Args:
        uri: of the tracking store.
        experiment: its name; there may be none of it yet.
        artifact_root: folder or URI for the files of a new experiment.

    Returns:
        Whether there is a store already; else the first sweep makes its file or its tables.

    Raises:
        TrackingUnreachableError: it does not answer.
        TrackingStoreError: it cannot be used, or the experiment was deleted.
    """
    probe_store(uri)
    path = sqlite_path(uri)
    if path is not None and not path.exists():
        return False
    if path is None and uri.startswith(HOSTED):
        found = probe_server(uri, lambda client: client.get_experiment_by_name(experiment))
        stage = None if found is None else (found.experiment_id, found.lifecycle_stage)
        is_there = True
    else:
        is_there, stage = _ask_database(uri, experiment)
    if stage is None:
        artifact_location(uri, artifact_root)
    else:
        refuse_deleted(experiment, *stage)
    return is_there


def _ask_database(uri: str, experiment: str) -> tuple[bool, Any]:
    """Whether MLflow's tables are there, and the experiment's id and stage."""
    import sqlalchemy

    with database_errors(uri), database_engine(uri).connect() as connection:
        if not sqlalchemy.inspect(connection).has_table("experiments"):
            return False, None
        row = connection.execute(sqlalchemy.text(_QUESTION), {"name": experiment}).first()
    return True, None if row is None else tuple(row)
