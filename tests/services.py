"""What tests of whole sweeps stand on beside PostgreSQL: an MLflow server that can be killed, ears, and patience."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from socketserver import BaseServer
from typing import TypeVar, final

from adapter_registry.store.server import HOST, free_port, server_command, server_environment

T = TypeVar("T")


def until(happened: Callable[[], T], timeout_s: float, what: str, *, pause_s: float = 0.1) -> T:
    """Wait until something is true, which is asked every `pause_s`, and return it.

    Raises:
        TimeoutError: saying what did not happen.
    """
    deadline = time.monotonic() + timeout_s
    while not (found := happened()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"After {timeout_s:g} s there was still not: {what}")
        time.sleep(pause_s)
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


@dataclass
class Heard:
    """What a receiver of webhooks was sent, and what it answers, one after the other; the last again and again."""

    url: str = ""
    answers: list[int] = field(default_factory=lambda: [204])
    requests: list[tuple[dict[str, str], bytes]] = field(default_factory=list)


@contextmanager
def hearing(host: str = HOST) -> Iterator[Heard]:
    """Receive webhooks at an address of this machine until the block ends."""
    heard = Heard()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            heard.requests.append(({name.lower(): value for name, value in self.headers.items()}, body))
            self.send_response(heard.answers[min(len(heard.requests), len(heard.answers)) - 1])
            self.end_headers()

        def log_message(self, format: str, *arguments: object) -> None:
            pass

    server = ThreadingHTTPServer((host, 0), Handler)
    with serving(server):
        heard.url = f"http://{host}:{server.server_port}/hooks/hidden-path"
        yield heard


@final
class MlflowServer:
    """A tracking server at one port of an address of this machine, over one database."""

    def __init__(
        self,
        database: str,
        folder: Path,
        host: str = HOST,
        *,
        options: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
    ) -> None:
        port = free_port()
        self._command = [*server_command(database, str(folder / "artifacts"), port=port, host=host), *options]
        self._environment = {**server_environment(), **(environment or {})}
        self._log = folder / "mlflow.log"
        self._process: subprocess.Popen[bytes] | None = None
        self.url = f"http://{host}:{port}"

    def start(self) -> None:
        """Start it, unless it runs, without waiting for it."""
        if self._process is not None and self._process.poll() is None:
            return
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command, stdout=log, stderr=log, env=self._environment, start_new_session=True
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
