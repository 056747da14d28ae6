"""`sweeps launch --dry-run`: a launch's checks and their account, and no trace of them anywhere."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from search_spaces import SearchSpace
from sweeps.cli import main
from sweeps.ledger.ledger import Ledger
from sweeps.settings import SearchSettings
from tests.command_line import Ended
from tests.postgres import PostgresServer

DryRun = Callable[..., Ended]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home that is not there yet, and an empty current folder."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    for name in ("SWEEPS_LEDGER", "MLFLOW_TRACKING_URI"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("SWEEPS_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def dry_run(capsys: pytest.CaptureFixture[str]) -> DryRun:
    def run(*arguments: str) -> Ended:
        code = main(["launch", "quickstart", "--dry-run", *arguments])
        written = capsys.readouterr()
        return Ended(code, written.out, written.err)

    return run


def everything(folder: Path) -> dict[str, tuple[int, int]]:
    return {
        str(each): (each.stat().st_size, each.stat().st_mtime_ns)
        for each in folder.rglob("*")
        if each.is_file() and "-" not in each.suffix
    }


def test_a_dry_run_tells_what_would_run_and_makes_nothing(dry_run: DryRun, home: Path) -> None:
    ended = dry_run("--set", "data.max_tokens=120", "--set", "search.trials=3")
    assert (ended.code, ended.err) == (0, "")
    for told in (
        "quickstart can be launched: 3 trials of rank, learning_rate, epochs; 1 worker with 3 slots",
        "dialogues of builtin:train",
        "longer than 120 tokens and cut at turns",
        "2,080 × over the limit of 320 dialogues (`data.select.limit`)",
        "× over the limit of 96 dialogues (`data.validation_limit`)",
        f"sqlite:///{home / 'ledger.db'}",
        "this was a dry run",
    ):
        assert told in ended.out
    assert [line for line in ended.out.splitlines() if line != line.rstrip()] == []
    assert list(home.parent.rglob("*")) == [home.parent / "here"]


def test_the_first_validation_set_is_shown_with_its_own_name(dry_run: DryRun) -> None:
    sets = "data.validation={semi: 'builtin:validation', chat: 'builtin:test'}"
    ended = dry_run("--set", sets, "--set", "search.trials=2")
    assert (ended.code, ended.err) == (0, "")
    lines = [" ".join(line.split()) for line in ended.out.splitlines()]
    assert any(line.startswith("val (semi) 96 dialogues of builtin:validation") for line in lines)
    assert any(line.startswith("chat 96 dialogues of builtin:test") for line in lines)
    assert any(line.startswith("val (semi): left out ") for line in lines)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--set", "search.trials=0"], "search.trials: must be at least 1"),
        (["--set", "data.train=nowhere.csv"], "nowhere.csv' does not exist"),
        (["--set", "search.space.rank.values=[4, 512]"], "search.space.rank"),
        (
            ["--set", "training.evaluations_per_epoch=9", "--set", "training.batch_size=400"],
            "training.evaluations_per_epoch: must be at most",
        ),
        (["--set", "data.max_tokens=16"], "raise `max_tokens`"),
        (
            ["--set", "compute.chips=4", "--set", "compute.chips_per_base=4"],
            "compute.chips_per_base: must divide the 2 key/value heads of this base model, but got 4. "
            "Choose from: 1, 2.",
        ),
    ],
)
def test_a_dry_run_refuses_what_a_launch_refuses(dry_run: DryRun, home: Path, arguments: list[str], told: str) -> None:
    ended = dry_run(*arguments)
    assert ended.code == 2
    (mistake,) = ended.mistakes
    assert told in mistake
    assert not home.exists()


@pytest.mark.usefixtures("home")
def test_resume_is_not_for_a_dry_run(dry_run: DryRun) -> None:
    ended = dry_run("--resume")
    assert ended.code == 2
    assert "give one of them" in ended.err


def test_a_name_that_is_taken_is_refused_and_the_ledger_is_left_as_it_was(
    dry_run: DryRun, home: Path, space: SearchSpace, ledger_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    Ledger.create(ledger_url, "quickstart", SearchSettings(trials=2), space)
    monkeypatch.setenv("SWEEPS_LEDGER", ledger_url)
    before = everything(home.parent)
    assert "already in the ledger" in dry_run().mistakes[0]
    assert dry_run("--name", "another").code == 0
    assert everything(home.parent) == before


def test_a_home_that_cannot_be_made_is_refused(dry_run: DryRun, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (home.parent / "file").write_text("")
    monkeypatch.setenv("SWEEPS_HOME", str(home.parent / "file" / "home"))
    assert "is no folder. Choose another one with SWEEPS_HOME." in dry_run().mistakes[0]


@pytest.mark.parametrize("name", ["mlflow.db", "ledger.db"])
def test_a_file_that_is_no_database_is_refused(dry_run: DryRun, home: Path, name: str) -> None:
    home.mkdir()
    (home / name).write_text("not a database, but long enough to be taken for one" * 100)
    ended = dry_run()
    assert ended.code == 2
    assert "database" in ended.mistakes[0]
    assert [each.name for each in home.iterdir()] == [name]


@pytest.mark.parametrize("name", ["mlflow.db", "ledger.db"])
def test_an_empty_database_gets_no_tables(dry_run: DryRun, home: Path, name: str) -> None:
    home.mkdir()
    (home / name).touch()
    assert dry_run().code == 0
    assert (home / name).read_bytes() == b""


def test_a_deleted_experiment_is_refused(dry_run: DryRun, home: Path) -> None:
    home.mkdir()
    with closing(sqlite3.connect(home / "mlflow.db")) as database:
        database.execute("CREATE TABLE experiments (experiment_id INTEGER, name TEXT, lifecycle_stage TEXT)")
        database.execute("INSERT INTO experiments VALUES (7, 'gemma-sweeps', 'deleted')")
        database.commit()
    assert "mlflow experiments restore --experiment-id 7" in dry_run().mistakes[0]
    assert dry_run("--set", "experiment=another").code == 0


def test_a_database_of_a_server_gets_no_tables(
    dry_run: DryRun, home: Path, postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = postgres.create_database()
    monkeypatch.setenv("SWEEPS_LEDGER", url)
    assert dry_run().code == 0
    tables = "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"
    assert postgres.execute(tables, url.rpartition("/")[2]) == []
    assert not home.exists()
