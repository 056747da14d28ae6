"""Secrets from files, as containers mount them: where NAME is not set, NAME_FILE names a file that holds it."""

from __future__ import annotations

import os
from collections.abc import MutableMapping
from pathlib import Path

from search_spaces.wording import show
from sweeps.errors import HomeError

NAMES = (
    "SWEEPS_LEDGER",
    "SWEEPS_WEBHOOK_URL",
    "SWEEPS_WEBHOOK_SECRET",
    "MLFLOW_TRACKING_URI",
    "MLFLOW_TRACKING_USERNAME",
    "MLFLOW_TRACKING_PASSWORD",
    "MLFLOW_TRACKING_TOKEN",
)
_SUFFIX = "_FILE"


def read_secret_files(environment: MutableMapping[str, str] = os.environ) -> None:
    """Set each variable that is not set, but whose file is named.

    Raises:
        HomeError: a file cannot be read.
    """
    for name in NAMES:
        path = environment.get(name + _SUFFIX)
        if not path or environment.get(name):
            continue
        try:
            environment[name] = Path(path).read_text(encoding="utf-8").strip()
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) and error.strerror else "it holds no text"
            raise HomeError(
                f"{name}{_SUFFIX} must name a file that can be read, but got {show(path)}: {reason}."
            ) from None
