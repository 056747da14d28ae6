"""One sweep through the real driver, with a ledger and an MLflow store in a folder, as a user has them by default."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trainer.config import TrialConfig

if TYPE_CHECKING:
    from adapter_registry.runs.tracking import Tracker
    from search_spaces import SearchSpace
    from sweeps.driver.driver import SweepResult
    from sweeps.progress import ProgressEvent
    from sweeps.settings import ComputeSettings, SearchSettings
    from sweeps.workers.engine import EngineFactory

EXPERIMENT = "benchmarks"


def run_in(
    folder: Path,
    name: str,
    *,
    search: SearchSettings,
    space: SearchSpace,
    engine_factory: EngineFactory,
    compute: ComputeSettings,
    configure: Callable[[Mapping[str, Any]], TrialConfig] = TrialConfig.from_params,
    enqueue: Sequence[Mapping[str, Any]] = (),
    on_event: Callable[[ProgressEvent], None] = lambda event: None,
    tracker_factory: Callable[[], Tracker] | None = None,
) -> SweepResult:
    """Create a sweep's ledger and MLflow run below `folder`, and run it to its end; many may share a folder."""
    from sweeps.driver.driver import run_sweep
    from sweeps.ledger.ledger import Ledger

    folder.mkdir(parents=True, exist_ok=True)
    factory = tracker_factory or tracker_of(folder)
    ledger = Ledger.create(f"sqlite:///{folder / 'ledger.db'}", name, search, space, enqueue=enqueue)
    with factory() as tracker:
        tracker.prepare()
        run_id = tracker.open_sweep(name, spec_yaml="", tags={}, params={})
        return run_sweep(
            ledger,
            tracker,
            run_id=run_id,
            engine_factory=engine_factory,
            tracker_factory=factory,
            compute=compute,
            configure=configure,
            on_event=on_event,
        )


def tracker_of(folder: Path) -> Callable[[], Tracker]:
    """Return what builds a tracker of the MLflow store in a folder, in any process."""
    from adapter_registry.runs.mlflow_tracker import MlflowTracker

    return partial(MlflowTracker, f"sqlite:///{folder / 'mlflow.db'}", EXPERIMENT, str(folder / "artifacts"))
