"""A Ray cluster on hosts of its own, PostgreSQL and MLflow beside it, and clients that know their addresses only."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, final

import psutil

from tests.cluster.hosts import HOME, SHARED, Host, Network, network
from tests.postgres import PostgresServer, postgres_server
from tests.services import MlflowServer, until

READY_S = 90.0
RAY = Path(sys.executable).with_name("ray")
METRICS_PORT = 8080
OBJECT_STORE_BYTES = 100 * 2**20


@dataclass(frozen=True)
class Ended:
    """How a command ended: its exit code, and all that it wrote."""

    code: int
    text: str


@dataclass
class Client:
    """A machine that sweeps are launched and watched from."""

    host: Host
    environment: Mapping[str, str]
    folder: Path
    _count: int = field(default=0, init=False)

    def start(self, *arguments: str, **environment: str) -> tuple[subprocess.Popen[bytes], Path]:
        """Start `sweeps …` there; the process, and the file that it writes to."""
        self._count += 1
        log = self.folder / f"{self.host.name}-{self._count}.txt"
        command = [sys.executable, "-m", "sweeps", *arguments]
        return self.host.start(command, log=log, environment={**self.environment, **environment}), log

    def run(self, *arguments: str, timeout_s: float = 180.0, **environment: str) -> Ended:
        """Run `sweeps …` there to its end."""
        process, log = self.start(*arguments, **environment)
        return Ended(process.wait(timeout_s), log.read_text(errors="replace"))

    def serve(self, port: int) -> None:
        """Serve its home over HTTP, to itself alone."""
        command = [sys.executable, "-m", "http.server", str(port), "--bind", "127.0.0.1"]
        self.host.start(command, log=self.folder / f"{self.host.name}-http.txt", environment=self.environment)

    def write(self, name: str, content: str) -> str:
        """Write a file that no other host sees; its path there."""
        home = self.host.files / HOME.strip("/")
        home.mkdir(parents=True, exist_ok=True)
        (home / name).write_text(content, encoding="utf-8")
        return f"{HOME}/{name}"


@final
class Cluster:
    """The head, its nodes, and what they share: two addresses."""

    def __init__(self, net: Network, folder: Path, postgres: PostgresServer, mlflow_url: str) -> None:
        self._net = net
        self._folder = folder
        self.here = net.here
        self.token = secrets.token_urlsafe(24)
        self.ledger_url = postgres.create_database()
        self.mlflow_url = mlflow_url
        self._environment = _plain_environment() | {
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": self.token,
            "RAY_USAGE_STATS_ENABLED": "0",
        }
        self.head = net.host("head")
        self.address = f"http://{self.head.address}:8265"
        self._start_head()

    def add(self, name: str, *options: str, cpus: int = 1, hidden: Sequence[Path] = ()) -> Host:
        """Add a node, and wait until the cluster knows it; `options` of `ray start`, `hidden` as in `Host.start`."""
        host = self._net.host(name)
        own = [f"--address={self.head.address}:6379", f"--node-ip-address={host.address}", f"--num-cpus={cpus}"]
        self._ray(host, *own, *options, hidden=hidden)
        return host

    def clear(self) -> None:
        """Kill all sweeps, nodes and clients, and wait until the head is alone."""
        for driver in self.processes("sweeps.cli.cluster_driver"):
            with suppress(psutil.NoSuchProcess):
                driver.kill()
        for host in self._net.hosts:
            if host is not self.head:
                host.die()
        until(lambda: self.nodes() == [self.head.address], READY_S, "a cluster of its head alone")

    def client(self, name: str, **environment: str) -> Client:
        """A machine that may reach the head, the ledger and MLflow."""
        known = {"SWEEPS_LEDGER": self.ledger_url, "MLFLOW_TRACKING_URI": self.mlflow_url}
        return Client(self._net.host(name), self._environment | known | environment, self._folder)

    def addressed(self, command: Sequence[str]) -> list[str]:
        """A command of the documentation, with this cluster's address in it."""
        return [word.replace("http://HEAD:8265", self.address) for word in command]

    def nodes(self) -> list[str]:
        """Addresses of the nodes that are alive."""
        answer = self._ask("/nodes?view=summary")
        # A node's top level, its "ip" among it, is its agent's first report, some seconds younger than its raylet's.
        raylets = [node.get("raylet", {}) for node in answer.get("data", {}).get("summary", [])]
        return [raylet["nodeManagerAddress"] for raylet in raylets if raylet.get("state") == "ALIVE"]

    def workers(self) -> list[tuple[str, str]]:
        """Node and name of every worker of a sweep that is on a node."""
        answer = self._ask("/api/v0/actors?detail=true&limit=1000")
        actors = answer.get("data", {}).get("result", {}).get("result", [])
        placed = [each for each in actors if each["class_name"] == "Worker" and each["state"] == "ALIVE"]
        return sorted((each["node_id"], each["name"]) for each in placed)

    def metrics(self) -> str:
        """What the head tells Prometheus now; drivers run there."""
        return self._fetch(f"http://{self.head.address}:{METRICS_PORT}/metrics").decode()

    def processes(self, pattern: str) -> list[psutil.Process]:
        """Processes of the head whose command holds a text."""
        found = []
        for process in self.head.processes():
            with suppress(psutil.Error):
                if pattern in " ".join(process.cmdline()):
                    found.append(process)
        return found

    def _start_head(self) -> None:
        ports = ["--port=6379", "--dashboard-host=0.0.0.0", "--dashboard-port=8265"]
        ports += [f"--metrics-export-port={METRICS_PORT}"]
        self._ray(self.head, "--head", *ports, f"--node-ip-address={self.head.address}", "--num-cpus=0")

    def _ray(self, host: Host, *options: str, hidden: Sequence[Path] = ()) -> None:
        command = [str(RAY), "start", "--block", f"--object-store-memory={OBJECT_STORE_BYTES}", *options]
        log = self._folder / f"{host.name}.log"
        process = host.start(command, log=log, environment=self._environment, hidden=hidden)
        until(lambda: host.address in self.nodes() or process.poll() is not None, READY_S, f"a node {host.name}")
        if process.poll() is not None:
            raise RuntimeError(f"Ray did not start on {host.name}: {log.read_text(errors='replace')[-2000:]}")

    def _ask(self, path: str) -> dict[str, Any]:
        answer = self._fetch(self.address + path)
        return dict(json.loads(answer)) if answer else {}

    def _fetch(self, url: str) -> bytes:
        """What is at an address of the cluster; nothing where nobody answers."""
        request = urllib.request.Request(url, headers={"Authorization": f"Bearer {self.token}"})
        with suppress(urllib.error.URLError, OSError), urllib.request.urlopen(request, timeout=5) as answer:
            return bytes(answer.read())
        return b""


