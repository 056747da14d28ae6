"""What a sweep was made with: package versions and the git commit, as tags of its run."""

from __future__ import annotations

import platform
import subprocess
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

PACKAGES = ("gemma-sweeps", "jax", "jaxlib", "keras", "keras-hub", "ray", "optuna", "mlflow", "numpy", "sentencepiece")
GIT_TIMEOUT_S = 5.0


def package_versions() -> dict[str, str]:
    """Versions of the packages that decide a result, as tags `version.<package>`; absent ones are left out."""
    versions = {"version.python": platform.python_version()}
    for package in PACKAGES:
        try:
            versions[f"version.{package}"] = version(package)
        except PackageNotFoundError:
            continue
    return versions


def git_commit(folder: str | Path = ".") -> dict[str, str]:
    """The commit of the checkout around `folder`, as tags; empty outside one, or without git.

    `git.commit` (and MLflow's own `mlflow.source.git.commit`) is the full hash; `git.dirty` says whether tracked
    files differ from it.
    """
    commit = _git(folder, "rev-parse", "--verify", "HEAD")
    if commit is None:
        return {}
    changed = _git(folder, "status", "--porcelain", "--untracked-files=no")
    return {
        "git.commit": commit,
        "git.dirty": "unknown" if changed is None else str(bool(changed)).lower(),
        "mlflow.source.git.commit": commit,
    }


def provenance(folder: str | Path = ".") -> Mapping[str, str]:
    """All of it, ready for `Tracker.open_sweep(tags=…)`."""
    return {**package_versions(), **git_commit(folder)}


def _git(folder: str | Path, *arguments: str) -> str | None:
    command = ["git", "-C", str(folder), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=GIT_TIMEOUT_S, check=False)  # noqa: S603
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
