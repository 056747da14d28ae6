"""A driver in a process of its own, for a test that kills it: LEDGER_URL NAME TRACKING_URI ARTIFACT_ROOT."""

from __future__ import annotations

import functools
import sys

from adapter_registry.runs.mlflow_tracker import MlflowTracker
from search_spaces import load_space
from sweeps.driver.driver import run_sweep
from sweeps.ledger.ledger import Ledger
from sweeps.settings import ComputeSettings
from sweeps.workers.rehearsal import RehearsalSettings


def main(url: str, name: str, tracking_uri: str, artifact_root: str) -> None:
    """Run the sweep slowly enough to be killed in its middle."""
    factory = functools.partial(MlflowTracker, tracking_uri, "tests", artifact_root or None)
    tracker = factory()
    space = load_space(Ledger.open(url, name).study.user_attrs["space"])
    run_sweep(
        Ledger.open(url, name, space),
        tracker,
        run_id=tracker.open_sweep(name, spec_yaml="", tags={}, params={}),
        engine_factory=RehearsalSettings(tick_s=0.02, steps_per_epoch=10),
        tracker_factory=factory,
        compute=ComputeSettings(slots=4),
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
