"""Commands as a user types them: exit codes, one sentence for each mistake, and nothing that a script cannot read."""

from __future__ import annotations

import json
import signal
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import typer

from search_spaces import load_space
from sweeps.cli import main
from sweeps.cli.shared.exit_codes import guarded
from sweeps.errors import BusyError, WorkerError
from sweeps.ledger.ledger import Ledger
from sweeps.ledger.requests import pending
from sweeps.settings import PrunerSettings, SearchSettings
from sweeps.spec import load_spec
from tests.command_line import Ended, python

Sweeps = Callable[..., Ended]
HEAVY = ("jax", "keras", "keras_hub", "ray", "mlflow", "optuna", "pandas", "numpy", "pydantic")


@pytest.fixture
def home(tmp_path: Path, ledger_url: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home with an empty ledger, in an empty current folder."""
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    for name in ("SWEEPS_LEDGER", "MLFLOW_TRACKING_URI", "NO_COLOR", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("SWEEPS_HOME", str(tmp_path))
    return tmp_path


@pytest.fixture
def sweeps(capsys: pytest.CaptureFixture[str]) -> Sweeps:
    def run(*arguments: str) -> Ended:
        code = main(arguments)
        written = capsys.readouterr()
        return Ended(code, written.out, written.err)

    return run


# ---------------------------------------------------------------------------------------------------------------- help


def test_help_imports_nothing_heavy() -> None:
    script = (
        "import sys, json; from sweeps.cli import main; code = main(['--help']); "
        "print(json.dumps([code, sorted(sys.modules)]), file=sys.stderr)"
    )
    out, err = python("-c", script).communicate()
    code, modules = json.loads(err)
    assert code == 0
    assert "launch" in out
    assert not {*HEAVY, "adapter_registry.runs"} & set(modules)


def test_every_command_has_a_line_of_help_and_an_example(sweeps: Sweeps) -> None:
    overview = sweeps("--help").out
    for line in ("130  cancelled", "3    the sweep was stopped", "SWEEPS_HOME"):
        assert line in overview
    commands = "launch list status resume stop pause extend retry promote generate ui doctor examples spaces"
    for command in commands.split():
        ended = sweeps(command, "--help")
        assert ended.code == 0
        assert f"Example:  sweeps {command}" in ended.out
        line = next(line for line in overview.splitlines() if line.strip().startswith(f"{command} "))
        assert len(line.split()) > 4


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["lanch"], "No such command 'lanch'. Did you mean 'launch'?"),
        (["launch", "--st", "a=1"], "No such option"),
        (["status"], "Missing argument"),
        (["promote", "x", "--trial", "-1"], "'--trial': must be at least 0, but got -1."),
        (["retry", "x", "--trial", "-1"], "'--trial': must be at least 0, but got -1."),
        (["extend", "x", "--trials", "four"], "'--trials': must be a whole number, but got four."),
        (["trial", "stop", "x", "one"], "'TRIAL': must be a whole number, but got one."),
        (["generate", "x", "--temperature", "warm"], "'--temperature': must be a number, but got warm."),
        (["promote", "x", "--rollback", "--force"], "--rollback goes with neither"),
        (["generate", "x", "--model", "a", "--sweep", "b"], "give one of them"),
        (["ui", "--port", "99999"], "'--port': must be at most 65535, but got 99999."),
    ],
)
@pytest.mark.usefixtures("home")
def test_a_wrong_command_line_is_told_with_exit_code_2(sweeps: Sweeps, arguments: list[str], told: str) -> None:
    ended = sweeps(*arguments)
    assert ended.code == 2
    assert told in ended.err
    assert "Traceback" not in ended.err


def test_version_is_one_line(sweeps: Sweeps) -> None:
    ended = sweeps("--version")
    assert ended.code == 0
    assert ended.out.startswith("sweeps ")
    assert len(ended.out.splitlines()) == 1


def test_python_m_sweeps_is_sweeps() -> None:
    process = python("-m", "sweeps", "spaces", "nonsense")
    _, err = process.communicate()
    assert process.returncode == 2
    assert err.startswith("Error: Unknown search space 'nonsense'. Choose from: gemma2_2b")


# ------------------------------------------------------------------------------------------------------------- shelves


@pytest.mark.usefixtures("home")
def test_launch_without_a_spec_lists_the_examples(sweeps: Sweeps) -> None:
    ended = sweeps("launch")
    assert ended.code == 2
    assert "quickstart" in ended.out
    assert "gemma2_2b_korean" in ended.out


def test_an_example_that_was_printed_can_be_launched_from_a_file(sweeps: Sweeps, tmp_path: Path) -> None:
    copy = tmp_path / "my.yaml"
    copy.write_text(sweeps("examples", "quickstart").out)
    assert load_spec(copy) == load_spec("quickstart")


def test_a_space_that_was_printed_can_be_loaded(sweeps: Sweeps, tmp_path: Path) -> None:
    copy = tmp_path / "space.yaml"
    copy.write_text(sweeps("spaces", "gemma2_2b").out)
    assert load_space(copy) == load_space("gemma2_2b")


def test_unknown_examples_are_told_with_a_guess_and_the_choices(sweeps: Sweeps) -> None:
    ended = sweeps("examples", "quickstat")
    assert ended.code == 2
    (mistake,) = ended.mistakes
    assert mistake.startswith("Unknown example 'quickstat'. Did you mean `quickstart`? Choose from: ")


# ---------------------------------------------------------------------------------------- mistakes before anything runs


def set_to(*changes: str) -> list[str]:
    return ["launch", "quickstart", *(part for change in changes for part in ("--set", change))]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (set_to("search.trails=4"), ["search.trails: Unknown key. Did you mean `trials`?"]),
        (set_to("search.space.learning_rate.low=1"), ["search.space.learning_rate", "low", "must"]),
        (set_to("search.trials=0"), ["search.trials: must be at least 1, but got 0."]),
        (set_to("search.space.rank.values=[99999]"), ["search.space.rank", "99999"]),
        (
            set_to("search.space.rank.values=[4, 512]"),
            ["search.space.rank", "512"],
        ),  # above the built-in matrices' size
        (set_to("data.train=nowhere.csv"), ["nowhere.csv"]),
        (set_to("base.model=gemma9_900b_en"), ["base.model", "gemma9_900b_en", "gemma2_2b_en"]),
        (set_to("base.model=./nowhere"), ["base.model", "nowhere"]),
        (set_to("nonsense"), ["--set: must be written key.sub=value, but got 'nonsense'."]),
        (["launch", "quickstat"], ["Unknown example 'quickstat'. Did you mean `quickstart`?"]),
        (["launch", "./nowhere.yaml"], ["nowhere.yaml does not exist. Give the path of a YAML file, or choose"]),
        (["launch", "quickstart", "--name", "Two Words"], ["name", "Two Words"]),
        (["resume", "nobody"], ["No sweep is named 'nobody'", "none yet"]),
        (["status", "nobody"], ["No sweep is named 'nobody'"]),
        (["stop", "nobody"], ["No sweep is named 'nobody'"]),
        (["promote", "nobody"], ["No sweep is named 'nobody'"]),
        (["promote", "--rollback", "nobody"], ["There is no champion in"]),
        (["generate", "안녕"], ["There is no champion in", "sweeps launch quickstart"]),
        (["generate", "안녕", "--sweep", "nobody"], ["No sweep is named 'nobody'"]),
    ],
    ids=lambda value: " ".join(value)[:60] if isinstance(value, list) else None,
)
def test_a_mistake_is_one_sentence_with_exit_code_2(
    sweeps: Sweeps, home: Path, arguments: list[str], told: list[str]
) -> None:
    """No traceback, no trace of a sweep, and no worker has begun."""
    ended = sweeps(*arguments)
    assert ended.code == 2
    (mistake,) = ended.mistakes
    assert all(part in mistake for part in told), mistake
    assert Ledger.sweeps(f"sqlite:///{home / 'ledger.db'}") == []
    assert not (home / "logs").exists()


@pytest.mark.usefixtures("home")
def test_all_mistakes_of_a_spec_are_told_together(sweeps: Sweeps) -> None:
    ended = sweeps(*set_to("search.trials=0", "nonsense.key=1", "training.batch_size=-1"))
    assert ended.code == 2
    assert len(ended.mistakes) == 3


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ('[{"profile": {"persona', "cut"),
        ('[{"profile": {}, "talk": {}}]', ""),
        ("[]", ""),
        ('{"turns": 1}', ""),
    ],
    ids=["cut off", "without turns", "empty", "another schema"],
)
def test_data_that_cannot_be_read_is_one_sentence_that_names_the_file(
    sweeps: Sweeps, home: Path, content: str, told: str
) -> None:
    path = home / "talk.json"
    path.write_text(content)
    ended = sweeps(*set_to(f"data.train={path}", "data.select={}"))
    assert ended.code == 2
    (mistake,) = ended.mistakes
    assert "talk.json" in mistake
    assert told in mistake


def test_a_tracking_server_that_does_not_answer_is_one_sentence(
    sweeps: Sweeps, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://me:secret@127.0.0.1:9")
    ended = sweeps("launch", "quickstart")
    assert ended.code == 2
    (mistake,) = ended.mistakes
    assert "127.0.0.1:9 does not answer" in mistake
    assert "secret" not in mistake
    assert Ledger.sweeps(f"sqlite:///{home / 'ledger.db'}") == []


def test_a_home_or_ledger_that_cannot_be_used_is_one_sentence(
    sweeps: Sweeps, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (home / "file").write_text("")
    monkeypatch.setenv("SWEEPS_LEDGER", "nonsense")
    assert "SWEEPS_LEDGER must be an SQLAlchemy URL" in sweeps("list").mistakes[0]
    monkeypatch.setenv("SWEEPS_LEDGER", f"sqlite:///{home / 'file' / 'ledger.db'}")
    monkeypatch.setenv("SWEEPS_HOME", str(home / "file"))
    ended = sweeps("launch", "quickstart")
    assert ended.code == 2
    assert "SWEEPS_HOME" in ended.mistakes[0]


def test_looking_makes_nothing(sweeps: Sweeps, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A command in the wrong folder says so, and leaves no empty ledger behind."""
    monkeypatch.setenv("SWEEPS_HOME", str(tmp_path / "new"))
    monkeypatch.delenv("SWEEPS_LEDGER", raising=False)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    assert sweeps("list").code == 0
    assert json.loads(sweeps("list", "--json").out) == []
    assert "SWEEPS_HOME" in sweeps("status", "quickstart").mistakes[0]
    assert "SWEEPS_HOME" in sweeps("generate", "안녕").mistakes[0]
    assert list(tmp_path.iterdir()) == []


# ---------------------------------------------------------------------------------------------------------- the endings


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (BusyError("Somebody else runs it."), 2),
        (WorkerError("No worker can be started."), 2),
        (KeyboardInterrupt(), 130),
        (ZeroDivisionError("oh"), 1),
    ],
)
def test_exceptions_end_in_their_exit_code(
    error: BaseException, code: int, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def command() -> None:
        raise error

    with pytest.raises(typer.Exit) as ended:
        guarded(command)()
    assert ended.value.exit_code == code
    assert "Traceback" not in capsys.readouterr().err


def test_an_unexpected_error_is_one_sentence_and_its_traceback_is_in_a_log(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def command() -> None:
        raise ZeroDivisionError("division of postgresql://me:secret@host/db by zero")

    with pytest.raises(typer.Exit):
        guarded(command)()
    said = capsys.readouterr().err
    (log,) = (home / "logs").iterdir()
    assert said.startswith("Error: something unexpected happened, ZeroDivisionError: division of ")
    assert said.endswith(f"The traceback is in {log}.\n")
    assert len(said.splitlines()) == 1
    assert "raise ZeroDivisionError" in log.read_text()
    assert "secret" not in log.read_text()


def test_a_full_or_missing_home_does_not_hide_an_unexpected_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("SWEEPS_HOME", str(tmp_path / "file" / "below"))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))

    def command() -> None:
        raise ZeroDivisionError("oh")

    with pytest.raises(typer.Exit):
        guarded(command)()
    log = Path(capsys.readouterr().err.split()[-1].rstrip("."))
    assert "raise ZeroDivisionError" in log.read_text()
    assert stat.S_IMODE(log.stat().st_mode) == 0o600


