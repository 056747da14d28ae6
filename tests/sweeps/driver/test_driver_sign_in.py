"""A whole sweep whose sign-in at MLflow expires, twice: resumed with a new token, and renewed while it runs."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from adapter_registry.runs.mlflow_tracker import MlflowTracker
from adapter_registry.store.server import local_server
from sweeps.settings import PrunerSettings
from tests.command_line import python
from tests.services import until
from tests.sign_in_proxy import sign_in_proxy
from tests.sweeps.whole_sweeps import GOOD, Begin, assert_ledger_and_mlflow_agree

pytestmark = [pytest.mark.ray, pytest.mark.slow, pytest.mark.timeout(600)]

SCRIPT = Path(__file__).parents[1] / "killed_driver.py"
TRIALS = 8


def test_a_sweep_is_exact_when_its_sign_in_expires_and_is_renewed_or_it_is_resumed_with_another(
    begin: Begin, tmp_path: Path
) -> None:
    token = tmp_path / "token"
    sweep = begin(trials=TRIALS, enqueue=[GOOD] * TRIALS, pruner=PrunerSettings(kind="none"))
    with local_server(f"sqlite:///{tmp_path}/mlflow.db") as server, sign_in_proxy(server.url, "first") as proxy:

        def drive() -> subprocess.Popen[str]:
            """Start a driver, and let the sign-in expire in its midst."""
            answer, renewed = ("401", "second") if token.read_text() == "first" else ("a redirect", "third")
            driver = python(*(str(SCRIPT), sweep.url, sweep.name, proxy.url, ""), MLFLOW_TRACKING_TOKEN_FILE=str(token))
            logged = len(proxy.passed)
            until(lambda: sum("log-batch" in path for path in proxy.passed[logged:]) > 8, 120, "metrics stored")
            proxy.expire(answer, then=renewed)
            until(lambda: len(proxy.refused) > 4, 120, "requests refused")
            assert driver.poll() is None
            return driver

        token.write_text("first")
        with drive() as driver:
            driver.kill()
        token.write_text("second")
        with drive() as driver:
            token.write_text("third")
            _, told = driver.communicate(timeout=200)
            assert driver.returncode == 0, told

        sweep.tracker = MlflowTracker(server.url, "tests")
        sweep.run_id = sweep.tracker.find_sweep(sweep.name) or ""
        assert [trial.state for trial in sweep.ledger.trials()] == ["complete"] * TRIALS
        assert_ledger_and_mlflow_agree(sweep)
        for run in sweep.runs():
            assert [step for step, _ in sweep.tracker.history(run.run_id, "train_loss")] == list(range(5, 31, 5))
            assert [step for step, _ in sweep.tracker.history(run.run_id, "val_loss")] == [10, 20, 30]
