"""Finding runs and completing what a crash left half-written: the parts of `MlflowTracker` below its interface."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from adapter_registry.errors import TrackingStoreError
from adapter_registry.names import SWEEP_KEPT, SWEEP_STATE
from adapter_registry.runs.tracking import RUN_STATUS, Dataset, State
from adapter_registry.store.outages import ForeignAnswerError

PAGE = 1000
SETTLE_S = 20.0  # far longer than a creation and a search take, on a busy server too
PARAMS_PER_CALL = 100  # MLflow refuses more
DATASET_DIGEST_CHARS = 12  # what its column shows; the whole digest is in the tag `data.<name>.digest`


def find_run(client: Any, experiment_id: str, where: str) -> Any | None:
    """The run that a filter names, or None.

    One that its creator has not kept yet may be a twin that is about to go: it counts when it was kept, or when its
    creator has had time enough and must have died.
    """
    deadline = time.monotonic() + SETTLE_S
    while True:
        runs = client.search_runs([experiment_id], where, order_by=["attributes.start_time ASC"], max_results=10)
        if not runs:
            return None
        if kept := _kept(runs):
            return kept
        alone_s = time.time() - max(run.info.start_time for run in runs) / 1000
        if alone_s > SETTLE_S or time.monotonic() > deadline:
            return min(runs, key=_age)
        time.sleep(0.05)


def find_or_create(
    client: Any,
    experiment_id: str,
    where: str,
    tags: Mapping[str, str],
    name: str,
    state: State,
    params: Mapping[str, str],
    *,
    look_first: bool,
) -> Any | None:
    """Find the run that a filter names, or create it with its tags in one call; its status follows its state.

    None, or an error that says `deleted`: it was a younger twin, which its creator deleted in this moment.
    """
    run = find_run(client, experiment_id, where) if look_first else None
    if run is None:
        created = client.create_run(experiment_id, tags={**tags, SWEEP_STATE: state}, run_name=name)
        if not created.info.run_id:
            raise ForeignAnswerError(f"The run {name!r} was created without an id.")
        run = settled(client, created, where)
    if run is None:
        return None
    keep(client, run, params)
    status = RUN_STATUS.get(run.data.tags.get(SWEEP_STATE, ""), run.info.status)
    if status != run.info.status:
        client.update_run(run.info.run_id, status=status)
    return run


def settled(client: Any, created: Any, where: str) -> Any | None:
    """The run to keep after a creation, when other processes may have created the same one at the same moment.

    The younger goes. But an older one that was stored late may not have been seen by the younger, which is kept then:
    so the older waits for the younger to go, and goes itself when it does not. Of two creators at least one sees the
    other's run, since each stores its own before it looks: never do both keep theirs.

    None: each has left it to the others, and none is left.
    """
    deadline = time.monotonic() + SETTLE_S
    while True:
        runs = client.search_runs([created.info.experiment_id], where)
        others = [run for run in runs if run.info.run_id != created.info.run_id]
        kept = _kept(runs)
        if not others or (kept is not None and kept.info.run_id == created.info.run_id):
            return created
        if kept is not None or min(map(_age, others)) < _age(created) or time.monotonic() > deadline:
            client.delete_run(created.info.run_id)
            return find_run(client, created.info.experiment_id, where)
        time.sleep(0.05)


def keep(client: Any, run: Any, params: Mapping[str, str]) -> None:
    """Log the parameters that a run lacks, and mark it as the one that is kept.

    Raises:
        TrackingStoreError: it has a parameter with another value, so that it is not the run it seems.
    """
    from mlflow.entities import Param, RunTag

    for name, value in params.items():
        known = run.data.params.get(name, value)
        if known != value:
            raise TrackingStoreError(
                f"The run {run.info.run_name!r} ({run.info.run_id}) was recorded with {name}={known}, but is now "
                f"opened with {name}={value}. Give the sweep another name, or delete that run."
            )
    missing = [Param(name, value) for name, value in params.items() if name not in run.data.params]
    mark = [] if SWEEP_KEPT in run.data.tags else [RunTag(SWEEP_KEPT, "true")]
    for start in range(0, max(len(missing), len(mark)), PARAMS_PER_CALL):
        end = start + PARAMS_PER_CALL
        client.log_batch(run.info.run_id, params=missing[start:end], tags=mark if end >= len(missing) else [])


def search_all(client: Any, experiment_id: str, where: str) -> list[Any]:
    """All runs that a filter names, over all pages."""
    return list(_pages(client, experiment_id, where))


def log_datasets(client: Any, run: Any, datasets: Sequence[Dataset]) -> None:
    """Log the datasets that a run lacks, so that the UI lists them in its Datasets column."""
    from mlflow.entities import Dataset as MlflowDataset
    from mlflow.entities import DatasetInput, InputTag

    known = {(i.dataset.name, i.dataset.digest) for i in (run.inputs.dataset_inputs if run.inputs else [])}
    missing = [data for data in datasets if (data.name, data.digest[:DATASET_DIGEST_CHARS]) not in known]
    inputs = [
        DatasetInput(
            MlflowDataset(
                name=data.name,
                digest=data.digest[:DATASET_DIGEST_CHARS],
                source_type="local",
                source=json.dumps({"uri": data.source}, ensure_ascii=False),
            ),
            [InputTag("mlflow.data.context", data.context)],
        )
        for data in missing
    ]
    if inputs:
        client.log_inputs(run.info.run_id, inputs)


def _pages(client: Any, experiment_id: str, where: str) -> Iterator[Any]:
    token = None
    while True:
        page = client.search_runs([experiment_id], where, max_results=PAGE, page_token=token)
        yield from page
        token = page.token
        if not token:
            return


def _kept(runs: Sequence[Any]) -> Any | None:
    return min((run for run in runs if SWEEP_KEPT in run.data.tags), key=_age, default=None)


def _age(run: Any) -> tuple[int, str]:
    return run.info.start_time, run.info.run_id
