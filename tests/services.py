"""What tests of whole sweeps stand on beside PostgreSQL: an MLflow server that can be killed, and patience."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from socketserver import BaseServer
from typing import TypeVar, final

from adapter_registry.server import HOST, free_port, server_command, server_environment

T = TypeVar("T")


def until(happened: Callable[[], T], timeout_s: float, what: str) -> T:
    """Wait until something is true, and return it.

    Raises:
        TimeoutError: saying what did not happen.
    """
    deadline = time.monotonic() + timeout_s
    while not (found := happened()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"After {timeout_s:g} s there was still not: {what}")
        time.sleep(0.1)
    return found


@contextmanager
def serving(server: BaseServer) -> Iterator[None]:
    """Let a server answer, in a thread of this process, until the block ends."""
    with server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield
        finally:
            server.shutdown()
            thread.join()


@final
class MlflowServer:
    """A tracking server at one port of an address of this machine, over one database."""

    def __init__(self, database: str, folder: Path, host: str = HOST) -> None:
        port = free_port()
        self._command = server_command(database, str(folder / "artifacts"), port=port, host=host)
        self._log = folder / "mlflow.log"
        self._process: subprocess.Popen[bytes] | None = None
        self.url = f"http://{host}:{port}"

    def start(self) -> None:
        """Start it, unless it runs, without waiting for it."""
        if self._process is not None and self._process.poll() is None:
            return
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command, stdout=log, stderr=log, env=server_environment(), start_new_session=True
            )

    def revive(self) -> None:
        """Start again what has ended by itself, as a service manager does: it gives up without its database."""
        if self._process is not None:
            self.start()

    def kill(self) -> None:
        """Kill all its processes."""
        if self._process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