def test_a_pipe_that_nobody_reads_ends_quietly(home: Path) -> None:
    script = (
        "import sys; from sweeps.cli.shared.exit_codes import guarded\n"
        "def command():\n    while True: print('x' * 9999, flush=True)\n"
        "import typer\n"
        "try: guarded(command)()\nexcept typer.Exit as e: sys.exit(e.exit_code)"
    )
    process = python("-c", script)
    assert process.stdout is not None
    process.stdout.close()
    assert process.wait(30) == 0
    assert process.stderr is not None
    assert process.stderr.read() == ""
    process.stderr.close()


# ------------------------------------------------------------------------------------------------------ list and status


SPACE = {"rank": {"type": "choice", "values": [2, 4, 8]}, "learning_rate": {"type": "float", "low": 1e-4, "high": 1e-2}}


@pytest.fixture
def sweep(home: Path) -> Ledger:
    """A sweep of four trials: the first complete, the second pruned, the third left by a driver that died."""
    url = f"sqlite:///{home / 'ledger.db'}"
    settings = SearchSettings(trials=4, pruner=PrunerSettings(kind="none"))
    changes = ["name=mine", "search.space={}", "promotion.model=counsellor"]
    spec = load_spec("quickstart", [changes[0], changes[2]])
    Ledger.create(url, "mine", settings, load_space(SPACE), spec_yaml=spec.to_yaml())
    ledger = Ledger.open(url, "mine", load_space(SPACE))
    for number, state in ((0, "complete"), (1, "pruned"), (2, "running")):
        ledger.next_trial()
        ledger.note(number, run_id=f"run{number}")
        ledger.report(number, 1, 2.0 + number)
        if state != "running":
            told: Any = state
            ledger.tell(number, told, value=2.0 + number, because="" if state == "complete" else "it was not good")
    ledger.note_sweep(state="running", run_id="sweep-run")
    return ledger


