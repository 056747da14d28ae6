"""Secrets from files at the start of a process; those of MLflow are read again later (`adapter_registry.store`)."""

from __future__ import annotations

import os
from collections.abc import MutableMapping

from adapter_registry.store.secret_files import CREDENTIALS, SUFFIX, read_secret
from search_spaces.wording import show
from sweeps.errors import HomeError

NAMES = ("SWEEPS_LEDGER", "SWEEPS_WEBHOOK_URL", "SWEEPS_WEBHOOK_SECRET", "MLFLOW_TRACKING_URI", *CREDENTIALS)


def read_secret_files(environment: MutableMapping[str, str] = os.environ) -> None:
    """Set each variable that is not set, but whose file is named.

    Raises:
        HomeError: a file cannot be read.
    """
    for name in NAMES:
        try:
            read_secret(name, environment)
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) and error.strerror else "it holds no text"
            raise HomeError(
                f"{name}{SUFFIX} must name a file that can be read, but got {show(environment[name + SUFFIX])}: "
                f"{reason}."
            ) from None
