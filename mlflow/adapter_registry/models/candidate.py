"""What is known of an adapter before it is promoted: read from its trial's run, and from the sweep's run above it."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from adapter_registry.errors import AdapterFilesError, ModelNotFoundError, PromotionRefusedError
from adapter_registry.models.engines import base_of
from adapter_registry.names import PARENT_RUN, SWEEP_NAME, SWEEP_PROMPT, SWEEP_TRIAL, entity_key, stored_value
from adapter_registry.runs.adapter_files import MANIFEST_FILE, Manifest, epoch_folder
from adapter_registry.runs.tracking import FIRST_VALIDATION, is_data_tag

Direction = Literal["minimize", "maximize"]
EpochChoice = int | Literal["best", "last"]


@dataclass(frozen=True)
class Candidate:
    """An adapter with its evidence.

    value       of the metric where the adapter was saved; always finite
    data        digests of the datasets that the trial used, by name
    validation  digest of the dataset that the metric was measured on
    prompt      what it may be asked, of its sweep's own; '' where none is known
    """

    run: Any
    sweep: str
    trial: int
    manifest: Manifest
    files: Mapping[str, bytes]
    metric: str
    direction: Direction
    value: float
    base_name: str
    base_digest: str
    data: Mapping[str, str]
    validation: str
    prompt: str

    @property
    def tags(self) -> dict[str, str]:
        """What the registry remembers of it."""
        return {
            SWEEP_NAME: self.sweep,
            SWEEP_TRIAL: str(self.trial),
            "sweep.epoch": str(self.manifest.epoch),
            "metric.name": self.metric,
            "metric.value": repr(self.value),
            "metric.direction": self.direction,
            "base.name": self.base_name,
            "base.digest": self.base_digest,
            "validation.digest": self.validation,
            "adapter.sha256": self.manifest.sha256[self.manifest.adapter_file],
            **{f"data.{name}.digest": digest for name, digest in self.data.items()},
        }


def read_candidate(
    client: Any, run_id: str, *, metric: str, direction: Direction, epoch: EpochChoice = "best"
) -> Candidate:
    """Read everything about an adapter, and check its files.

    Raises:
        ModelNotFoundError: no such run, or it is no trial of a sweep.
        AdapterFilesError: the run has no whole adapter of that epoch.
        PromotionRefusedError: the metric was never measured, or is not a finite number.
    """
    run = _get_trial(client, run_id)
    manifests = read_manifests(client, run_id)
    values = _values(client.get_metric_history(run_id, entity_key(metric)), manifests)
    chosen = _choose(manifests, values, epoch, direction, run_id)
    value = values.get(chosen)
    if value is None or not math.isfinite(value):
        raise PromotionRefusedError(
            f"A champion's {metric} must be a finite number, but trial {run.data.tags[SWEEP_TRIAL]} of "
            f"{run.data.tags[SWEEP_NAME]!r} has {'none' if value is None else value}. Promote another trial."
        )
    files = read_adapter_files(client, run_id, manifests[chosen])
    base_name, base_digest, _ = base_of(files)
    parent = client.get_run(run.data.tags[PARENT_RUN]) if PARENT_RUN in run.data.tags else run
    data, validation = _data(run.data.tags, parent.data.tags, metric)
    return Candidate(
        run=run,
        sweep=run.data.tags[SWEEP_NAME],
        trial=int(run.data.tags[SWEEP_TRIAL]),
        manifest=manifests[chosen],
        files=files,
        metric=metric,
        direction=direction,
        value=value,
        base_name=base_name,
        base_digest=base_digest,
        data=data,
        validation=validation,
        prompt=parent.data.tags.get(SWEEP_PROMPT, ""),
    )


def read_manifests(client: Any, run_id: str) -> dict[int, Manifest]:
    """The manifests of a run's adapters by epoch; an epoch whose upload was cut off has none."""
    manifests = {}
    for folder in client.list_artifacts(run_id, "adapters"):
        if folder.is_dir and any(
            file.path.endswith(f"/{MANIFEST_FILE}") for file in client.list_artifacts(run_id, folder.path)
        ):
            content = _download(client, run_id, f"{folder.path}/{MANIFEST_FILE}")
            manifest = Manifest.from_bytes(content, folder.path)
            manifests[manifest.epoch] = manifest
    return dict(sorted(manifests.items()))


def read_adapter_files(client: Any, run_id: str, manifest: Manifest) -> dict[str, bytes]:
    """An epoch's files, checked against their manifest.

    Raises:
        AdapterFilesError: one is missing or has changed.
    """
    where = epoch_folder(manifest.epoch)
    stored = {file.path.rpartition("/")[2] for file in client.list_artifacts(run_id, where)}
    files = {name: _download(client, run_id, f"{where}/{name}") for name in manifest.sha256 if name in stored}
    manifest.check(files, where)
    return files


def _get_trial(client: Any, run_id: str) -> Any:
    from mlflow.exceptions import MlflowException

    try:
        run = client.get_run(run_id)
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        raise ModelNotFoundError(f"There is no run {run_id!r}. Copy a trial's run id from the MLflow UI.") from None
    if SWEEP_NAME not in run.data.tags or SWEEP_TRIAL not in run.data.tags:
        raise ModelNotFoundError(f"The run {run_id!r} is no trial of a sweep: it lacks the tag {SWEEP_TRIAL}.")
    return run


def _values(history: list[Any], manifests: Mapping[int, Manifest]) -> dict[int, float]:
    """The metric at each epoch's adapter: the last value at or before its step, and after the epoch before."""
    points = sorted((point.step, point.timestamp, stored_value(point.value)) for point in history)
    values: dict[int, float] = {}
    after = -1
    for epoch, manifest in manifests.items():
        until = math.inf if manifest.step is None else manifest.step
        inside = [value for step, _, value in points if after < step <= until]
        if inside:
            values[epoch] = inside[-1]
        after = after if manifest.step is None else manifest.step
    return values


def _choose(
    manifests: Mapping[int, Manifest],
    values: Mapping[int, float],
    epoch: EpochChoice,
    direction: Direction,
    run_id: str,
) -> int:
    if not manifests:
        raise AdapterFilesError(f"The run {run_id!r} has no whole adapter to promote: train it for an epoch first.")
    if isinstance(epoch, int):
        if epoch not in manifests:
            raise AdapterFilesError(
                f"The run {run_id!r} has no adapter of epoch {epoch}. Choose from: {', '.join(map(str, manifests))}."
            )
        return epoch
    finite = [number for number in manifests if math.isfinite(values.get(number, math.nan))]
    if epoch == "last" or not finite:
        return max(manifests)
    sign = 1 if direction == "minimize" else -1
    return min(finite, key=lambda number: (sign * values[number], number))


def _data(own: Mapping[str, str], of_sweep: Mapping[str, str], metric: str) -> tuple[dict[str, str], str]:
    """Digests of the datasets that a trial used, and the one that a metric is about: `val_<name>_…`, or the first set.

    Of a trial that an older version recorded, the sweep's run knows them.
    """
    tags = own if any(map(is_data_tag, own)) else of_sweep
    first = tags.get(FIRST_VALIDATION, "")
    digests = {
        key.removeprefix("data.").removesuffix(".digest"): value
        for key, value in tags.items()
        if is_data_tag(key) and key != FIRST_VALIDATION
    }
    named = [name for name in digests if entity_key(metric).startswith(f"val_{name}_")]
    return digests, digests.get(max(named, key=len) if named else first, "")


def _download(client: Any, run_id: str, path: str) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        return Path(client.download_artifacts(run_id, path, folder)).read_bytes()
