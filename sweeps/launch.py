"""From a spec to a champion: checks, ledger, MLflow, the sweep itself, then plots, description and promotion."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from sweeps.driver.driver import SweepResult, run_sweep
from sweeps.errors import LedgerError
from sweeps.ledger.ledger import Ledger
from sweeps.ledger.outages import OUTAGE_S
from sweeps.preflight import Preflight, check_launch, check_run
from sweeps.progress import Preparing, ProgressEvent, WorkersSeen
from sweeps.spec import SweepSpec, change_spec, read_spec
from sweeps.webhook import Webhook
from sweeps.workers.pack_factory import PackFactory

if TYPE_CHECKING:
    from adapter_registry.models.promotion import Promotion
    from adapter_registry.runs.mlflow_tracker import MlflowTracker
    from adapter_registry.runs.tracking import Dataset
    from sweeps.home import Home

BASE_METRIC_PREFIX = "base_"


@dataclass(frozen=True, kw_only=True)
class Launched:
    """How a sweep ended, and what became of its best adapter.

    metric         that the sweep optimised
    base_metrics   of the base model without an adapter
    promotion      what `champion` points to now; None when nothing was promoted
    not_promoted   why nothing was promoted, '' when something was
    remarks        what was left out of the data, or of the plots, and why
    """

    spec: SweepSpec
    result: SweepResult
    metric: str
    base_metrics: Mapping[str, float]
    promotion: Promotion | None
    not_promoted: str
    remarks: tuple[str, ...]


def launch(
    spec: SweepSpec, home: Home, *, on_event: Callable[[ProgressEvent], None], address: str | None = None
) -> Launched:
    """Run a new sweep to its end.

    Args:
        spec: of the sweep.
        home: where ledger and MLflow are.
        on_event: receives progress.
        address: of a Ray cluster that this process is to join; None: the spec's, if it has one.

    Raises:
        SweepsError, TrainerError, RegistryError: nothing was begun, or what was begun can be resumed.
    """
    checked = check_launch(spec, home, on_event, afar=address is not None)
    spec = checked.spec
    tracker = _open_tracker(spec, home, on_event)
    ledger = create_ledger(spec, home)
    return _run(spec, home, ledger, tracker, checked, on_event, address=address)


def resume(
    name: str,
    home: Home,
    *,
    on_event: Callable[[ProgressEvent], None],
    changes: Sequence[str] = (),
    take_over: bool = False,
    address: str | None = None,
) -> Launched:
    """Go on with a sweep from its ledger and MLflow alone; a complete one is only described and promoted again.

    Args:
        name: of the sweep.
        home: where ledger and MLflow are.
        on_event: receives progress.
        changes: `key.sub=value` of the sections `compute`, `budget` and `promotion`, kept for later resumes.
        take_over: also from a driver that seems to be alive.
        address: as for `launch`.

    Raises:
        NotFoundError: no sweep has this name.
        SweepsError, TrainerError, RegistryError: it can be resumed again.
    """
    home.prepare()
    before = spec_of(name, home)
    trials = Ledger.open(home.ledger, name).trials_asked
    checked = check_run(change_spec(before, changes), home, on_event, trials=trials, afar=address is not None)
    spec = checked.spec
    tracker = _open_tracker(spec, home, on_event)
    ledger = Ledger.open(home.ledger, name, spec.search.space)
    if spec != before:
        ledger.note_sweep(spec_yaml=spec.to_yaml())
    return _run(spec, home, ledger, tracker, checked, on_event, take_over=take_over, address=address)


def create_ledger(spec: SweepSpec, home: Home) -> Ledger:
    """Enter a new sweep into the ledger.

    Raises:
        LedgerError: it has a sweep of this name, or cannot be used.
    """
    return Ledger.create(
        home.ledger,
        spec.name,
        spec.search.settings(),
        spec.search.space,
        spec_yaml=spec.to_yaml(),
        enqueue=spec.search.enqueue,
    )


def spec_of(name: str, home: Home) -> SweepSpec:
    """Read the spec of a sweep from the ledger.

    Raises:
        NotFoundError: no sweep has this name.
        LedgerError: it was not begun by `sweeps launch`.
    """
    text = Ledger.open(home.ledger, name).spec_yaml
    if not text:
        raise LedgerError(f"The sweep {name!r} has no spec in the ledger, so it cannot be resumed. Launch a new one.")
    return read_spec(text)


def _open_tracker(spec: SweepSpec, home: Home, on_event: Callable[[ProgressEvent], None]) -> MlflowTracker:
    """Make the home and MLflow's store where there are none."""
    from adapter_registry.runs.mlflow_tracker import MlflowTracker

    home.prepare()
    on_event(Preparing(what="opening MLflow"))
    tracker = MlflowTracker(home.tracking_uri, spec.experiment, home.artifact_root, patience_s=OUTAGE_S)
    tracker.prepare()
    return tracker


