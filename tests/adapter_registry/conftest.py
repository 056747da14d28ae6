"""A demo sweep written through the public API, and one real tracking server for the whole session."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from adapter_registry import Dataset, MlflowTracker, Tracker
from adapter_registry.store.server import LocalServer, local_server
from trainer.events import Sample

EPOCH_STEPS = 20
DATASETS = (
    Dataset("train", "7a" * 32, "builtin:train", "training"),
    Dataset("val", "c1" * 32, "builtin:validation", "validation"),
)
PROMPTS = ("요즘 잠을 못 자요", "친구가 약속을 어겼어")


def adapter_files(seed: object, base_digest: str = "5e" * 32) -> dict[str, bytes]:
    """An adapter's two files as far as the registry reads them."""
    card = {"base_name": "builtin", "base_digest": base_digest, "base_dtype": "float32"}
    return {"adapter.lora.h5": f"weights of {seed}".encode(), "adapter.json": json.dumps(card).encode()}


def trial_params(number: int) -> dict[str, Any]:
    """The configuration of a demo trial."""
    rate = 10 ** (-4.3 + 0.2 * number)
    return {
        "rank": (2, 4, 8, 16)[number % 4],
        "alpha": None,
        "scale": 1.0,
        "targets": "attention_qv",
        "learning_rate": rate,
        "weight_decay": 0.01,
        "schedule": "cosine",
        "batch_size": 8,
        "epochs": 1 + number % 3,
        "seed": number,
    }


def demo_loss(params: Mapping[str, Any], progress: float) -> float:
    """A validation loss that learns, and depends on rank and learning rate as a real one does."""
    off = math.log10(params["learning_rate"]) + 2.9
    return 2.1 + 0.35 * off**2 + 0.2 / params["rank"] + 1.6 * math.exp(-2.2 * progress)


@dataclass(frozen=True)
class Demo:
    """A demo sweep: its runs, and the study that steered it."""

    uri: str
    sweep: str
    sweep_run: str
    trial_runs: tuple[str, ...]
    study: Any


