"""Two ledgers, one MLflow, the same name: the second is refused before it begins, and the first goes on untouched."""

from __future__ import annotations

import contextlib
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from adapter_registry.errors import TrackingStoreError
from adapter_registry.names import SWEEP_ID
from adapter_registry.runs.mlflow_tracker import MlflowTracker
from sweeps.cli import main
from sweeps.home import Home
from sweeps.launch import create_ledger, launch, resume
from sweeps.ledger.ledger import Ledger
from sweeps.progress import Preparing, ProgressEvent
from sweeps.spec import load_spec

SPEC = load_spec("quickstart", ["name=small", "search.trials=2", "data.select.limit=16", "data.validation_limit=4"])


class EverythingIsReadyError(Exception):
    """Raised in the place of starting Ray."""


def stop_before_ray(event: ProgressEvent) -> None:
    if isinstance(event, Preparing) and event.what.startswith("starting Ray"):
        raise EverythingIsReadyError


def a_home(folder: Path) -> Home:
    """A ledger of its own, and the MLflow that all share."""
    mine = folder.parent / "mlflow.db"
    folder.mkdir()
    return Home(folder, f"sqlite:///{folder / 'ledger.db'}", f"sqlite:///{mine}", str(folder.parent / "artifacts"))


def recorded(home: Home) -> str:
    """Go on with the sweep until Ray would start; its run."""
    with pytest.raises(EverythingIsReadyError):
        resume("small", home, on_event=stop_before_ray)
    with open_tracker(home) as tracker:
        (run,) = tracker.client.search_runs([tracker.experiment_id], "tags.`sweep.name` = 'small'")
    return str(run.info.run_id)


def open_tracker(home: Home) -> contextlib.AbstractContextManager[MlflowTracker]:
    return MlflowTracker(home.tracking_uri, SPEC.experiment, home.artifact_root)


def make_older(home: Home, run_id: str) -> None:
    """Let ledger and run be as they were before sweeps had ids."""
    Ledger.open(home.ledger, "small").note_sweep(run_id=run_id)
    with closing(sqlite3.connect(home.ledger.removeprefix("sqlite:///"))) as database, database:
        database.execute("DELETE FROM study_user_attributes WHERE key = 'id'")
    with open_tracker(home) as tracker:
        tracker.client.delete_tag(run_id, SWEEP_ID)


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> tuple[Home, str]:
    """A home with a sweep, and its run."""
    home = a_home(tmp_path_factory.mktemp("shared") / "first")
    create_ledger(SPEC, home)
    return home, recorded(home)


def test_a_name_of_another_ledger_is_refused_and_nothing_is_made(
    first: tuple[Home, str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    home, run_id = first
    second = a_home(home.folder.parent / "second")
    with pytest.raises(TrackingStoreError, match=rf"of another ledger already \(run {run_id}\)"):
        launch(SPEC, second, on_event=stop_before_ray)
    monkeypatch.setenv("SWEEPS_HOME", str(second.folder))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", second.tracking_uri)
    monkeypatch.delenv("SWEEPS_LEDGER", raising=False)
    assert main(["launch", "quickstart", "--name", "small", "--dry-run"]) == 2
    assert "Choose another name with `--name`" in capsys.readouterr().err
    assert list(second.folder.iterdir()) == []
    assert recorded(home) == run_id


def test_a_sweep_of_an_older_ledger_goes_on_in_its_run(first: tuple[Home, str]) -> None:
    home, run_id = first
    make_older(home, run_id)
    assert recorded(home) == run_id
    with open_tracker(home) as tracker:
        assert tracker.client.get_run(run_id).data.tags[SWEEP_ID] == Ledger.open(home.ledger, "small").id
    assert recorded(home) == run_id


def test_of_two_older_ledgers_with_one_run_it_is_the_firsts_that_goes_on(first: tuple[Home, str]) -> None:
    home, run_id = first
    make_older(home, run_id)
    other = a_home(home.folder.parent / "other")
    create_ledger(SPEC, other)
    ledger = Ledger.open(other.ledger, "small")
    ledger.note_sweep(run_id=run_id, created="2026-01-01T00:00:00+00:00")
    with closing(sqlite3.connect(other.ledger.removeprefix("sqlite:///"))) as database, database:
        database.execute("DELETE FROM study_user_attributes WHERE key = 'id'")
    assert recorded(home) == run_id
    with pytest.raises(TrackingStoreError, match="of another ledger already"):
        resume("small", other, on_event=stop_before_ray)
