"""`sweeps promote` and `sweeps generate` on a real MLflow store, with a champion that answers without a model."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from adapter_registry import Dataset, MlflowTracker
from adapter_registry.models.promotion import promote
from search_spaces import load_space
from sweeps.cli import main
from sweeps.driver.reconcile import reconcile
from sweeps.ledger.by_hand import BY_HAND
from sweeps.ledger.ledger import Ledger
from sweeps.settings import SearchSettings

pytestmark = pytest.mark.slow

SPACE = {"rank": {"type": "choice", "values": [2, 4, 8]}}
LOSSES = (2.5, 2.0, 3.0)
STOPPED = [(10, 1.9), (20, 1.5), (30, 1.7)]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sweep of three complete trials, and the champion of another model, promoted before."""
    home = tmp_path_factory.mktemp("home")
    uri = f"sqlite:///{home / 'mlflow.db'}"
    ledger = Ledger.create(f"sqlite:///{home / 'ledger.db'}", "mine", SearchSettings(trials=3), load_space(SPACE))
    with MlflowTracker(uri, "tests", str(home / "artifacts")) as tracker:
        tracker.prepare()
        data = [Dataset("val", "c1" * 32, "builtin:validation", "validation")]
        sweep_run = tracker.open_sweep("mine", spec_yaml="", tags={}, params={}, datasets=data)
        runs = []
        for number, loss in enumerate(LOSSES):
            runs.append(_write_trial(tracker, ledger, sweep_run, number, loss))
    promote(uri, runs[0], model="other", engine="echo")
    return home


def _files(content: int) -> dict[str, bytes]:
    card = {"base_name": "./gone", "base_digest": "5e" * 32, "base_dtype": "float32"}
    return {"adapter.lora.h5": str(content).encode(), "adapter.json": json.dumps(card).encode()}


def _write_trial(
    tracker: MlflowTracker, ledger: Ledger, sweep_run: str, number: int, loss: float, *, sweep: str = "mine"
) -> str:
    ledger.next_trial()
    run = tracker.open_trial(sweep_run, sweep, number, {"rank": 2})
    tracker.log_metrics(run, {"val_loss": loss}, 10)
    tracker.log_adapter(run, 1, _files(number), step=10)
    tracker.flush()
    tracker.set_state(run, "complete")
    ledger.note(number, run_id=run)
    ledger.report(number, 1, loss)
    ledger.tell(number, "complete", value=loss)
    return run


@pytest.fixture(autouse=True)
def _at_home(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SWEEPS_HOME", str(home))
    for name in ("SWEEPS_LEDGER", "MLFLOW_TRACKING_URI"):
        monkeypatch.delenv(name, raising=False)


def test_the_answer_alone_is_on_the_standard_output(capfd: pytest.CaptureFixture[str]) -> None:
    """Whatever libraries write, a script that reads the output gets the answer and a line break."""
    assert main(["generate", "요즘 잠을 못 자요", "--model", "other"]) == 0
    written = capfd.readouterr()
    assert written.out == "./gone: 요즘 잠을 못 자요\n"
    assert written.err.startswith("other version 1 (trial 0 of mine, val_loss 2.5000, base model ./gone):")


def test_a_prompt_can_come_from_a_pipe(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("안녕\x1b[2J하세요"))
    assert main(["generate", "-", "--max-new-tokens", "8", "--model", "other"]) == 0
    assert capfd.readouterr().out == "./gone: 안녕?[2J하세\n"  # an answer cannot steer the terminal


def test_an_empty_prompt_is_a_mistake_before_anything_is_loaded(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["generate", "  "]) == 2
    written = capfd.readouterr()
    assert written.out == ""
    assert written.err == "Error: The text of a user message must be a string that is not empty, but got '  '.\n"


def test_an_unknown_model_is_told_with_a_guess_and_the_champions(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["generate", "안녕", "--model", "othe"]) == 2
    told = capfd.readouterr().err
    assert told == "Error: No model 'othe' has a champion. Did you mean `other`? Choose from: other.\n"


def test_promoting_refusing_forcing_asking_and_rolling_back(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The best trial first, then a worse one only by force, and back; without --model the newest champion answers."""

    def told(code: int, *arguments: str) -> str:
        monkeypatch.setenv("COLUMNS", "200")
        assert main(arguments) == code
        written = capfd.readouterr()
        return f"{written.out}{written.err}"

    best = "Trial 1 of mine (epoch 1, val_loss 2.0000) is now the champion of the model mine: version 1"
    assert told(0, "promote", "mine") == f" {best}.\n"
    assert "is already the champion" in told(0, "promote", "mine", "--trial", "1")
    refusal = told(2, "promote", "mine", "--trial", "2")
    assert refusal.startswith("Error: A champion must be better than the one before, but trial 2 of 'mine' has")
    assert "force it with `--force`" in refusal
    assert "version 2, after version 1 (val_loss 2.0000)" in told(0, "promote", "mine", "--trial", "2", "--force")
    assert told(0, "promote", "--rollback", "mine") == f" {best}, after version 2 (val_loss 3.0000).\n"
    assert "was its first champion" in told(2, "promote", "--rollback", "mine")
    for wanted in ([], ["--sweep", "mine"]):  # answered by a real engine, whose base is gone
        label, error = told(2, "generate", "안녕", *wanted).splitlines()
        assert label == "mine version 1 (trial 1 of mine, val_loss 2.0000, base model ./gone):"
        assert error.startswith("Error: ")
        assert "./gone" in error


def test_a_trial_that_was_stopped_by_hand_is_promoted_with_its_best_epoch(
    home: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Ledger and registry choose the same epoch of it, whatever was measured last."""
    uri = f"sqlite:///{home / 'mlflow.db'}"
    space = load_space(SPACE)
    ledger = Ledger.create(f"sqlite:///{home / 'ledger.db'}", "stopped", SearchSettings(trials=2), space)
    with MlflowTracker(uri, "tests", str(home / "artifacts")) as tracker:
        data = [Dataset("val", "c1" * 32, "builtin:validation", "validation")]
        sweep_run = tracker.open_sweep("stopped", spec_yaml="", tags={}, params={}, datasets=data)
        _write_trial(tracker, ledger, sweep_run, 0, 2.0, sweep="stopped")
        ledger.next_trial()
        run = tracker.open_trial(sweep_run, "stopped", 1, {"rank": 2})
        ledger.note(1, run_id=run)
        for epoch, (step, loss) in enumerate(STOPPED, 1):
            tracker.log_metrics(run, {"val_loss": loss}, step)
            tracker.log_adapter(run, epoch, _files(10 + epoch), step=step)
            ledger.report(1, epoch, loss)
        tracker.flush()
        ledger.tell(1, "pruned", because=BY_HAND)
        reconcile(ledger, tracker, sweep_run)
    assert main(["promote", "stopped"]) == 0
    assert "Trial 1 of stopped (epoch 2, val_loss 1.5000) is now the champion" in capfd.readouterr().out
    assert main(["status", "stopped", "--json"]) == 0
    assert json.loads(capfd.readouterr().out)["best"] == 1
