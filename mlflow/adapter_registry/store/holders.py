"""Whose sweep has a name in an experiment: two sweeps of one name, of two ledgers, would be taken for one another."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from adapter_registry.errors import TrackingStoreError
from adapter_registry.names import PARENT_RUN, SWEEP_ID, SWEEP_NAME, quoted
from adapter_registry.store.connection import database_engine, database_errors, probe_server
from adapter_registry.store.environment import HOSTED, sqlite_path
from trainer.masking import redact

_QUESTION = f"""
SELECT runs.run_uuid, own.value FROM runs
JOIN experiments ON experiments.experiment_id = runs.experiment_id
JOIN tags named ON named.run_uuid = runs.run_uuid AND named.key = '{SWEEP_NAME}'
LEFT JOIN tags own ON own.run_uuid = runs.run_uuid AND own.key = '{SWEEP_ID}'
LEFT JOIN tags above ON above.run_uuid = runs.run_uuid AND above.key = '{PARENT_RUN}'
WHERE experiments.name = :experiment AND runs.lifecycle_stage = 'active' AND named.value = :name
AND above.value IS NULL
"""  # noqa: S608  (the tags' names are ours)


@dataclass(frozen=True, slots=True)
class Holder:
    """A sweep's run; `sweep_id` is '' where an older version recorded it."""

    run_id: str
    sweep_id: str


def check_name(uri: str, experiment: str, name: str, own: Collection[str] = ()) -> None:
    """Refuse a name that a sweep of another ledger has in an experiment; makes nothing.

    Args:
        uri: of the tracking store, which can be used.
        experiment: its name; there may be none of it.
        name: of the sweep.
        own: by which the sweep's own run is known: its id, and the run's that its ledger names. A new one has neither.

    Raises:
        TrackingUnreachableError: the store does not answer.
        TrackingStoreError: the name is held, with what to do.
    """
    holders = _holders(uri, experiment, name)
    if not holders or any((holder.sweep_id or holder.run_id) in own for holder in holders):
        return
    raise TrackingStoreError(
        f"The experiment {experiment!r} in {redact(uri)} has a sweep named {name!r} of another ledger already (run "
        f"{holders[0].run_id}): both would go by one name there. Choose another name with `--name`, another "
        "`experiment`, or the ledger of that sweep with SWEEPS_LEDGER or SWEEPS_HOME; or delete that run in MLflow if "
        "nobody needs it."
    )


def _holders(uri: str, experiment: str, name: str) -> list[Holder]:
    if uri.startswith(HOSTED):
        return probe_server(uri, lambda client: _ask_server(client, experiment, name))
    path = sqlite_path(uri)
    if path is not None and not path.exists():
        return []
    return _ask_database(uri, experiment, name)


def _ask_server(client: Any, experiment: str, name: str) -> list[Holder]:
    found = client.get_experiment_by_name(experiment)
    if found is None:
        return []
    where = f"tags.`{SWEEP_NAME}` = {quoted(name)} and tags.`{PARENT_RUN}` IS NULL"
    runs = client.search_runs([found.experiment_id], where)
    return [Holder(run.info.run_id, run.data.tags.get(SWEEP_ID, "")) for run in runs]


def _ask_database(uri: str, experiment: str, name: str) -> list[Holder]:
    import sqlalchemy

    with database_errors(uri), database_engine(uri).connect() as connection:
        if not sqlalchemy.inspect(connection).has_table("tags"):
            return []
        rows = connection.execute(sqlalchemy.text(_QUESTION), {"experiment": experiment, "name": name})
        return [Holder(str(run_id), sweep_id or "") for run_id, sweep_id in rows]
