"""URIs: made absolute, and without their secrets in what people read."""

from pathlib import Path

import pytest

from adapter_registry.environment import absolute_uri, first_line, redacted, sqlite_path


@pytest.mark.parametrize(
    "uri",
    [
        "https://me:hunter2@host/x",
        "postgresql+psycopg://me:hunter2@db:5432/mlflow?sslmode=require",
        "postgresql://db/x?user=me&password=hunter2",
        "could not reach https://me:hunter2@host/x today",
        "https://host/x?token=hunter2&y=1",
        "https://me:hunt/er2@host/hunter2x".replace("hunt/er2", "hunter2").replace("hunter2x", "x"),
    ],
)
def test_a_password_is_masked(uri: str) -> None:
    assert "hunter2" not in redacted(uri)
    assert "***" in redacted(uri)


def test_a_uri_without_secrets_is_unchanged() -> None:
    assert redacted("http://host:5000/a") == "http://host:5000/a"


def test_a_relative_sqlite_file_becomes_absolute(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A worker in another folder opens the same file."""
    monkeypatch.chdir(tmp_path)
    assert absolute_uri("sqlite:///data/mlflow.db") == f"sqlite:///{tmp_path}/data/mlflow.db"
    assert absolute_uri(f"sqlite:///{tmp_path}/x.db?timeout=5") == f"sqlite:///{tmp_path}/x.db?timeout=5"


def test_other_uris_have_no_sqlite_path() -> None:
    assert sqlite_path("http://host") is None
    assert absolute_uri("postgresql://host/db") == "postgresql://host/db"


def test_the_first_line_of_an_error_is_masked() -> None:
    assert first_line(ValueError("no https://a:b@c\nmore")) == "no https://***@c"
    assert first_line(KeyError()) == "KeyError"
