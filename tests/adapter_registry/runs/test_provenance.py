"""What a sweep was made with."""

import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from adapter_registry.runs.provenance import git_commit, package_versions, provenance


def git(folder: Path, *arguments: str) -> str:
    identity = ("-c", "user.name=a", "-c", "user.email=a@b")
    done = subprocess.run(["git", "-C", str(folder), *identity, *arguments], check=True, capture_output=True, text=True)
    return done.stdout.strip()


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    git(tmp_path, "init", "-q")
    (tmp_path / "file").write_text("one")
    git(tmp_path, "add", "file")
    git(tmp_path, "commit", "-q", "-m", "first")
    return tmp_path


def test_versions_are_those_that_are_installed() -> None:
    versions = package_versions()
    assert versions["version.mlflow"] == version("mlflow")
    assert versions["version.python"] == ".".join(map(str, sys.version_info[:3]))
    assert "version.tensorflow" not in versions


def test_a_clean_checkout_names_its_commit(checkout: Path) -> None:
    tags = git_commit(checkout)
    assert tags["git.commit"] == tags["mlflow.source.git.commit"] == git(checkout, "rev-parse", "HEAD")
    assert tags["git.dirty"] == "false"


def test_a_changed_file_is_told(checkout: Path) -> None:
    (checkout / "file").write_text("two")
    assert git_commit(checkout)["git.dirty"] == "true"


def test_outside_a_checkout_there_is_no_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert git_commit(tmp_path) == {}


def test_without_git_there_is_no_commit(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert set(provenance(tmp_path)) == set(package_versions())
