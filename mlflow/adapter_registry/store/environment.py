"""How this package meets MLflow: its process-wide settings, URIs made absolute, first lines of errors."""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from typing import Any

from trainer.masking import redact

SERVERS = ("http://", "https://")  # of tracking URIs
HOSTED = (*SERVERS, "databricks")  # nothing of these is on this machine

# Set before MLflow's first import, and only where the user has not chosen otherwise.
_SETTINGS = {
    "MLFLOW_DISABLE_TELEMETRY": "true",  # a sweep tells nobody but its own tracking server
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",  # the live table owns the terminal
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",  # waiting out an outage is ours: MLflow's seven retries hide it for minutes
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "30",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",  # it prints two lines for every run that ends
    "GIT_PYTHON_REFRESH": "quiet",  # no warning where git is absent
}


def prepare_mlflow() -> None:
    """Apply the settings; call before `import mlflow`."""
    for name, value in _SETTINGS.items():
        os.environ.setdefault(name, value)


def load_pyfunc() -> Any:
    """The module `mlflow.pyfunc`; its first import warns about type hints of its own."""
    prepare_mlflow()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*Any type hint is inferred as AnyType")
        import mlflow.pyfunc

    return mlflow.pyfunc


def absolute_uri(uri: str) -> str:
    """A SQLite URI with an absolute path: Ray's workers run in other folders. Other URIs are returned unchanged."""
    path = sqlite_path(uri)
    _, mark, query = uri.partition("?")
    return uri if path is None else f"sqlite:///{path}{mark}{query}"


def sqlite_path(uri: str) -> Path | None:
    """The absolute path of a SQLite URI's file; None for other URIs."""
    prefix = "sqlite:///"
    if not uri.startswith(prefix):
        return None
    return Path(uri.removeprefix(prefix).split("?")[0]).expanduser().absolute()


def first_line(error: BaseException) -> str:
    """The first line of an error's message, masked."""
    lines = str(error).strip().splitlines()
    return redact(lines[0]) if lines else type(error).__name__
