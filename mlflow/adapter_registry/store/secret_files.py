"""Secrets from files, as containers mount them: where NAME is not set, NAME_FILE names a file that holds it.

MLflow reads its credentials from the environment at each request. So a token that expires is renewed by writing its
file anew: `renew_credentials` comes before each call, in every process of a sweep that sees the file.
"""

from __future__ import annotations

import os
from collections.abc import MutableMapping
from contextlib import suppress
from pathlib import Path

CREDENTIALS = ("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_TOKEN")
SUFFIX = "_FILE"
FROM_FILES = "SWEEPS_FROM_FILES"  # the variables that were set so: child processes inherit them, and may read again


def read_secret(name: str, environment: MutableMapping[str, str]) -> None:
    """Set a variable from the file that is named for it, unless it was set otherwise.

    Raises:
        OSError: the file cannot be read.
        ValueError: it holds no text.
    """
    path, known = environment.get(name + SUFFIX), environment.get(FROM_FILES, "").split()
    if not path or (environment.get(name) and name not in known):
        return
    value = Path(path).read_text(encoding="utf-8").strip()
    if value and value != environment.get(name):  # an empty file is about to be written
        environment[name] = value
    if name not in known:
        environment[FROM_FILES] = " ".join([*known, name])


def renew_credentials(environment: MutableMapping[str, str] = os.environ) -> None:
    """Read MLflow's credentials again from their files; what cannot be read in this moment stays as it was."""
    for name in CREDENTIALS:
        with suppress(OSError, ValueError):
            read_secret(name, environment)