def test_list_shows_a_sweep_whose_driver_died_as_interrupted(sweeps: Sweeps, sweep: Ledger) -> None:
    lines = sweeps("list").out.splitlines()
    assert lines[1].split()[:3] == ["mine", "interrupted", "2/4"]


def test_list_as_json(sweeps: Sweeps, sweep: Ledger) -> None:
    (record,) = json.loads(sweeps("list", "--json").out)
    assert record["name"] == "mine"
    assert record["state"] == "interrupted"
    assert (record["trials_asked"], record["trials_finished"]) == (4, 2)
    assert record["counts"] == {"complete": 1, "pruned": 1, "running": 1}
    assert record["driver"] is None


def test_status_shows_trials_reasons_and_the_next_command(sweeps: Sweeps, sweep: Ledger) -> None:
    ended = sweeps("status", "mine")
    assert ended.code == 0
    assert "mine is interrupted: 2 of 4 trials finished" in ended.out
    assert "pruned  trial 1: it was not good" in ended.out
    assert "sweeps resume mine" in ended.out
    assert "\x1b" not in ended.out


def test_status_as_json(sweeps: Sweeps, sweep: Ledger) -> None:
    told = json.loads(sweeps("status", "mine", "--json").out)
    assert (told["direction"], told["best"], told["model"]) == ("minimize", 0, "counsellor")
    assert [trial["state"] for trial in told["trials"]] == ["complete", "pruned", "running"]
    assert told["trials"][0]["value"] == 2.0
    assert set(told["trials"][0]["params"]) == {"rank", "learning_rate"}


