"""Where things live, and that addresses are shown without their secrets."""

import os
import sqlite3
from pathlib import Path

import pytest

from sweeps.errors import HomeError
from sweeps.home import find_home


def message(**environment: str) -> str:
    with pytest.raises(HomeError) as caught:
        find_home(environment)
    return str(caught.value)


def test_by_default_everything_lives_in_one_folder_here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    home = find_home({})
    folder = tmp_path / "sweeps-data"
    assert home.folder == folder
    assert home.ledger == f"sqlite:///{folder}/ledger.db"
    assert home.tracking_uri == f"sqlite:///{folder}/mlflow.db"
    assert home.artifact_root == str(folder / "artifacts")
    assert not folder.exists()


def test_the_environment_of_the_process_is_read(tmp_path, monkeypatch):
    monkeypatch.setenv("SWEEPS_HOME", str(tmp_path / "감정 대화"))
    assert find_home().folder == tmp_path / "감정 대화"


def test_an_empty_variable_is_an_unset_one():
    assert find_home({"SWEEPS_HOME": "", "SWEEPS_LEDGER": " ", "MLFLOW_TRACKING_URI": ""}) == find_home({})


def test_sqlite_files_get_absolute_paths(tmp_path, monkeypatch):
    """Ray's workers run in other folders: a relative path would be another file there."""
    monkeypatch.chdir(tmp_path)
    home = find_home({"SWEEPS_LEDGER": "sqlite:///my ledger.db", "MLFLOW_TRACKING_URI": "sqlite:///sub/ml.db"})
    assert home.ledger == f"sqlite:///{tmp_path}/my ledger.db"
    assert home.tracking_uri == f"sqlite:///{tmp_path}/sub/ml.db"


def test_the_ledgers_address_opens_in_a_folder_with_spaces_and_korean(tmp_path):
    from sqlalchemy import create_engine

    home = find_home({"SWEEPS_HOME": str(tmp_path / "감정 대화")})
    home.prepare()
    engine = create_engine(home.ledger)
    with engine.connect():
        pass
    engine.dispose()
    with sqlite3.connect(home.folder / "ledger.db") as connection:
        assert connection.execute("select 1").fetchone() == (1,)
    connection.close()


@pytest.mark.parametrize(
    ("uri", "root"),
    [
        ("https://mlflow.example", None),
        ("http://127.0.0.1:5000", None),
        ("databricks", None),
        ("sqlite:////data/mlflow.db", None),
        ("postgresql://u:p@h/db", "/home/artifacts"),
    ],
)
def test_artifacts_go_where_the_store_cannot_say_otherwise(uri, root):
    assert find_home({"SWEEPS_HOME": "/home", "MLFLOW_TRACKING_URI": uri}).artifact_root == root


def test_a_home_is_made_for_its_owner_only(tmp_path):
    home = find_home({"SWEEPS_HOME": str(tmp_path / "a" / "b")})
    home.prepare()
    home.prepare()
    assert home.folder.stat().st_mode & 0o777 == 0o700


def test_a_file_in_the_way_is_told(tmp_path):
    (tmp_path / "home").write_text("")
    with pytest.raises(HomeError, match=r"cannot be made: a file of that name is in the way\. Choose another one with"):
        find_home({"SWEEPS_HOME": str(tmp_path / "home")}).prepare()
    with pytest.raises(HomeError, match="cannot be made: Not a directory"):
        find_home({"SWEEPS_HOME": str(tmp_path / "home" / "sub")}).prepare()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_home_that_may_not_be_written_is_told(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(HomeError, match="cannot be made: Permission denied"):
        find_home({"SWEEPS_HOME": str(tmp_path / "home")}).prepare()


@pytest.mark.parametrize("ledger", ["ledger.db", "/data/ledger.db", "foo:bar", "://x"])
def test_a_ledger_must_be_a_url(ledger):
    assert message(SWEEPS_LEDGER=ledger).startswith(
        f"SWEEPS_LEDGER must be an SQLAlchemy URL, but got {ledger!r}. Examples: "
    )


@pytest.mark.parametrize("ledger", ["sqlite://", "sqlite:///:memory:", "sqlite:///file:x?mode=memory&uri=true"])
def test_a_ledger_must_outlive_the_process(ledger):
    assert "is in memory" in message(SWEEPS_LEDGER=ledger)


def test_a_home_must_be_a_folder_that_addresses_can_hold():
    assert "? # %" in message(SWEEPS_HOME="/a?b")
    assert "there is no such user" in message(SWEEPS_HOME="~nobody_at_all/x")
    assert "text on one line" in message(SWEEPS_HOME="/a\nb")


def test_nothing_that_shows_a_home_shows_its_secrets():
    home = find_home({"SWEEPS_LEDGER": "postgresql://u:hidden@h/db", "MLFLOW_TRACKING_URI": "https://hidden@h"})
    assert "hidden" not in f"{home!r} {home.describe()}"
    assert "hidden" not in message(SWEEPS_LEDGER="u:hidden@h/db")


def test_the_variables_that_change_a_place_are_named():
    assert set(find_home({}).describe()) == {"SWEEPS_HOME", "SWEEPS_LEDGER", "MLFLOW_TRACKING_URI"}
    assert find_home({"SWEEPS_HOME": "/x"}).describe()["SWEEPS_HOME"] == str(Path("/x"))
