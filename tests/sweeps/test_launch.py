"""What a launch or a resume makes ready before Ray is started."""

from __future__ import annotations

from pathlib import Path

import pytest

from adapter_registry.mlflow_tracker import MlflowTracker
from sweeps.carrying_out import carry_out_pending
from sweeps.home import Home, find_home
from sweeps.launch import create_ledger, resume
from sweeps.ledger import Ledger
from sweeps.progress import Preparing, ProgressEvent
from sweeps.requests import AddTrial, Extend, Request, post
from sweeps.spec import load_spec

SMALL = ["name=small", "search.trials=2", "compute.slots=5", "data.select.limit=16", "data.validation_limit=4"]
SPEC = load_spec("quickstart", SMALL)


class EverythingIsReadyError(Exception):
    """Raised in the place of starting Ray."""


def stop_before_ray(event: ProgressEvent) -> None:
    if isinstance(event, Preparing) and event.what.startswith("starting Ray"):
        raise EverythingIsReadyError


def slots_of_a_resume(home: Home, *requests: Request) -> int:
    """Ask for more while nobody runs the sweep, and resume it; the slots of each worker."""
    ledger = Ledger.open(home.ledger, "small")
    for request in requests:
        post(ledger, request)
    carry_out_pending(ledger)
    with pytest.raises(EverythingIsReadyError):
        resume("small", home, on_event=stop_before_ray)
    with MlflowTracker(home.tracking_uri, SPEC.experiment, home.artifact_root) as tracker:
        return int(tracker.client.get_run(tracker.find_sweep("small")).data.tags["compute.slots"])


def test_a_resume_has_slots_for_all_trials_that_were_asked_for(tmp_path: Path) -> None:
    home = find_home({"SWEEPS_HOME": str(tmp_path)})
    home.prepare()
    create_ledger(SPEC, home)
    assert slots_of_a_resume(home) == 2
    assert slots_of_a_resume(home, AddTrial(params={})) == 3
    assert slots_of_a_resume(home, Extend(trials=60)) == 5
