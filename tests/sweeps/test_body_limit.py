"""A proxy before MLflow that takes no long files: a sweep is told before it begins, and of plots the truth is told."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import optuna
import pytest

from adapter_registry.errors import TrackingStoreError
from adapter_registry.pages.plots import log_search_plots
from adapter_registry.runs.mlflow_tracker import MlflowTracker
from adapter_registry.store.rights import check_rights
from adapter_registry.store.server import LocalServer, local_server
from sweeps.cli import main
from tests.body_limit import limiting_proxy

pytestmark = pytest.mark.slow

LIMIT = 90_000


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("limited")


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[LocalServer]:
    with local_server(f"sqlite:///{folder / 'mlflow.db'}") as running:
        yield running


def test_a_file_that_is_too_long_is_refused_beforehand_and_none_is_left(server: LocalServer, folder: Path) -> None:
    with limiting_proxy(server.url, LIMIT) as url:
        check_rights(url, "limits", model="m", largest_file=LIMIT)
        with pytest.raises(TrackingStoreError, match=r"90,001 bytes.*HTTP 413.*client_max_body_size"):
            check_rights(url, "limits", model="m", largest_file=LIMIT + 1)
    assert [path for path in folder.rglob("artifacts/**/*") if path.is_file()] == []


def test_a_dry_run_names_the_proxys_limit(
    server: LocalServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SWEEPS_HOME", str(tmp_path))
    monkeypatch.delenv("SWEEPS_LEDGER", raising=False)
    for limit, code in ((LIMIT, 2), (100 * LIMIT, 0)):
        with limiting_proxy(server.url, limit) as url:
            monkeypatch.setenv("MLFLOW_TRACKING_URI", url)
            assert main(["launch", "quickstart", "--dry-run"]) == code
        assert ("client_max_body_size" in capsys.readouterr().err) == (code == 2)


def test_a_plot_that_could_not_be_stored_is_not_said_to_be_undrawable(server: LocalServer) -> None:
    study = optuna.create_study()
    study.add_trial(optuna.trial.create_trial(value=1.0, intermediate_values={1: 1.0}))
    with limiting_proxy(server.url, 2**20) as url, MlflowTracker(url, "plots", patience_s=5) as tracker:
        run_id = tracker.open_sweep("plotted", spec_yaml="", tags={}, params={})
        report = log_search_plots(tracker, run_id, study)
    assert report.files == ("plots/history.png", "plots/intermediate_values.png")
    reason = report.skipped["history"]
    assert "could not be stored" in reason
    assert "client_max_body_size" in reason
    assert "draw" not in reason
