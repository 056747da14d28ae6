"""The tracker that writes to MLflow: a tracking server, or a local SQLite file with a folder of artifacts.

Every call names its run: MLflow's fluent API with its hidden active run is used nowhere. A tracker is light until
its first call and can be pickled: each process that gets a copy opens its own connection and its own metric queue.
"""

# ruff: noqa: D102  (the interface in tracking.py documents the methods)

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import PurePosixPath
from typing import Any, TypeVar, final

from adapter_registry.errors import TrackingStoreError
from adapter_registry.names import (
    MAX_TAG_CHARS,
    NOTE,
    PARENT_RUN,
    SWEEP_ID,
    SWEEP_NAME,
    SWEEP_ORPHAN,
    SWEEP_STATE,
    SWEEP_TRIAL,
    clipped,
    entity_key,
    param_text,
    quoted,
    stored_value,
    trial_run_name,
)
from adapter_registry.runs.adapter_files import MANIFEST_FILE, Manifest, epoch_folder
from adapter_registry.runs.metric_queue import MetricQueue
from adapter_registry.runs.run_files import RunFiles
from adapter_registry.runs.run_store import find_or_create, find_run, log_datasets, search_all
from adapter_registry.runs.samples import with_epoch
from adapter_registry.runs.spool import MetricPoint
from adapter_registry.runs.tracking import (
    DEFAULT_SHOWN,
    FINAL_STATES,
    RUN_STATUS,
    SAMPLES_FILE,
    SPACE_FILE,
    SPEC_FILE,
    Dataset,
    Sample,
    State,
    Tracker,
    TrialRun,
    data_tags,
    is_data_tag,
    sweep_identity,
)
from adapter_registry.store.connection import (
    OUTAGE_PATIENCE_S,
    check_tracking,
    client,
    patiently,
    quietly,
)
from adapter_registry.store.environment import SERVERS, absolute_uri
from adapter_registry.store.experiments import open_experiment
from adapter_registry.store.outages import ForeignAnswerError, outage_of
from adapter_registry.store.secret_files import renew_credentials
from trainer.masking import redact

T = TypeVar("T")
DELETED = "Current state is deleted"  # MLflow's words
MOST_LOOKS = 10  # for a run of which twins come and go: each look sees at least one less


