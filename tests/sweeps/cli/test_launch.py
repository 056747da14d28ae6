"""A whole sweep from the command line, with an engine that only rehearses: stopped, refused, resumed, told about."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from sweeps.cli import main
from sweeps.errors import NotFoundError
from sweeps.ledger.ledger import Ledger
from sweeps.ledger.requests import Stop, post
from sweeps.spec import SweepSpec
from tests.sweeps.whole_sweeps import Held

pytestmark = [pytest.mark.ray, pytest.mark.slow]

GOOD = "{rank: 8, learning_rate: 1e-3, epochs: 3}"
DIVERGING = "{rank: 4, learning_rate: 0.2, epochs: 1}"
LAUNCH = (
    *("launch", "quickstart", "--name", "rehearsed", "--plain"),
    *(
        "--set",
        "search.trials=3",
        "--set",
        "search.space.learning_rate.high=0.3",
        "--set",
        "search.pruner={kind: none}",
    ),
    *("--set", f"search.enqueue=[{GOOD}, {DIVERGING}, {GOOD}]"),
    *("--set", "promotion.automatic=false", "--set", "compute.slots=2"),
)


def stop_after_the_first_evaluation(url: str) -> None:
    """Ask through the ledger, as `sweeps stop` does from another process."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        time.sleep(0.05)
        try:
            ledger = Ledger.open(url, "rehearsed")
        except NotFoundError:
            continue
        while not any(trial.evaluations for trial in ledger.trials()) and time.monotonic() < deadline:
            time.sleep(0.05)
        post(ledger, Stop())
        return


@pytest.mark.usefixtures("local_ray")
def test_a_sweep_is_stopped_refused_under_its_name_and_resumed_to_its_end(
    tmp_path: Path, ledger_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    gate = tmp_path / "gate"

    def rehearse(*, spec: SweepSpec, **_of_a_pack: object) -> Held:
        """Build, in the place of a pack, the engine that needs no model."""
        return Held(gate=gate, evaluations_per_epoch=spec.training.evaluations_per_epoch)

    monkeypatch.setattr("sweeps.launch.PackFactory", rehearse)
    monkeypatch.setattr("sweeps.driver.monitor.LEDGER_EVERY_S", 0.1)
    monkeypatch.setenv("SWEEPS_HOME", str(tmp_path))
    for name in ("SWEEPS_LEDGER", "MLFLOW_TRACKING_URI"):
        monkeypatch.delenv(name, raising=False)

    stopping = threading.Thread(target=stop_after_the_first_evaluation, args=(ledger_url,))
    stopping.start()
    assert main(LAUNCH) == 3
    stopping.join()
    out = capsys.readouterr().out
    assert "sweep rehearsed: 3 trials; 1 worker with 2 slots" in out
    assert "trial 0 started: rank 8, learning_rate 1e-3, epochs 3" in out
    assert "stopping (`sweeps stop` was called)" in out
    assert "rehearsed is stopped: " in out
    assert "Not promoted: " in out
    assert "sweeps resume rehearsed" in out

    assert main(LAUNCH) == 2
    assert "Error: A sweep named 'rehearsed' is already in the ledger" in capsys.readouterr().err

    assert main(["resume", "rehearsed", "--set", "search.trials=9"]) == 2
    assert "Error: search: cannot be changed any more" in capsys.readouterr().err
    gate.touch()
    assert main(["resume", "rehearsed", "--plain", "--set", "compute.slots=1", "--set", "budget.max_hours=1"]) == 0
    written = capsys.readouterr()
    assert written.err == ""
    assert "1 worker with 1 slot" in written.out
    assert "rehearsed is complete: 3 of 3 trials finished" in written.out
    assert "failed  trial 1: diverged at step 5: train_loss is nan" in written.out
    assert "sweeps promote rehearsed" in written.out
    assert "\x1b" not in written.out
    assert [line for line in written.out.splitlines() if line != line.rstrip()] == []

    assert main(["status", "rehearsed"]) == 0
    assert "rehearsed is complete: 3 of 3 trials finished" in capsys.readouterr().out
