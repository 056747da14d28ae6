"""An MLflow store in PostgreSQL, reached directly and through a tracking server: complete in any case."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from adapter_registry import MlflowTracker, Tracker
from adapter_registry.models.promotion import promote
from adapter_registry.store.server import LocalServer, local_server
from tests.postgres import PostgresServer

MakeSweep = Callable[[Tracker, str], str]
PARAMS = {"rank": 8, "learning_rate": 1e-3, "epochs": 1}
STEPS = 60


@pytest.fixture(scope="module")
def postgres_uri(postgres: PostgresServer, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A store with its tables: making them takes seconds."""
    uri = postgres.create_database()
    with MlflowTracker(uri, "first", str(tmp_path_factory.mktemp("artifacts"))) as tracker:
        tracker.prepare()
    return uri


@pytest.fixture(scope="module")
def postgres_backed(postgres_uri: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalServer]:
    """A tracking server over this store."""
    with local_server(postgres_uri, str(tmp_path_factory.mktemp("served"))) as running:
        yield running


@pytest.fixture(params=["direct", "server"])
def tracker(request: pytest.FixtureRequest, postgres_uri: str, tmp_path: Path) -> Iterator[MlflowTracker]:
    name = request.node.name.replace("[", "-").strip("]")
    if request.param == "direct":
        opened = MlflowTracker(postgres_uri, name, str(tmp_path), patience_s=60)
    else:
        opened = MlflowTracker(request.getfixturevalue("postgres_backed").url, name, patience_s=60)
    with opened:
        opened.prepare()
        yield opened


def test_a_sweep_is_recorded_and_its_best_adapter_promoted(
    tracker: MlflowTracker, make_sweep: MakeSweep, make_adapter_files: Callable[..., dict[str, bytes]]
) -> None:
    sweep = make_sweep(tracker, "s")
    run = tracker.open_trial(sweep, "s", 0, PARAMS)
    assert tracker.open_trial(sweep, "s", 0, PARAMS) == run
    for step in range(1, 6):
        tracker.log_metrics(run, {"val_loss": 1 / step}, step)
    tracker.log_adapter(run, 1, make_adapter_files("weights"), step=5)
    tracker.set_state(run, "complete")
    tracker.flush()
    assert [(t.number, t.state, t.params["rank"]) for t in tracker.trials(sweep)] == [(0, "complete", "8")]
    assert tracker.history(run, "val_loss") == [(step, 1 / step) for step in range(1, 6)]
    assert tracker.find_sweep("s") == sweep
    model = tracker.experiment
    promote(tracker.tracking_uri, run, model=model, engine="echo")
    assert tracker.client.get_model_version_by_alias(model, "champion").run_id == run


def test_a_database_killed_and_restarted_twice_loses_and_doubles_nothing(
    tracker: MlflowTracker, postgres: PostgresServer, make_sweep: MakeSweep
) -> None:
    sweep = make_sweep(tracker, "s")
    first = tracker.open_trial(sweep, "s", 0, PARAMS)
    runs = [first]

    def train() -> None:
        """Log a metric a step, and open a trial now and then."""
        for step in range(1, STEPS + 1):
            tracker.log_metrics(first, {"train_loss": 1 / step}, step)
            if step % 10 == 0:
                runs.append(tracker.open_trial(sweep, "s", len(runs), PARAMS))
            time.sleep(0.01)

    training = threading.Thread(target=train)
    training.start()
    for opened, crash in ((2, postgres.kill), (4, postgres.stop)):
        while len(runs) < opened and training.is_alive():
            time.sleep(0.005)
        crash()
        time.sleep(0.5)
        postgres.start()
    training.join(timeout=60)
    tracker.flush()
    assert [t.number for t in tracker.trials(sweep)] == list(range(STEPS // 10 + 1))
    assert len(set(runs)) == len(runs)
    assert tracker.history(first, "train_loss") == [(step, 1 / step) for step in range(1, STEPS + 1)]
    everything = tracker.client.search_runs([tracker.experiment_id], max_results=100)
    assert {run.info.run_id for run in everything} == {sweep, *runs}