@pytest.mark.parametrize(
    "command",
    ["list", "list --json", "status mine", "status mine --all", "status mine --json", "status mine --watch", "--help"]
    + ["stop mine", "extend mine --trials 1", "retry mine --failed", "trial enqueue mine rank=4", "pause mine"]
    + ["examples", "examples quickstart", "spaces", "spaces gemma2_2b", "launch", "--version", "trial --help"]
    + [
        f"{name} --help"
        for name in ["launch", "list", "status", "resume", "stop", "promote", "generate", "ui", "doctor", "examples"]
    ],
)
def test_no_line_of_what_is_piped_ends_with_spaces(sweeps: Sweeps, sweep: Ledger, command: str) -> None:
    ended = sweeps(*command.split())
    assert ended.out + ended.err
    assert [line for line in f"{ended.out}{ended.err}".splitlines() if line != line.rstrip()] == []


def test_watching_a_sweep_that_nobody_runs_ends(sweeps: Sweeps, sweep: Ledger) -> None:
    assert sweeps("status", "mine", "--watch").code == 0


def test_stop_says_when_nobody_runs_the_sweep(sweeps: Sweeps, sweep: Ledger) -> None:
    ended = sweeps("stop", "mine")
    assert ended.code == 0
    assert ended.out.startswith("Nobody is running the sweep 'mine' (interrupted, 2 of 4 trials finished).")
    assert "sweeps resume mine" in ended.out
    assert pending(sweep) == []


