"""A driver in a process of its own, to be killed: LEDGER_URL NAME TRACKING_URI. Goes on wherever the sweep stands."""

from __future__ import annotations

import functools
import sys

from adapter_registry.runs.mlflow_tracker import MlflowTracker
from search_spaces import load_space
from sweeps.driver.driver import run_sweep
from sweeps.errors import SweepsError
from sweeps.ledger.ledger import Ledger
from sweeps.settings import ComputeSettings
from sweeps.workers.rehearsal import RehearsalSettings

EXPERIMENT = "chaos"
ENGINE = RehearsalSettings(tick_s=0.04, steps_per_epoch=20)
COMPUTE = ComputeSettings(slots=4, spare_trials=0, max_failures=1000, checkpoint_s=0.3, poll_s=0.2)


def main(url: str, name: str, tracking_uri: str) -> None:
    """Run the sweep to its end."""
    factory = functools.partial(MlflowTracker, tracking_uri, EXPERIMENT)
    with factory() as tracker:
        space = load_space(Ledger.open(url, name).study.user_attrs["space"])
        run_sweep(
            Ledger.open(url, name, space),
            tracker,
            run_id=tracker.open_sweep(name, spec_yaml="", tags={}, params={}),
            engine_factory=ENGINE,
            tracker_factory=factory,
            compute=COMPUTE,
        )


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except SweepsError as error:
        sys.exit(str(error))
