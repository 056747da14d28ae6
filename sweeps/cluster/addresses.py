"""Where ledger and MLflow are, for processes on a cluster: as its own environment says, else as the client's said.

The client's addresses and passwords travel in a file beside the job's own, never in the job's description, which the
dashboard shows. Every process of the job reads it when it begins (`worker_process_setup_hook`).
"""

from __future__ import annotations

import json
import os
from pathlib import Path

from sweeps.errors import HomeError
from sweeps.home import LEDGER, TRACKING, Home, redact
from sweeps.host.secret_files import NAMES, read_secret_files
from sweeps.host.user_home import ensure_home

FILE = "addresses.json"
HOOK = f"{__name__}.apply"
SENT = (*NAMES, "MLFLOW_TRACKING_INSECURE_TLS")


def check_shared(home: Home) -> None:
    """Check that other machines can reach ledger and MLflow.

    Raises:
        HomeError: one is a file of this machine.
    """
    if home.ledger.startswith("sqlite"):
        raise HomeError(
            f"{LEDGER} must be a database server that the cluster reaches, too, such as "
            f"postgresql://USER:PASSWORD@HOST/DATABASE, but got {redact(home.ledger)}, a file of this machine."
        )
    if not home.tracking_uri.startswith(("http://", "https://")):
        raise HomeError(
            f"{TRACKING} must be a tracking server that the cluster reaches, too, such as http://HOST:5000, but got "
            f"{redact(home.tracking_uri)}: workers send adapters through it."
        )


def write(folder: Path, home: Home) -> None:
    """Write the file that `apply` reads."""
    named = {name: value for name in SENT if (value := os.environ.get(name))}
    named |= {LEDGER: home.ledger, TRACKING: home.tracking_uri}
    path = folder / FILE
    path.touch(mode=0o600)
    path.write_text(json.dumps(named))


def apply() -> None:
    """Set what the environment of this process does not say, from the file in its folder, and a home."""
    ensure_home()
    read_secret_files()
    path = Path(FILE)
    if path.exists():
        for name, value in json.loads(path.read_text()).items():
            os.environ.setdefault(name, value)
