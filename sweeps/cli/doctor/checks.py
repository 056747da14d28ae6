"""The checks of `sweeps doctor`. Each looks at one thing, leaves nothing behind, and never raises."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from sweeps.cli.doctor.findings import Finding, fail, ok, warn
from sweeps.cli.doctor.places import check_home, check_ledger, check_tracking_store, existing
from sweeps.cli.doctor.probes import probe_jax, probe_model, probe_ray
from sweeps.host.accelerators import cores

DISTRIBUTION = "gemma-sweeps"
SHOWN = ("jax", "keras", "keras-hub", "ray", "optuna", "mlflow")
LEAST_PYTHON = (3, 11)
GB = 1e9
LITTLE_MEMORY = 3 * GB
LITTLE_DISK = 2 * GB


@dataclass(frozen=True)
class Check:
    """A name, and what to look at."""

    name: str
    look: Callable[[], Finding]

    def run(self) -> Finding:
        """Look; what a check cannot cope with is its finding."""
        try:
            return self.look()
        except Exception as error:
            from sweeps.errors import user_errors
            from sweeps.sentences import sentence_of

            if isinstance(error, user_errors()):
                return fail(str(error), "")
            return fail(f"could not be checked: {sentence_of(error)}", "Please report this.")


def check_python() -> Finding:
    """Look at Python's version and settings."""
    text = f"{platform.python_version()} on {platform.system()} {platform.machine()} ({sys.executable})"
    if sys.version_info < LEAST_PYTHON:
        return fail(text, "Use Python 3.11 or newer.")
    if os.environ.get("PYTHONDONTWRITEBYTECODE"):
        fix = "Every worker compiles its imports again (about three times slower): unset PYTHONDONTWRITEBYTECODE."
        return warn(f"{text}, PYTHONDONTWRITEBYTECODE is set", fix)
    return ok(text)


def check_packages() -> Finding:
    """Look for what the package requires, in the versions that it allows."""
    from importlib.metadata import PackageNotFoundError, requires, version

    from packaging.requirements import Requirement

    text = ", ".join(f"{name} {_version(name)}" for name in SHOWN)
    try:
        required = [Requirement(line) for line in requires(DISTRIBUTION) or ()]
    except PackageNotFoundError:
        missing = [name for name in SHOWN if _version(name) == "missing"]
        fix = f"Install it: pip install -e . (in the checkout), or pip install {DISTRIBUTION}."
        return (fail if missing else warn)(f"{DISTRIBUTION} itself is not installed; {text}", fix)
    wrong = []
    for each in required:
        if each.marker is not None and not each.marker.evaluate({"extra": ""}):
            continue
        try:
            have = version(each.name)
        except PackageNotFoundError:
            wrong.append(f"{each.name} is missing")
            continue
        if not each.specifier.contains(have, prereleases=True):
            wrong.append(f"{each.name} is {have}, but must be {each.specifier}")
    if wrong:
        return fail("; ".join(wrong), "Install what the lock file names: pip install -r requirements.lock")
    return ok(text)


def check_machine() -> Finding:
    """Look at cores, memory, and the disk of the home."""
    import shutil

    import psutil

    from sweeps.home import find_home

    memory = min(psutil.virtual_memory().available, _cgroup_bytes())
    folder = find_home().folder
    disk = shutil.disk_usage(existing(folder)).free
    text = f"{cores()} CPU cores, {memory / GB:.1f} GB of memory free, {disk / GB:.1f} GB of disk free at {folder}"
    if disk < LITTLE_DISK:
        return warn(text, "A sweep keeps the adapters of every epoch: make room, or move SWEEPS_HOME.")
    if memory < LITTLE_MEMORY:
        return warn(text, "The quickstart needs about 3 GB: close other programs, or set compute.slots lower.")
    return ok(text)


def check_accelerators() -> Finding:
    """Ask JAX what it sees, in a process of its own: it would keep the memory of what it finds."""
    return probe_jax()


# In the order in which they are told; slow ones that need a process of their own begin early.
CHECKS = (
    Check("Python", check_python),
    Check("packages", check_packages),
    Check("machine", check_machine),
    Check("home", check_home),
    Check("ledger", check_ledger),
    Check("MLflow", check_tracking_store),
    Check("accelerators", check_accelerators),
    Check("Ray", probe_ray),
    Check("built-in model", probe_model),
)


def _version(name: str) -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(name)
    except PackageNotFoundError:
        return "missing"


def _cgroup_bytes() -> float:
    """Memory that a container may still take; infinite where there is no limit."""
    try:
        limit = Path("/sys/fs/cgroup/memory.max").read_text().strip()
        used = Path("/sys/fs/cgroup/memory.current").read_text().strip()
        return float(limit) - float(used) if limit != "max" else float("inf")
    except (OSError, ValueError):
        return float("inf")
