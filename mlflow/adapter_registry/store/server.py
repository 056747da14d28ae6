"""A tracking server on this machine: its command, its settings (server.env), and its life.

with local_server(backend_store_uri, artifact_root) as server:
    print(server.url)
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from adapter_registry.errors import LocalServerError
from adapter_registry.store.environment import absolute_uri, sqlite_path
from trainer.masking import redact

HOST = "127.0.0.1"
START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 10.0


@dataclass(frozen=True)
class LocalServer:
    """A running server; `log` is the file that it writes its messages to."""

    url: str
    pid: int
    log: Path


def server_environment(base: Mapping[str, str] | None = None) -> dict[str, str]:
    """The process environment of a server: `base` (None: this process's) and the settings of server.env."""
    environment = dict(os.environ if base is None else base)
    # A server that asks another server for its data would serve somebody else's.
    for name in ("MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI", "MLFLOW_RUN_ID", "MLFLOW_EXPERIMENT_ID"):
        environment.pop(name, None)
    return {**environment, **_settings()}


def server_command(
    backend_store_uri: str, artifact_root: str | None = None, *, port: int, host: str = HOST
) -> Sequence[str]:
    """The command of a server with one worker that serves a database and its artifacts.

    Args:
        backend_store_uri: a database's URI.
        artifact_root: where artifacts of clients of this server go; None: beside a SQLite file.
        port: to listen on.
        host: to listen on; beyond this machine only behind authentication.

    Raises:
        LocalServerError: another kind of store, or a database without an artifact folder.
    """
    path = sqlite_path(backend_store_uri)
    if backend_store_uri.startswith(("http://", "https://")):
        raise LocalServerError(
            f"A local server needs a database, but MLFLOW_TRACKING_URI is a server: open "
            f"{redact(backend_store_uri)} in a browser instead."
        )
    if artifact_root is None and path is None:
        raise LocalServerError(
            f"A local server for {redact(backend_store_uri)} needs a folder for artifacts, but has none. Name one."
        )
    root = artifact_root or str(path.parent / "artifacts" if path else "")
    return [
        *(sys.executable, "-m", "mlflow", "server"),
        *("--backend-store-uri", absolute_uri(backend_store_uri)),
        *("--serve-artifacts", "--artifacts-destination", root if ":/" in root else str(Path(root).absolute())),
        *("--host", host, "--port", str(port), "--workers", "1"),
    ]


@contextmanager
def local_server(
    backend_store_uri: str, artifact_root: str | None = None, *, port: int | None = None
) -> Iterator[LocalServer]:
    """Run a server until the block ends; all its processes end with it.

    Args:
        backend_store_uri: a database's URI; a new SQLite file gets its tables first.
        artifact_root: where artifacts of clients of this server go; None: beside a SQLite file.
        port: to listen on; None: any free one.

    Raises:
        LocalServerError: the port is taken, or the server did not answer within a minute.
    """
    chosen = free_port() if port is None else port
    if not _is_free(chosen):
        raise LocalServerError(f"Port {chosen} of {HOST} is taken. Choose another one with --port.")
    command = server_command(backend_store_uri, artifact_root, port=chosen)
    with tempfile.TemporaryDirectory(prefix="mlflow-server-") as folder:
        log = Path(folder) / "server.log"
        with log.open("wb") as output:
            process = subprocess.Popen(  # noqa: S603  (our own command, no shell)
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=server_environment(),
                start_new_session=True,
            )
        server = LocalServer(f"http://{HOST}:{chosen}", process.pid, log)
        try:
            _wait_until_healthy(server, process)
            yield server
        finally:
            _end(process)


def free_port() -> int:
    """A port of this machine that nobody listens on at the moment."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def _settings() -> dict[str, str]:
    text = resources.files("adapter_registry").joinpath("server.env").read_text(encoding="utf-8")
    lines = [line.strip() for line in text.splitlines()]
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def _wait_until_healthy(server: LocalServer, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise LocalServerError(f"The MLflow server ended at once (exit code {process.returncode}). {_tail(server)}")
        with suppress(urllib.error.URLError, OSError), urllib.request.urlopen(f"{server.url}/health", timeout=2):  # noqa: S310
            return
        time.sleep(0.1)
    raise LocalServerError(f"The MLflow server did not answer within {START_TIMEOUT_S:g} s. {_tail(server)}")


def _tail(server: LocalServer) -> str:
    lines = server.log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return redact(" | ".join(lines[-5:])) or "It wrote nothing."


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the server's whole process group: first asked, then killed."""
    for number, patience_s in ((signal.SIGTERM, STOP_TIMEOUT_S), (signal.SIGKILL, STOP_TIMEOUT_S)):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with suppress(subprocess.TimeoutExpired):
            process.wait(timeout=patience_s)
            break
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)  # children that outlived their parent