def test_stop_asks_the_process_that_runs_the_sweep_and_waits_for_its_end(sweeps: Sweeps, sweep: Ledger) -> None:
    """The driver here holds the claim as a real one does, and gives it back when it finds the request."""
    script = (
        "import sys, time; from sweeps.ledger.claim import Claim; from sweeps.ledger.ledger import Ledger\n"
        "from sweeps.ledger.requests import Answer, answer, pending\n"
        "ledger = Ledger.open(sys.argv[1], 'mine'); claim = Claim(ledger); print('claimed', flush=True)\n"
        "while not pending(ledger): time.sleep(0.05)\n"
        "answer(ledger, pending(ledger)[0], Answer('It stops.')); time.sleep(2); claim.release(); time.sleep(60)"
    )
    with python("-c", script, sweep.url) as driver:
        assert driver.stdout is not None
        assert driver.stdout.readline() == "claimed\n"
        status = sweeps("status", "mine").out
        ended = sweeps("stop", "mine", "--wait")
        driver.kill()
    assert f"run by process {driver.pid}" in status
    assert ended.code == 0
    assert ended.out == "It stops. `sweeps resume mine` goes on with it.\n"
    assert sweep.record.driver is None


def test_a_sweep_that_is_finishing_says_so_everywhere(sweeps: Sweeps, sweep: Ledger) -> None:
    """All its trials have ended; its driver draws plots and promotes, and nothing is left that could be stopped."""
    script = (
        "import sys, time; from sweeps.ledger.claim import Claim; from sweeps.ledger.ledger import Ledger\n"
        "ledger = Ledger.open(sys.argv[1], 'mine'); claim = Claim(ledger)\n"
        "ledger.note_sweep(state=sys.argv[2]); print('claimed', flush=True); time.sleep(600)"
    )
    for state in ("running", "finishing"):
        with python("-c", script, sweep.url, state) as driver:
            assert driver.stdout is not None
            assert driver.stdout.readline() == "claimed\n"
            listed = sweeps("list").out.splitlines()[1].split()
            status, told = sweeps("status", "mine").out, json.loads(sweeps("status", "mine", "--json").out)
            stopped = sweeps("stop", "mine") if state == "finishing" else None
            asked = sweeps("generate", "안녕")
            driver.kill()
        assert listed[:2] == ["mine", state]
        assert f"mine is {state}: " in status
        assert told["state"] == state
        (mistake,) = asked.mistakes
        assert f"The sweep 'mine' is {state}: ask again when it has ended" in mistake
        assert ("sweeps promote mine" in mistake) == (state == "running")
        assert "sweeps launch" not in mistake
    assert stopped is not None
    assert (stopped.code, pending(sweep)) == (0, [])
    assert stopped.out == (
        "The sweep 'mine' is finishing: its trials have ended, only plots and promotion are to come.\n"
    )
    assert "sweeps promote" not in status
    assert "sweeps stop" not in status
    after = sweeps("status", "mine").out  # its driver was killed
    assert "mine is interrupted: " in after
    assert "sweeps resume mine" in after


def test_promote_names_the_trials_that_can_be_chosen(sweeps: Sweeps, sweep: Ledger) -> None:
    assert sweeps("promote", "mine", "--trial", "9").mistakes == [
        "The sweep 'mine' has no trial 9 that has begun. Choose from: 0, 1, 2."
    ]


# --------------------------------------------------------------------------------------------------------------- signal


def test_ctrl_c_before_a_sweep_has_begun_cancels_with_exit_code_130(home: Path) -> None:
    """The probe of the tracking server is where the launch waits when the signal comes."""
    import socket

    with socket.create_server(("127.0.0.1", 0)) as silent:
        uri = f"http://127.0.0.1:{silent.getsockname()[1]}"
        launching = python("-m", "sweeps", "launch", "quickstart", "--plain", MLFLOW_TRACKING_URI=uri)
        assert launching.stdout is not None
        for line in launching.stdout:
            if "MLflow" in line:
                break
        asked, _ = silent.accept()
        with asked:
            launching.send_signal(signal.SIGINT)
            _, err = launching.communicate(timeout=60)
    assert launching.returncode == 130
    assert err == "Cancelled.\n"
