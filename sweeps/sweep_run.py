"""What stands on a sweep's own run in MLflow, all of it but what its end adds (`sweeps.finish`)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, final

from adapter_registry.names import SWEEP_PROMPT
from adapter_registry.runs.tracking import Dataset
from search_spaces.yaml_text import write_yaml
from sweeps.datasets import TRAIN
from sweeps.ledger.outages import OUTAGE_S
from sweeps.progress import ProgressEvent, WorkersSeen

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from adapter_registry.runs.mlflow_tracker import MlflowTracker
    from sweeps.home import Home
    from sweeps.ledger.ledger import Ledger
    from sweeps.preflight import Preflight
    from sweeps.spec import SweepSpec

BASE_METRIC_PREFIX = "base_"


@final
@dataclass(frozen=True)
class Recorded:
    """A sweep's run; `base_metrics` are of the base model without an adapter, empty until a worker measures them."""

    tracker: MlflowTracker
    run_id: str
    base_metrics: dict[str, float]

    def hear(self, event: ProgressEvent) -> None:
        """Record the base model's metrics as soon as they are known: the driver may die before its end."""
        if self.base_metrics or not (measured := _measured(event)):
            return
        self.base_metrics.update(measured)
        named = {BASE_METRIC_PREFIX + name: value for name, value in measured.items()}
        self.tracker.log_metrics(self.run_id, named, 0)


def open_tracker(spec: SweepSpec, home: Home) -> MlflowTracker:
    """Make the home, MLflow's store and the experiment where there are none.

    Raises:
        HomeError, RegistryError: one cannot be made or used.
    """
    from adapter_registry.runs.mlflow_tracker import MlflowTracker

    home.prepare()
    tracker = MlflowTracker(home.tracking_uri, spec.experiment, home.artifact_root, patience_s=OUTAGE_S)
    tracker.prepare()
    return tracker


def tracker_factory(tracker: MlflowTracker) -> Callable[[], MlflowTracker]:
    """Let a worker build its own tracker of the same store."""
    return partial(type(tracker), tracker.tracking_uri, tracker.experiment, tracker.artifact_root)


def record_sweep(ledger: Ledger, tracker: MlflowTracker, checked: Preflight) -> Recorded:
    """Find or create the sweep's run, and write on it what the sweep is.

    Raises:
        RegistryError: MLflow refuses, or does not answer.
    """
    from adapter_registry.runs.provenance import provenance

    spec = checked.spec
    run_id = tracker.open_sweep(
        spec.name,
        spec_yaml=spec.to_yaml(),
        space_yaml=write_yaml(spec.search.space.to_mapping()),
        tags=provenance(),
        params=_params(spec),
        datasets=_datasets(checked),
        sweep_id=ledger.id,
        known_run=ledger.record.run_id,
    )
    # A resume may change these, and MLflow's params never change.
    compute = {"compute.workers": str(spec.compute.workers), "compute.slots": str(checked.slots)}
    tracker.set_tags(run_id, {**compute, SWEEP_PROMPT: checked.prompt})
    return Recorded(tracker, run_id, _kept_base_metrics(tracker, run_id, spec))


def _params(spec: SweepSpec) -> dict[str, object]:
    return {
        "base.model": spec.base.model,
        "base.dtype": spec.base.dtype,
        "search.trials": spec.search.trials,
        "search.sampler": spec.search.sampler,
        "search.pruner": spec.search.pruner.kind,
        "search.metric": spec.search.metric,
        "search.seed": spec.search.seed,
    }


def _datasets(checked: Preflight) -> list[Dataset]:
    spec, digests = checked.spec, checked.digests
    validation = [
        Dataset(name, digests[name], source.source, "validation") for name, source in spec.data.validation_sets.items()
    ]
    return [Dataset(TRAIN, digests[TRAIN], spec.data.train.source, "training"), *validation]


def _kept_base_metrics(tracker: MlflowTracker, run_id: str, spec: SweepSpec) -> dict[str, float]:
    """Read the base model's metrics from the run: an earlier driver logged them as soon as it knew them."""
    known = {name: tracker.history(run_id, BASE_METRIC_PREFIX + name) for name in spec.metrics}
    return {name: points[-1][1] for name, points in known.items() if points}


def _measured(event: ProgressEvent) -> Mapping[str, float]:
    workers = event.workers if isinstance(event, WorkersSeen) else ()
    return next((worker.base_metrics for worker in workers if worker.base_metrics), {})
