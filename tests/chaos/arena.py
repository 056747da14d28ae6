"""What a sweep stands on, each part to be killed at will: PostgreSQL, an MLflow server over it, a driver with its Ray.

The processes are found by what the operating system shows of them, as somebody with a shell would.
"""

from __future__ import annotations

import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, final

import psutil

from adapter_registry.runs.mlflow_tracker import MlflowTracker
from search_spaces import load_space
from sweeps.ledger.ledger import Ledger
from sweeps.settings import PrunerSettings, SearchSettings
from tests.chaos.driver import EXPERIMENT
from tests.postgres import PostgresServer, postgres_server
from tests.services import MlflowServer, until

ROOT = Path(__file__).resolve().parents[2]
SPACE = load_space(
    {
        "learning_rate": {"type": "float", "low": 1e-4, "high": 1e-1, "log": True},  # from 0.05 on trials diverge
        "rank": {"type": "choice", "values": [2, 8]},
        "epochs": {"type": "int", "low": 1, "high": 3},
        "seed": {"type": "int", "low": 0, "high": 10_000},
    }
)
RAY_PROCESSES = {
    "worker": r"ray::.*Worker",
    "trial client": r"ray::.*TrialClient",
    "raylet": "raylet",
    "gcs": "gcs_server",
}
VICTIMS = ("driver", *RAY_PROCESSES, "mlflow", "database")


@final
class Arena:
    """One sweep after the other, on services that stay."""

    def __init__(self, postgres: PostgresServer, folder: Path) -> None:
        self.postgres = postgres
        self.ledger_url = postgres.create_database()
        self.mlflow = MlflowServer(postgres.create_database(), folder)
        self._folder = folder
        self._driver: subprocess.Popen[bytes] | None = None
        self._home = folder / "nobody's"
        self.name = ""

    def begin(self, name: str, *, trials: int, seed: int, prune: bool = True) -> None:
        """Enter a sweep into the ledger; the parameters of its trials follow from the seed."""
        kind: Any = "successive_halving" if prune else "none"
        settings = SearchSettings(trials=trials, sampler="random", seed=seed, pruner=PrunerSettings(kind=kind))
        Ledger.create(self.ledger_url, name, settings, SPACE)
        self.name = name

    def drive(self) -> None:
        """Start a driver for the sweep, in a new folder that is its home too; the one before loses its own."""
        shutil.rmtree(self._home, ignore_errors=True)
        self._home = home = Path(tempfile.mkdtemp(prefix="driver-", dir=self._folder))
        paths = os.pathsep.join([str(ROOT), str(ROOT / "mlflow"), *filter(None, [os.environ.get("PYTHONPATH")])])
        environment = {**os.environ, "PYTHONPATH": paths, "HOME": str(home), "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2"}
        command = [sys.executable, "-m", "tests.chaos.driver", self.ledger_url, self.name, self.mlflow.url]
        with (self._folder / "driver.log").open("ab") as log:
            self._driver = subprocess.Popen(command, cwd=home, env=environment, stdout=log, stderr=log)

    def ended(self) -> int | None:
        """The driver's exit code; None while it runs."""
        return -1 if self._driver is None else self._driver.poll()

    def kill(self, victim: str, rng: random.Random) -> bool:
        """Kill one of `VICTIMS`, and start what a person would start again; False when there is none to kill."""
        services: dict[str, MlflowServer | PostgresServer] = {"mlflow": self.mlflow, "database": self.postgres}
        if victim in services:
            services[victim].kill()
            time.sleep(rng.uniform(0.1, 3.0))
            services[victim].start()
            return True
        found = self._processes(victim)
        if found:
            rng.choice(found).kill()
        return bool(found)

    def wait(self, seconds: float) -> None:
        """Wait so long, or until the driver has ended."""
        self.mlflow.revive()
        if self._driver is not None:
            with suppress(subprocess.TimeoutExpired):
                self._driver.wait(seconds)

    def end(self) -> list[psutil.Process]:
        """Kill the driver and whatever it has started."""
        family = self.family()
        for process in family:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        if self._driver is not None:
            self._driver.wait()
        return family

    @property
    def ledger(self) -> Ledger:
        """The sweep's record, read now."""
        return Ledger.open(self.ledger_url, self.name)

    @contextmanager
    def tracker(self) -> Iterator[MlflowTracker]:
        """MLflow, as any client sees it."""
        with MlflowTracker(self.mlflow.url, EXPERIMENT) as tracker:
            yield tracker

    def last_words(self) -> str:
        """The end of what the drivers have written."""
        path = self._folder / "driver.log"
        return path.read_text(errors="replace")[-3000:] if path.exists() else ""

    def family(self) -> list[psutil.Process]:
        """The driver and whatever it has started."""
        if self._driver is None:
            return []
        with suppress(psutil.NoSuchProcess):
            driver = psutil.Process(self._driver.pid)
            return [driver, *driver.children(recursive=True)]
        return []

    def _processes(self, victim: str) -> list[psutil.Process]:
        if victim == "driver":
            return self.family()[:1]
        return [process for process in self.family() if re.match(RAY_PROCESSES[victim], _shown(process))]


def _shown(process: psutil.Process) -> str:
    with suppress(psutil.Error):
        command = process.cmdline()
        return Path(command[0]).name if command and "/" in command[0] else " ".join(command)
    return ""


@contextmanager
def arena() -> Iterator[Arena]:
    """Run the services until the block ends; nothing of them stays."""
    with postgres_server() as postgres, tempfile.TemporaryDirectory(prefix="chaos-") as folder:
        built = Arena(postgres, Path(folder))
        built.mlflow.start()
        try:
            with built.tracker() as tracker:
                until(lambda: _is_ready(tracker), 60, "an MLflow server that answers")
            yield built
        finally:
            built.end()
            built.mlflow.kill()


def _is_ready(tracker: MlflowTracker) -> bool:
    try:
        tracker.prepare()
    except Exception:
        return False
    return True