@final
class MlflowTracker(Tracker):
    """Records sweeps in an MLflow tracking store.

    Args:
        tracking_uri: `http(s)://…`, `sqlite:///PATH`, or a database's URI.
        experiment: its name; created when there is none.
        artifact_root: folder or URI of a new experiment's files; None: beside the SQLite file, or the server's own.
        patience_s: how long a call waits out an outage. Metrics wait in their queue as long as the process lives.
    """

    def __init__(
        self,
        tracking_uri: str,
        experiment: str,
        artifact_root: str | None = None,
        *,
        patience_s: float = OUTAGE_PATIENCE_S,
    ) -> None:
        self.tracking_uri = absolute_uri(tracking_uri)
        self.experiment = experiment
        self.artifact_root = artifact_root
        self.patience_s = patience_s
        self._lock = threading.RLock()
        self._opened: Any = None
        self._experiment_id: str | None = None
        self._queue: MetricQueue | None = None
        self._data: dict[str, Mapping[str, str]] = {}
        is_served = self.tracking_uri.startswith(SERVERS)
        self._files = RunFiles(lambda: self.client, self._patiently, look_after=is_served)

    def __reduce__(self) -> tuple[Callable[..., MlflowTracker], tuple[Any, ...]]:
        return _rebuild, (self.tracking_uri, self.experiment, self.artifact_root, self.patience_s)

    @property
    def client(self) -> Any:
        """The `MlflowClient`; take it anew for each call, so that it is made with the credentials of the moment."""
        with self._lock:
            renew_credentials()
            if self._opened is None:
                with quietly():
                    self._opened = client(self.tracking_uri)
            return self._opened

    @property
    def experiment_id(self) -> str:
        """The experiment's id; it is created when there is none."""
        with self._lock:
            if self._experiment_id is None:
                self._experiment_id = self._patiently(
                    lambda: open_experiment(self.client, self.tracking_uri, self.experiment, self.artifact_root),
                    was_let_in=False,
                )
            return self._experiment_id

    def prepare(self) -> None:
        check_tracking(self.tracking_uri)
        _ = self.experiment_id

    def find_sweep(self, name: str) -> str | None:
        where = _sweep_filter(SWEEP_NAME, name)
        run = self._patiently(lambda: find_run(self.client, self.experiment_id, where), was_let_in=False)
        return None if run is None else str(run.info.run_id)

    def open_sweep(
        self,
        name: str,
        *,
        spec_yaml: str,
        tags: Mapping[str, str],
        params: Mapping[str, Any],
        datasets: Sequence[Dataset] = (),
        space_yaml: str = "",
        sweep_id: str = "",
        known_run: str | None = None,
    ) -> str:
        if known_run is not None:
            self.bring_back(known_run, sweep_id)
        where = _sweep_filter(SWEEP_ID, sweep_id) if sweep_id else _sweep_filter(SWEEP_NAME, name)
        described = data_tags(datasets)
        more = {key: clipped(value, MAX_TAG_CHARS) for key, value in {**tags, **described}.items()}
        run = self._open_run(
            where, {**more, **sweep_identity(name, sweep_id)}, name, "running", params, was_let_in=False
        )
        run_id = str(run.info.run_id)
        self._data[run_id] = described or _data_of(run)
        self._set_missing_tags(run, described)
        self._patiently(lambda: log_datasets(self.client, run, datasets))
        for path, text in ((SPEC_FILE, spec_yaml), (SPACE_FILE, space_yaml)):
            if text and self.read_file(run_id, path) != text.encode():
                self.log_file(run_id, path, text.encode())
        return run_id

    def open_trial(
        self,
        sweep_run_id: str,
        sweep_name: str,
        number: int,
        params: Mapping[str, Any],
        *,
        shown: Sequence[str] = DEFAULT_SHOWN,
        state: State | None = None,
        is_new: bool = False,
        sweep_id: str = "",
    ) -> str:
        identity = {**sweep_identity(sweep_name, sweep_id), SWEEP_TRIAL: str(number), PARENT_RUN: sweep_run_id}
        where = " and ".join(f"tags.`{key}` = {quoted(value)}" for key, value in identity.items())
        name, created_as, data = trial_run_name(number, params, shown), state or "waiting", self._data_of(sweep_run_id)
        run = self._open_run(where, {**data, **identity}, name, created_as, params, look_first=not is_new)
        self._set_missing_tags(run, data)
        if state is not None and state != run.data.tags.get(SWEEP_STATE):
            self.set_state(run.info.run_id, state)
        return str(run.info.run_id)

    def log_metrics(self, run_id: str, metrics: Mapping[str, float], step: int) -> None:
        now_ms = time.time_ns() // 1_000_000
        points = [MetricPoint(run_id, entity_key(k), float(v), int(step), now_ms) for k, v in metrics.items()]
        self._metric_queue().put(points)

    def log_adapter(self, run_id: str, epoch: int, files: Mapping[str, bytes], *, step: int | None = None) -> None:
        manifest = Manifest.of(epoch, files, step)
        folder = epoch_folder(epoch)
        self._files.write(run_id, folder, files)
        self._files.write(run_id, folder, {MANIFEST_FILE: manifest.to_bytes()})

    def log_samples(self, run_id: str, epoch: int, samples: Sequence[Sample]) -> None:
        if samples:
            table = with_epoch(self.read_file(run_id, SAMPLES_FILE), epoch, samples)
            self.log_file(run_id, SAMPLES_FILE, table)
            # With this tag the UI offers the file in its table view, for many runs side by side.
            self.set_tags(run_id, {"mlflow.loggedArtifacts": json.dumps([{"path": SAMPLES_FILE, "type": "table"}])})

    def log_file(self, run_id: str, path: str, content: bytes) -> None:
        where = PurePosixPath(path)
        self._files.write(run_id, str(where.parent) if len(where.parts) > 1 else None, {where.name: content})

    def read_file(self, run_id: str, path: str) -> bytes | None:
        return self._files.read(run_id, path)

    def set_state(self, run_id: str, state: State) -> None:
        status = RUN_STATUS[state]
        if state in FINAL_STATES:
            if self._queue is not None:
                self._queue.flush(self.patience_s, run_id=run_id)
            self.set_tags(run_id, {SWEEP_STATE: state})
            self._patiently(lambda: self.client.set_terminated(run_id, status))
        else:
            self.set_tags(run_id, {SWEEP_STATE: state})
            self._patiently(lambda: self.client.update_run(run_id, status=status))

    def set_tags(self, run_id: str, tags: Mapping[str, str]) -> None:
        from mlflow.entities import RunTag

        entities = [RunTag(key, clipped(value, MAX_TAG_CHARS)) for key, value in tags.items()]
        self._patiently(lambda: self.client.log_batch(run_id, tags=entities))

    def set_experiment_tag(self, key: str, value: str) -> None:
        """Set a tag of the experiment."""
        self._patiently(lambda: self.client.set_experiment_tag(self.experiment_id, key, value))

    def set_note(self, run_id: str, markdown: str) -> None:
        self.set_tags(run_id, {NOTE: markdown})

    def trials(self, sweep_run_id: str, sweep_id: str = "") -> list[TrialRun]:
        where = f"tags.`{PARENT_RUN}` = {quoted(sweep_run_id)}"
        where += f" and tags.`{SWEEP_ID}` = {quoted(sweep_id)}" if sweep_id else ""
        runs = self._patiently(lambda: search_all(self.client, self.experiment_id, where))
        found = [_trial_run(run) for run in runs if SWEEP_TRIAL in run.data.tags]
        return sorted(found, key=lambda trial: trial.number)

    def disown(self, run_id: str, because: str) -> None:
        number = self._patiently(lambda: self.client.get_run(run_id)).data.tags.get(SWEEP_TRIAL)
        self.set_tags(run_id, {SWEEP_ORPHAN: str(number), SWEEP_STATE: "stopped", NOTE: because})
        self._patiently(lambda: self.client.set_terminated(run_id, RUN_STATUS["stopped"]))
        if number is not None:  # last: until then the run is found, and disowned again
            self._patiently(lambda: self.client.delete_tag(run_id, SWEEP_TRIAL))

    def bring_back(self, run_id: str, sweep_id: str = "") -> bool:
        from mlflow.exceptions import MlflowException

        def look() -> Any | None:
            try:
                run = self.client.get_run(run_id)
                if run.data.tags.get(SWEEP_ID, sweep_id) != sweep_id:
                    return None
                if run.info.lifecycle_stage == "deleted":
                    self.client.restore_run(run_id)
            except MlflowException as error:
                if error.error_code == "RESOURCE_DOES_NOT_EXIST":
                    return None
                raise
            return run

        run = self._patiently(look)
        if run is not None and sweep_id:
            self._set_missing_tags(run, {SWEEP_ID: sweep_id})
        return run is not None

    def delete_sweep(self, sweep_id: str) -> None:
        """Delete a sweep's run and those of its trials."""
        where = f"tags.`{SWEEP_ID}` = {quoted(sweep_id)}"
        for run in self._patiently(lambda: search_all(self.client, self.experiment_id, where)):
            self._patiently(partial(self.client.delete_run, run.info.run_id))

    def history(self, run_id: str, metric: str) -> list[tuple[int, float]]:
        points = self._patiently(lambda: self.client.get_metric_history(run_id, entity_key(metric)))
        return [(p.step, stored_value(p.value)) for p in sorted(points, key=lambda p: (p.step, p.timestamp))]

    def flush(self, timeout_s: float = 120.0) -> None:
        if self._queue is not None:
            self._queue.flush(timeout_s)

    def close(self, timeout_s: float = 120.0) -> None:
        with self._lock:
            queue, self._queue = self._queue, None
        if queue is not None:
            queue.close(timeout_s)

    def _data_of(self, sweep_run_id: str) -> Mapping[str, str]:
        """Tags of the data that a sweep uses now."""
        if sweep_run_id not in self._data:
            self._data[sweep_run_id] = _data_of(self._patiently(lambda: self.client.get_run(sweep_run_id)))
        return self._data[sweep_run_id]

    def _set_missing_tags(self, run: Any, tags: Mapping[str, str]) -> None:
        missing = {key: value for key, value in tags.items() if run.data.tags.get(key) != value}
        if missing:
            self.set_tags(run.info.run_id, missing)

    def _patiently(self, call: Callable[[], T], *, was_let_in: bool = True) -> T:
        """Run a call that is safe to repeat, in outages again and again.

        Whoever holds a run's id was let in when it was opened: only before that is a want of credentials told at once.
        """

        def confirmed() -> T:
            answer = call()
            if not answer:
                self._check_who_answers()
            return answer

        return patiently(confirmed, self.tracking_uri, patience_s=self.patience_s, was_let_in=was_let_in)

    def _check_who_answers(self) -> None:
        """Ask a server what only MLflow answers: to a write, or to a search that finds nothing, any JSON looks right.

        Raises:
            ForeignAnswerError: somebody else answers.
        """
        if self.tracking_uri.startswith(SERVERS):
            found = self.client.get_experiment_by_name(self.experiment)
            if found is not None and found.name != self.experiment:
                raise ForeignAnswerError(f"The experiment {self.experiment!r} was asked for, but {found.name!r} came.")

    def _open_run(
        self,
        where: str,
        tags: Mapping[str, str],
        name: str,
        state: State,
        params: Mapping[str, Any],
        *,
        look_first: bool = True,
        was_let_in: bool = True,
    ) -> Any:
        """Find the run that a filter names, or create it; one that is deleted meanwhile is looked for again."""
        texts = _param_texts(params)

        def attempt() -> Any | None:
            nonlocal look_first
            look, look_first = look_first, True  # whatever becomes of this attempt, it may have left a run
            return find_or_create(self.client, self.experiment_id, where, tags, name, state, texts, look_first=look)

        for _ in range(MOST_LOOKS):
            try:
                run = self._patiently(attempt, was_let_in=was_let_in)
            except TrackingStoreError as error:
                if DELETED not in str(error):
                    raise
            else:
                if run is not None:
                    return run
        raise TrackingStoreError(
            f"The run {name!r} was deleted {MOST_LOOKS} times while it was opened: by whoever else records this sweep, "
            "or by hand. Try again when nobody does."
        )

    def _metric_queue(self) -> MetricQueue:
        with self._lock:
            if self._queue is None:
                self._queue = MetricQueue(self._send, outage_of=outage_of, store=redact(self.tracking_uri))
            return self._queue

    def _send(self, run_id: str, points: Sequence[MetricPoint]) -> None:
        from mlflow.entities import Metric

        self.client.log_batch(run_id, [Metric(p.key, p.value, p.timestamp_ms, p.step) for p in points])
        self._check_who_answers()


def _rebuild(uri: str, experiment: str, artifact_root: str | None, patience_s: float) -> MlflowTracker:
    return MlflowTracker(uri, experiment, artifact_root, patience_s=patience_s)


def _sweep_filter(tag: str, value: str) -> str:
    return f"tags.`{tag}` = {quoted(value)} and tags.`{PARENT_RUN}` IS NULL"


def _data_of(run: Any) -> Mapping[str, str]:
    return {key: value for key, value in run.data.tags.items() if is_data_tag(key)}


def _param_texts(params: Mapping[str, Any]) -> dict[str, str]:
    return {entity_key(name): param_text(value) for name, value in params.items()}


def _trial_run(run: Any) -> TrialRun:
    tags = run.data.tags
    metrics = {key: stored_value(value) for key, value in run.data.metrics.items()}
    return TrialRun(
        number=int(tags[SWEEP_TRIAL]),
        run_id=run.info.run_id,
        state=tags.get(SWEEP_STATE, "waiting"),
        params=dict(run.data.params),
        metrics=metrics,
    )