def write_demo(tracker: MlflowTracker, name: str = "quickstart", trials: int = 12) -> Demo:
    """Write a sweep as the system does: a parent, its trials with curves, samples and adapters."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    tracker.prepare()
    sweep_run = tracker.open_sweep(
        name,
        spec_yaml=f"name: {name}\nsearch:\n  space: quickstart\n  trials: {trials}\n",
        space_yaml="rank: {choice: [2, 4, 8, 16]}\n",
        tags={"git.commit": "0" * 40, "version.mlflow": "3"},
        params={"search.trials": trials, "search.metric": "val_loss", "base.model": "builtin"},
        datasets=DATASETS,
    )
    study = optuna.create_study(study_name=name)
    runs = [_write_trial(tracker, study, sweep_run, name, number) for number in range(trials)]
    tracker.flush()
    return Demo(tracker.tracking_uri, name, sweep_run, tuple(runs), study)


def _write_trial(tracker: Tracker, study: Any, sweep_run: str, name: str, number: int) -> str:
    import optuna
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    params = trial_params(number)
    run = tracker.open_trial(sweep_run, name, number, params)
    tracker.set_state(run, "running")
    pruned = number % 4 == 2
    losses = {}
    steps = EPOCH_STEPS // 2 if pruned else EPOCH_STEPS * params["epochs"]
    for step in range(2, steps + 1, 2):
        loss = demo_loss(params, step / EPOCH_STEPS)
        train = {"train_loss": loss * 0.95, "learning_rate": params["learning_rate"], "tokens_per_second": 9000.0}
        tracker.log_metrics(run, train, step)
        if step % (EPOCH_STEPS // 2) == 0:
            losses[len(losses) + 1] = loss
            accuracy = {"val_accuracy": 1 / loss, "val_bits_per_byte": loss / 3}
            tracker.log_metrics(run, {"val_loss": loss, "val_perplexity": math.exp(loss), **accuracy}, step)
        if step % EPOCH_STEPS == 0:
            epoch = step // EPOCH_STEPS
            tracker.log_adapter(run, epoch, adapter_files(f"{name} {number} {epoch}"), step=step)
            replies = [
                Sample(prompt=p, reply=f"그랬군요. 많이 힘드셨겠어요. ({number})", tokens=14, seconds=0.21)
                for p in PROMPTS
            ]
            tracker.log_samples(run, epoch, replies)
    tracker.set_state(run, "pruned" if pruned else "complete")
    study.add_trial(
        optuna.trial.create_trial(
            state=optuna.trial.TrialState.PRUNED if pruned else optuna.trial.TrialState.COMPLETE,
            value=losses[max(losses)],
            params={key: params[key] for key in ("rank", "learning_rate", "epochs")},
            distributions={
                "rank": CategoricalDistribution((2, 4, 8, 16)),
                "learning_rate": FloatDistribution(5e-5, 1e-2, log=True),
                "epochs": IntDistribution(1, 3),
            },
            intermediate_values=losses,
        )
    )
    return run


@dataclass(frozen=True)
class Store:
    """One tracking store and a way to open it."""

    uri: str
    folder: Path

    def open(self, experiment: str = "gemma-sweeps") -> MlflowTracker:
        return MlflowTracker(self.uri, experiment, patience_s=20)


@pytest.fixture(scope="session")
def sqlite_store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """A SQLite store for the session: making its tables takes seconds. Tests use experiments of their own."""
    folder = tmp_path_factory.mktemp("sqlite 저장소")
    store = Store(f"sqlite:///{folder}/mlflow.db", folder)
    store.open().prepare()
    return store


@pytest.fixture(scope="session")
def server(sqlite_store: Store) -> Iterator[LocalServer]:
    """A real server over the same database: what is written one way is seen the other."""
    with local_server(sqlite_store.uri) as running:
        yield running


@pytest.fixture(scope="session")
def server_store(server: LocalServer, sqlite_store: Store) -> Store:
    """The server as a tracking store."""
    return replace(sqlite_store, uri=server.url)


@pytest.fixture(params=["sqlite", "server"])
def store(request: pytest.FixtureRequest) -> Store:
    """Both ways to reach MLflow."""
    found: Store = request.getfixturevalue(f"{request.param}_store")
    return found


@pytest.fixture
def opened(store: Store, request: pytest.FixtureRequest) -> Iterator[MlflowTracker]:
    """A tracker with an experiment of its own."""
    with store.open(request.node.name.replace("[", "-").strip("]")) as tracker:
        yield tracker


@pytest.fixture
def make_sweep() -> Callable[[Tracker, str], str]:
    """Opens a sweep with the demo's datasets."""

    def make(tracker: Tracker, name: str) -> str:
        return tracker.open_sweep(name, spec_yaml=f"name: {name}\n", tags={}, params={}, datasets=DATASETS)

    return make


@pytest.fixture
def make_adapter_files() -> Callable[..., dict[str, bytes]]:
    """`adapter_files`, for tests that cannot import this file."""
    return adapter_files


@pytest.fixture(scope="session")
def demo(sqlite_store: Store) -> Demo:
    """The demo sweep with its plots, champion, description and view, in the session's store."""
    from adapter_registry.models.promotion import promote
    from adapter_registry.pages.notes import leaderboard, sweep_note
    from adapter_registry.pages.plots import log_search_plots
    from adapter_registry.pages.views import save_view

    with sqlite_store.open("gemma-sweeps") as tracker:
        written = write_demo(tracker)
        log_search_plots(tracker, written.sweep_run, written.study)
        trials = tracker.trials(written.sweep_run)
        values = {trial.number: trial.metrics["val_loss"] for trial in trials if trial.state == "complete"}
        best = leaderboard(trials, values, "minimize")[0]
        promote(tracker.tracking_uri, best.run_id, model=written.sweep, engine="echo")
        note = sweep_note(written.sweep, trials, values=values, planned=12, champion=written.sweep)
        tracker.set_note(written.sweep_run, note)
        save_view(tracker, written.sweep)
        tracker.set_state(written.sweep_run, "complete")
        return written