@contextmanager
def cluster(folder: Path) -> Iterator[Cluster]:
    """Run everything but nodes and clients, which a test adds; nothing of it is left afterwards."""
    with ExitStack() as stack:
        net = stack.enter_context(network(folder / "hosts"))
        postgres = stack.enter_context(postgres_server(net.here))
        mlflow_url = stack.enter_context(_mlflow(postgres, net.here, folder))
        yield Cluster(net, folder, postgres, mlflow_url)


@contextmanager
def _mlflow(postgres: PostgresServer, host: str, folder: Path) -> Iterator[str]:
    server = MlflowServer(postgres.create_database(), folder, host)
    server.start()
    try:
        until(lambda: _is_healthy(server.url), READY_S, "an MLflow server that answers")
        yield server.url
    finally:
        server.kill()


def _is_healthy(url: str) -> bool:
    with suppress(urllib.error.URLError, OSError), urllib.request.urlopen(f"{url}/health", timeout=2):
        return True
    return False


def _plain_environment() -> dict[str, str]:
    """This process's, without what would tell a host more than its own files do."""
    told = ("SWEEPS_", "MLFLOW_", "RAY_", "PYTEST_", "XLA_", "JAX_", "PYTHONDONTWRITEBYTECODE")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(told)}
    roots = [str(SHARED), str(SHARED / "mlflow")]
    programs = [str(RAY.parent), environment.get("PATH", "")]  # as in an environment that is activated
    return environment | {"PATH": os.pathsep.join(programs), "PYTHONPATH": os.pathsep.join(roots)}