def _run(
    spec: SweepSpec,
    home: Home,
    ledger: Ledger,
    tracker: MlflowTracker,
    checked: Preflight,
    on_event: Callable[[ProgressEvent], None],
    *,
    take_over: bool = False,
    address: str | None,
) -> Launched:
    """Run a sweep that is in the ledger, and tell the webhook how that went."""
    webhook = Webhook.of_environment()
    settings = spec.compute.settings(slots=checked.slots)
    compute = replace(settings, address=address or settings.address)

    with webhook.telling_of_failure(spec.name), tracker:
        run_id = tracker.open_sweep(
            spec.name,
            spec_yaml=spec.to_yaml(),
            space_yaml=_space_yaml(spec),
            tags=_tags(),
            params=_params(spec),
            datasets=_datasets(spec, checked),
        )
        # A resume may change these, and MLflow's params never change.
        tracker.set_tags(run_id, {"compute.workers": str(spec.compute.workers), "compute.slots": str(checked.slots)})
        base_metrics = _kept_base_metrics(tracker, run_id, spec)

        def listen(event: ProgressEvent) -> None:
            if not base_metrics and (measured := _measured_base_metrics(event)):
                base_metrics.update(measured)
                tracker.log_metrics(run_id, {BASE_METRIC_PREFIX + name: value for name, value in measured.items()}, 0)
            on_event(event)

        on_event(Preparing(what="starting Ray and loading the base model"))
        result = run_sweep(
            ledger,
            tracker,
            run_id=run_id,
            engine_factory=PackFactory(
                spec=spec,
                cache_folder=None if compute.address else str(home.folder / "compiled-programs"),
                tracking_uri=tracker.tracking_uri,
                slots=checked.slots,
                fits=checked.fits,
            ),
            tracker_factory=_tracker_factory(tracker),
            compute=compute,
            configure=spec.trial_config,
            on_event=listen,
            budget=spec.budget.settings(),
            take_over=take_over,
        )
        on_event(Preparing(what="drawing plots and promoting the best adapter"))
        launched = _finish(spec, home, ledger, tracker, result, base_metrics, checked.remarks)
    problems = [webhook.sweep_ended(launched.result, launched.metric)]
    if launched.promotion is not None:
        problems.append(webhook.champion_changed(launched.promotion))
    return replace(launched, remarks=(*launched.remarks, *filter(None, problems)))


def _finish(
    spec: SweepSpec,
    home: Home,
    ledger: Ledger,
    tracker: MlflowTracker,
    result: SweepResult,
    base_metrics: Mapping[str, float],
    remarks: tuple[str, ...],
) -> Launched:
    """Describe the sweep on its run, and promote its best adapter."""
    from adapter_registry.pages.notes import sweep_note
    from adapter_registry.pages.plots import log_search_plots
    from adapter_registry.pages.views import save_view

    metric, direction = spec.search.metric, spec.search.direction
    plots = log_search_plots(tracker, result.run_id, ledger.study, metric=metric)
    promotion, not_promoted = _promote(spec, home, result)
    note = sweep_note(
        spec.name,
        tracker.trials(result.run_id),
        metric=metric,
        direction=direction,
        shown=spec.search.space.varied,
        planned=ledger.trials_asked,
        base_value=base_metrics.get(metric),
        champion=spec.promotion.model if promotion else None,
    )
    tracker.set_note(result.run_id, note)
    steered_first = sorted(spec.metrics, key=lambda name: name != metric)
    save_view(tracker, spec.name, metrics=steered_first, direction=direction, shown=tuple(spec.search.space.varied))
    if result.best is not None and result.best.value is not None:
        tracker.log_metrics(result.run_id, {f"best_{metric}": result.best.value}, len(result.trials))
    left_out = tuple(f"plot {name}: {reason}" for name, reason in plots.skipped.items())
    return Launched(
        spec=spec,
        result=result,
        metric=metric,
        base_metrics=base_metrics,
        promotion=promotion,
        not_promoted=not_promoted,
        remarks=remarks + left_out,
    )


def _kept_base_metrics(tracker: MlflowTracker, run_id: str, spec: SweepSpec) -> dict[str, float]:
    """Read the base model's metrics from the sweep's run: an earlier driver logged them as soon as it knew them."""
    known = {name: tracker.history(run_id, BASE_METRIC_PREFIX + name) for name in spec.metrics}
    return {name: points[-1][1] for name, points in known.items() if points}


def _measured_base_metrics(event: ProgressEvent) -> Mapping[str, float]:
    workers = event.workers if isinstance(event, WorkersSeen) else ()
    return next((worker.base_metrics for worker in workers if worker.base_metrics), {})


def _promote(spec: SweepSpec, home: Home, result: SweepResult) -> tuple[Promotion | None, str]:
    from adapter_registry.errors import PromotionRefusedError
    from adapter_registry.models.promotion import promote

    if result.best is None or result.best.run_id is None:
        return None, "no trial is complete"
    if result.state != "complete":
        return None, "the sweep is not complete"
    if not spec.promotion.automatic:
        return None, f"the spec says `promotion.automatic: false`; promote it with `sweeps promote {spec.name}`"
    try:
        promotion = promote(
            home.tracking_uri,
            result.best.run_id,
            model=spec.promotion.model,
            metric=spec.search.metric,
            direction=spec.search.direction,
        )
    except PromotionRefusedError as refusal:
        return None, str(refusal)
    return promotion, ""


def _tracker_factory(tracker: MlflowTracker) -> Callable[[], MlflowTracker]:
    """Let a worker build its own tracker of the same store."""
    from functools import partial

    from adapter_registry.runs.mlflow_tracker import MlflowTracker

    return partial(MlflowTracker, tracker.tracking_uri, tracker.experiment, tracker.artifact_root)


def _tags() -> dict[str, str]:
    from adapter_registry.runs.provenance import provenance

    return dict(provenance())


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


def _datasets(spec: SweepSpec, checked: Preflight) -> list[Dataset]:
    from adapter_registry.runs.tracking import Dataset
    from sweeps.datasets import TRAIN

    data = checked.data
    sets = [Dataset(TRAIN, data.digest(TRAIN, spec), spec.data.train.source, "training")]
    return sets + [
        Dataset(name, data.digest(name, spec), source.source, "validation")
        for name, source in spec.data.validation_sets.items()
    ]


def _space_yaml(spec: SweepSpec) -> str:
    from search_spaces.yaml_text import write_yaml

    return write_yaml(spec.search.space.to_mapping())
