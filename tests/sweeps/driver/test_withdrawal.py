"""A launch that is refused before a trial has begun leaves nothing, and a dry run refuses what a launch would."""

from __future__ import annotations

from pathlib import Path

import pytest

from adapter_registry.runs.mlflow_tracker import MlflowTracker
from adapter_registry.runs.run_store import search_all
from sweeps.cli import main
from sweeps.errors import WorkerError
from sweeps.home import Home, find_home
from sweeps.launch import launch
from sweeps.ledger.ledger import Ledger
from sweeps.progress import ProgressEvent, Withdrawn
from sweeps.spec import load_spec
from sweeps.workers.rehearsal import RehearsalSettings
from tests.command_line import run_python
from tests.sweeps.whole_sweeps import NotForWorkers

SMALL = ["name=small", "search.trials=1", "promotion.automatic=false", "compute.slots=1"]
SPEC = load_spec("quickstart", SMALL)


@pytest.fixture
def home(ledger_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    monkeypatch.setenv("SWEEPS_HOME", str(tmp_path))
    for name in ("SWEEPS_LEDGER", "MLFLOW_TRACKING_URI"):
        monkeypatch.delenv(name, raising=False)
    found = find_home()
    assert found.ledger == ledger_url
    return found


def what_is_left(home: Home) -> list[str]:
    """Sweeps of the ledger, and runs of MLflow."""
    with MlflowTracker(home.tracking_uri, SPEC.experiment, home.artifact_root) as tracker:
        runs = search_all(tracker.client, tracker.experiment_id, "")
    return [sweep.name for sweep in Ledger.sweeps(home.ledger)] + [run.info.run_name for run in runs]


@pytest.mark.parametrize("dry_run", [["--dry-run"], []])
@pytest.mark.parametrize(
    "wanted", [["compute.accelerator=gpu"], ["compute.accelerator=gpu", "compute.workers=2", "compute.chips=2"]]
)
def test_accelerators_that_are_not_there_are_refused_before_anything_is_made(
    home: Home, wanted: list[str], dry_run: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    sets = [part for change in wanted for part in ("--set", change)]
    assert main(["launch", "quickstart", *sets, *dry_run]) == 2
    written = capsys.readouterr()
    needed = 4 if len(wanted) > 1 else 1
    assert f"need {needed} GPU, but this machine has 0" in written.err
    assert "compute.accelerator" in written.err
    assert "resume" not in written.err + written.out
    assert Ledger.sweeps(home.ledger) == []
    assert not (home.folder / "mlflow.db").exists()


@pytest.mark.ray
@pytest.mark.slow
@pytest.mark.usefixtures("local_ray")
def test_a_worker_that_does_not_load_leaves_the_name_free(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sweeps.launch.PackFactory", lambda **_: NotForWorkers())
    heard: list[ProgressEvent] = []
    with pytest.raises(WorkerError, match="could not be started"):
        launch(SPEC, home, on_event=heard.append)
    assert isinstance(heard[-1], Withdrawn)
    assert what_is_left(home) == []
    monkeypatch.setattr("sweeps.launch.PackFactory", lambda **_: RehearsalSettings(tick_s=0.01))
    assert launch(SPEC, home, on_event=heard.append).result.state == "complete"
    assert "small" in what_is_left(home)


@pytest.mark.ray
@pytest.mark.slow
def test_a_ray_that_does_not_start_is_one_sentence_and_leaves_nothing(home: Home) -> None:
    settings = [part for change in SMALL for part in ("--set", change)]
    ended = run_python("-m", "sweeps", "launch", "quickstart", *settings, RAY_OVERRIDE_RESOURCES="{no JSON")
    assert ended.code == 2, ended.err
    assert "Error: Ray cannot be started on this machine: " in ended.err
    assert "resume" not in ended.err + ended.out
    assert what_is_left(home) == []
