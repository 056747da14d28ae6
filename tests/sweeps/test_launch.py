"""What a launch or a resume makes ready before Ray is started, and what it leaves on the sweep's own run."""

from __future__ import annotations

import base64
import json
import zlib
from pathlib import Path
from typing import Any

import pytest

from adapter_registry.names import NOTE, SWEEP_PROMPT
from adapter_registry.pages.views import saved_views
from adapter_registry.runs.mlflow_tracker import MlflowTracker
from sweeps.errors import WorkerError
from sweeps.home import Home, find_home
from sweeps.launch import create_ledger, launch, resume
from sweeps.ledger.carrying_out import carry_out_pending
from sweeps.ledger.ledger import Ledger
from sweeps.ledger.requests import AddTrial, Extend, Request, post
from sweeps.progress import Preparing, ProgressEvent, WorkersSeen
from sweeps.spec import load_spec
from sweeps.workers.rehearsal import START_LOSS, RehearsalSettings

SMALL = ["name=small", "search.trials=2", "compute.slots=5", "data.select.limit=16", "data.validation_limit=4"]
SPEC = load_spec("quickstart", SMALL)
ONE_TRIAL_ONLY = ["name=cut-off", "search.trials=1", "promotion.automatic=false", "compute.slots=1"]


class EverythingIsReadyError(BaseException):
    """Raised in the place of starting Ray; like Ctrl-C it is no failure, for which a new sweep would be taken back."""


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


def test_a_sweeps_run_says_what_its_champion_may_be_asked(tmp_path: Path) -> None:
    """Its first prompt; without any, how its validation data begin."""
    home = find_home({"SWEEPS_HOME": str(tmp_path)})
    said = [{"role": "user", "content": "Ich kann\nnicht schlafen."}, {"role": "model", "content": "Seit wann?"}]
    (tmp_path / "deutsch.jsonl").write_text(json.dumps({"messages": said}))
    german = ["samples={}", f"data.validation={tmp_path / 'deutsch.jsonl'}"]
    asked = {}
    for name, changes in {"own": ["samples.prompts=['Was nun?', 'Und dann?']"], "data": german}.items():
        spec = load_spec("quickstart", [*SMALL, f"name={name}", *changes])
        with pytest.raises(EverythingIsReadyError):
            launch(spec, home, on_event=stop_before_ray)
        with MlflowTracker(home.tracking_uri, spec.experiment, home.artifact_root) as tracker:
            asked[name] = tracker.client.get_run(tracker.find_sweep(name)).data.tags[SWEEP_PROMPT]
    assert asked == {"own": "Was nun?", "data": "Ich kann nicht schlafen."}


def rehearse(**_of_a_pack: object) -> RehearsalSettings:
    """Build, in the place of a pack, the engine that needs no model."""
    return RehearsalSettings(tick_s=0.05)


@pytest.fixture
def rehearsing(local_ray: None, ledger_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    monkeypatch.setattr("sweeps.launch.PackFactory", rehearse)
    monkeypatch.setenv("SWEEPS_HOME", str(tmp_path))
    for name in ("SWEEPS_LEDGER", "MLFLOW_TRACKING_URI"):
        monkeypatch.delenv(name, raising=False)
    return find_home()


@pytest.mark.ray
@pytest.mark.slow
def test_the_saved_leaderboard_is_in_the_order_of_the_metric_that_was_searched_for(rehearsing: Home) -> None:
    spec = load_spec("quickstart", [*ONE_TRIAL_ONLY, "search.metric=val_accuracy"])
    launched = launch(spec, rehearsing, on_event=lambda _: None)
    assert launched.result.state == "complete"
    with MlflowTracker(rehearsing.tracking_uri, spec.experiment, rehearsing.artifact_root) as tracker:
        (view,) = saved_views(tracker.client)
        tag = tracker.client.get_experiment(view.experiment_id).tags[f"mlflow.sharedViewState.{view.key}"]
    packed = json.loads(tag)["state"].removeprefix("deflate;")
    state = json.loads(zlib.decompress(base64.b64decode(packed)))
    assert (state["orderByKey"], state["orderByAsc"]) == ("metrics.`val_accuracy`", False)
    assert state["selectedColumns"][0] == "metrics.`val_accuracy`"
    assert "metrics.`val_loss`" in state["selectedColumns"]


@pytest.mark.ray
@pytest.mark.slow
def test_the_base_models_metrics_outlive_a_driver_that_dies_before_it_has_told_the_end(rehearsing: Home) -> None:
    spec = load_spec("quickstart", ONE_TRIAL_ONLY)

    def die_at_the_end(event: ProgressEvent) -> None:
        if isinstance(event, Preparing) and "plots" in event.what:
            raise WorkerError("The driver dies here.")

    with pytest.raises(WorkerError):
        launch(spec, rehearsing, on_event=die_at_the_end)
    assert Ledger.open(rehearsing.ledger, "cut-off").record.state == "finishing"
    heard: list[Any] = []
    for _ in range(2):
        resumed = resume("cut-off", rehearsing, on_event=heard.append)
        assert resumed.result.state == "complete"
        assert resumed.base_metrics["val_loss"] == START_LOSS
    assert not [event for event in heard if isinstance(event, WorkersSeen)]  # so no worker has measured them again

    with MlflowTracker(rehearsing.tracking_uri, spec.experiment, rehearsing.artifact_root) as tracker:
        assert tracker.history(resumed.result.run_id, "base_val_loss") == [(0, START_LOSS)]
        note = tracker.client.get_run(resumed.result.run_id).data.tags[NOTE]
    assert "The base model without an adapter has val_loss 4." in note
