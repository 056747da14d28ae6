"""A tracker that only remembers: for tests and rehearsals, without MLflow and without files."""

# ruff: noqa: D102  (the interface in tracking.py documents the methods)

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, final

from adapter_registry.errors import ModelNotFoundError, TrackingStoreError
from adapter_registry.names import (
    NOTE,
    PARENT_RUN,
    SWEEP_ID,
    SWEEP_NAME,
    SWEEP_ORPHAN,
    SWEEP_STATE,
    SWEEP_TRIAL,
    entity_key,
    param_text,
    trial_run_name,
)
from adapter_registry.runs.adapter_files import MANIFEST_FILE, Manifest, epoch_folder
from adapter_registry.runs.samples import with_epoch
from adapter_registry.runs.tracking import (
    DEFAULT_SHOWN,
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


@dataclass
class MemoryRun:
    """All that was recorded of one run; `metrics` holds each metric's (step, value) in the order of logging."""

    run_id: str
    name: str
    status: str
    tags: dict[str, str] = field(default_factory=dict)
    params: dict[str, str] = field(default_factory=dict)
    metrics: dict[str, list[tuple[int, float]]] = field(default_factory=dict)
    files: dict[str, bytes] = field(default_factory=dict)


@final
class MemoryTracker(Tracker):
    """Remembers runs in `runs`, by run id."""

    def __init__(self) -> None:
        self.runs: dict[str, MemoryRun] = {}
        self.closed = False

    def prepare(self) -> None:
        pass

    def find_sweep(self, name: str) -> str | None:
        runs = [r for r in self.runs.values() if r.tags.get(SWEEP_NAME) == name and SWEEP_TRIAL not in r.tags]
        return runs[0].run_id if runs else None

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
        identity = sweep_identity(name, sweep_id)
        found = [r for r in self.runs.values() if identity.items() <= r.tags.items() and SWEEP_TRIAL not in r.tags]
        run_id = found[0].run_id if found else self._create(name, {**tags, **identity}, "running")
        self.set_tags(run_id, data_tags(datasets))
        self._add_params(run_id, params)
        for path, text in ((SPEC_FILE, spec_yaml), (SPACE_FILE, space_yaml)):
            if text:
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
        found = [r.run_id for r in self.runs.values() if identity.items() <= r.tags.items()]
        name = trial_run_name(number, params, shown)
        run_id = found[0] if found else self._create(name, identity, "waiting")
        self._add_params(run_id, params)
        parent = self.runs[sweep_run_id].tags if sweep_run_id in self.runs else {}
        self.set_tags(run_id, {key: value for key, value in parent.items() if is_data_tag(key)})
        if state is not None:
            self.set_state(run_id, state)
        return run_id

    def log_metrics(self, run_id: str, metrics: Mapping[str, float], step: int) -> None:
        for key, value in metrics.items():
            self._run(run_id).metrics.setdefault(entity_key(key), []).append((int(step), float(value)))

    def log_adapter(self, run_id: str, epoch: int, files: Mapping[str, bytes], *, step: int | None = None) -> None:
        manifest = Manifest.of(epoch, files, step)
        for name, content in {**files, MANIFEST_FILE: manifest.to_bytes()}.items():
            self.log_file(run_id, f"{epoch_folder(epoch)}/{name}", content)

    def log_samples(self, run_id: str, epoch: int, samples: Sequence[Sample]) -> None:
        if samples:
            self.log_file(run_id, SAMPLES_FILE, with_epoch(self.read_file(run_id, SAMPLES_FILE), epoch, samples))

    def log_file(self, run_id: str, path: str, content: bytes) -> None:
        self._run(run_id).files[path] = content

    def read_file(self, run_id: str, path: str) -> bytes | None:
        return self._run(run_id).files.get(path)

    def set_state(self, run_id: str, state: State) -> None:
        run = self._run(run_id)
        run.status, run.tags[SWEEP_STATE] = RUN_STATUS[state], state

    def set_tags(self, run_id: str, tags: Mapping[str, str]) -> None:
        self._run(run_id).tags.update(tags)

    def set_note(self, run_id: str, markdown: str) -> None:
        self.set_tags(run_id, {NOTE: markdown})

    def trials(self, sweep_run_id: str, sweep_id: str = "") -> list[TrialRun]:
        runs = [r for r in self.runs.values() if r.tags.get(PARENT_RUN) == sweep_run_id and SWEEP_TRIAL in r.tags]
        own = [r for r in runs if r.tags.get(SWEEP_ID, "") == sweep_id or not sweep_id]
        return sorted(map(_trial_run, own), key=lambda trial: trial.number)

    def disown(self, run_id: str, because: str) -> None:
        run = self._run(run_id)
        run.tags |= {SWEEP_ORPHAN: run.tags.pop(SWEEP_TRIAL, "None"), NOTE: because}
        self.set_state(run_id, "stopped")

    def bring_back(self, run_id: str, sweep_id: str = "") -> bool:
        if sweep_id and run_id in self.runs:
            self.runs[run_id].tags.setdefault(SWEEP_ID, sweep_id)
        return run_id in self.runs and self.runs[run_id].tags.get(SWEEP_ID, "") == sweep_id

    def history(self, run_id: str, metric: str) -> list[tuple[int, float]]:
        return sorted(self._run(run_id).metrics.get(entity_key(metric), []), key=lambda point: point[0])

    def flush(self, timeout_s: float = 120.0) -> None:
        pass

    def close(self, timeout_s: float = 120.0) -> None:
        self.closed = True

    def _run(self, run_id: str) -> MemoryRun:
        if run_id not in self.runs:
            raise ModelNotFoundError(f"There is no run {run_id!r}. Open it first.")
        return self.runs[run_id]

    def _create(self, name: str, tags: Mapping[str, str], state: State) -> str:
        run_id = f"run{len(self.runs):04d}"
        self.runs[run_id] = MemoryRun(run_id, name, RUN_STATUS[state], {**tags, SWEEP_STATE: state})
        return run_id

    def _add_params(self, run_id: str, params: Mapping[str, Any]) -> None:
        known = self._run(run_id).params
        for name, value in params.items():
            text = param_text(value)
            if known.setdefault(entity_key(name), text) != text:
                raise TrackingStoreError(
                    f"The run {run_id} was recorded with {name}={known[name]}, but is now opened with {name}={text}."
                )


def _trial_run(run: MemoryRun) -> TrialRun:
    state: Any = run.tags[SWEEP_STATE]
    latest = {key: max(enumerate(points), key=lambda p: (p[1][0], p[0]))[1][1] for key, points in run.metrics.items()}
    return TrialRun(int(run.tags[SWEEP_TRIAL]), run.run_id, state, dict(run.params), latest)
