"""The checks of `sweeps doctor` that look at where things live; nothing is made where nothing is."""

from __future__ import annotations

import os
from pathlib import Path

from sweeps.cli.doctor.findings import Finding, fail, ok


def check_home() -> Finding:
    """Look whether the home can be written, or made."""
    from sweeps.home import find_home

    folder = find_home().folder
    if folder.is_dir():
        if os.access(folder, os.W_OK | os.X_OK):
            return ok(f"{folder} can be written")
        return fail(f"{folder} may not be written by this user", "Choose another folder with SWEEPS_HOME.")
    parent = existing(folder)
    if folder.exists() or not parent.is_dir() or not os.access(parent, os.W_OK | os.X_OK):
        return fail(f"{folder} cannot be made", "Choose another folder with SWEEPS_HOME.")
    return ok(f"{folder} will be made by the first sweep")


def check_ledger() -> Finding:
    """Look whether the ledger answers."""
    from sweeps.home import find_home, redact
    from sweeps.opening import has_ledger

    home = find_home()
    if not has_ledger(home):
        return ok(f"{redact(home.ledger)} will be made by the first sweep")
    from sweeps.ledger.ledger import Ledger
    from sweeps.terminal.wording import plural

    return ok(f"{redact(home.ledger)} answers and knows {plural(len(Ledger.sweeps(home.ledger)), 'sweep')}")


def check_tracking_store() -> Finding:
    """Look whether MLflow's store answers."""
    from adapter_registry.store.connection import check_tracking
    from adapter_registry.store.environment import sqlite_path
    from sweeps.home import find_home, redact

    home = find_home()
    path = sqlite_path(home.tracking_uri)
    if path is not None and not path.exists():
        return ok(f"{redact(home.tracking_uri)} will be made by the first sweep")
    check_tracking(home.tracking_uri)
    return ok(f"{redact(home.tracking_uri)} answers")


def existing(folder: Path) -> Path:
    """Return the folder, or the nearest one above it that is there."""
    return next(each for each in (folder, *folder.parents) if each.exists())
