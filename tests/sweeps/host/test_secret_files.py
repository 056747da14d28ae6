"""Variables whose value is in a file, as containers are given their secrets."""

import pytest

from sweeps.errors import HomeError
from sweeps.host.secret_files import read_secret_files


def test_a_variable_is_read_from_the_file_that_is_named(tmp_path):
    (tmp_path / "url").write_text("postgresql://me:x@db/ledger\n")
    environment = {"SWEEPS_LEDGER_FILE": str(tmp_path / "url")}
    read_secret_files(environment)
    assert environment["SWEEPS_LEDGER"] == "postgresql://me:x@db/ledger"


def test_what_is_set_already_stays():
    environment = {"MLFLOW_TRACKING_PASSWORD_FILE": "/nowhere", "MLFLOW_TRACKING_PASSWORD": "x"}
    read_secret_files(environment)
    assert environment["MLFLOW_TRACKING_PASSWORD"] == "x"


def test_a_file_that_is_not_there_is_told():
    with pytest.raises(HomeError, match=r"SWEEPS_LEDGER_FILE must name a file .* '/nowhere': No such file"):
        read_secret_files({"SWEEPS_LEDGER_FILE": "/nowhere"})


def test_a_file_that_holds_no_text_is_told(tmp_path):
    (tmp_path / "key").write_bytes(b"\xff\xfe")
    with pytest.raises(HomeError, match="it holds no text"):
        read_secret_files({"SWEEPS_WEBHOOK_SECRET_FILE": str(tmp_path / "key")})
