"""URIs made absolute, and errors without their secrets."""

from pathlib import Path

import pytest

from adapter_registry.store.environment import absolute_uri, first_line, sqlite_path


def test_a_relative_sqlite_file_becomes_absolute(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A worker in another folder opens the same file."""
    monkeypatch.chdir(tmp_path)
    assert absolute_uri("sqlite:///data/mlflow.db") == f"sqlite:///{tmp_path}/data/mlflow.db"
    assert absolute_uri(f"sqlite:///{tmp_path}/x.db?timeout=5") == f"sqlite:///{tmp_path}/x.db?timeout=5"


def test_other_uris_have_no_sqlite_path() -> None:
    assert sqlite_path("http://host") is None
    assert absolute_uri("postgresql://host/db") == "postgresql://host/db"


def test_the_first_line_of_an_error_is_masked() -> None:
    assert first_line(ValueError("no https://a:b@c\nmore")) == "no https://a:***@c"
    assert first_line(KeyError()) == "KeyError"
