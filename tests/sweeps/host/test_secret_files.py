"""Variables whose value is in a file, as containers are given their secrets."""

import pytest

from adapter_registry.store.secret_files import renew_credentials
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


def test_a_file_that_is_renewed_counts_and_one_that_is_gone_or_empty_does_not(tmp_path):
    (tmp_path / "token").write_text("first")
    environment = {"MLFLOW_TRACKING_TOKEN_FILE": str(tmp_path / "token")}
    read_secret_files(environment)
    for content, value in (("second\n", "second"), ("", "second"), (None, "second"), ("third", "third")):
        (tmp_path / "token").unlink()
        if content is not None:
            (tmp_path / "token").write_text(content)
        else:
            (tmp_path / "token").symlink_to("nowhere")
        renew_credentials(environment)
        assert environment["MLFLOW_TRACKING_TOKEN"] == value


def test_what_was_set_by_hand_is_not_renewed(tmp_path):
    (tmp_path / "token").write_text("from a file")
    environment = {"MLFLOW_TRACKING_TOKEN_FILE": str(tmp_path / "token"), "MLFLOW_TRACKING_TOKEN": "by hand"}
    renew_credentials(environment)
    assert environment["MLFLOW_TRACKING_TOKEN"] == "by hand"
