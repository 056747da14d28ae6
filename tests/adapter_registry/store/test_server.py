"""The local tracking server: its command, its settings, its end."""

import os
import socket
from pathlib import Path

import psutil
import pytest

from adapter_registry.errors import LocalServerError
from adapter_registry.store.server import LocalServer, local_server, server_command, server_environment

SETTINGS = Path(__file__).parents[3] / "mlflow/adapter_registry/server.env"


def test_the_server_is_one_worker_on_the_loopback(server: LocalServer) -> None:
    """Two processes and no job consumers; it listens for this machine alone."""
    family = [psutil.Process(server.pid), *psutil.Process(server.pid).children(recursive=True)]
    assert len(family) <= 3
    listening = {c.laddr.ip for p in family for c in p.net_connections() if c.status == psutil.CONN_LISTEN}
    assert listening == {"127.0.0.1"}


def test_settings_come_from_the_file_that_is_installed_with_the_package() -> None:
    environment = server_environment({"PATH": "/bin", "MLFLOW_TRACKING_URI": "http://elsewhere"})
    assert environment["MLFLOW_SERVER_ENABLE_JOB_EXECUTION"] == "false"
    assert environment["MLFLOW_DISABLE_TELEMETRY"] == "true"
    assert environment["PATH"] == "/bin"
    assert "MLFLOW_TRACKING_URI" not in environment


def test_every_setting_has_its_reason_above_it() -> None:
    lines = SETTINGS.read_text().splitlines()
    for index, line in enumerate(lines):
        if line and not line.startswith("#"):
            assert lines[index - 1].startswith("#") or "=" in lines[index - 1]


def test_the_command_serves_artifacts_beside_the_database(tmp_path: Path) -> None:
    command = list(server_command(f"sqlite:///{tmp_path}/mlflow.db", port=5005))
    assert command[command.index("--artifacts-destination") + 1] == str(tmp_path / "artifacts")
    assert command[command.index("--host") + 1] == "127.0.0.1"
    assert command[command.index("--workers") + 1] == "1"


@pytest.mark.parametrize(
    ("uri", "words"),
    [("http://me:pw@host:5000", r"open http://me:\*\*\*@host:5000"), ("postgresql://host/db", "folder")],
)
def test_what_cannot_be_served_is_refused(uri: str, words: str) -> None:
    with pytest.raises(LocalServerError, match=words):
        server_command(uri, port=5005)


def test_a_taken_port_is_told_before_anything_starts(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with (
            pytest.raises(LocalServerError, match=f"Port {port}.*taken"),
            local_server(f"sqlite:///{tmp_path}/mlflow.db", port=port),
        ):
            pass
    assert list(tmp_path.iterdir()) == []


def test_a_server_that_ends_at_once_tells_why_and_leaves_no_process(tmp_path: Path) -> None:
    before = {process.pid for process in psutil.Process(os.getpid()).children(recursive=True)}
    with (
        pytest.raises(LocalServerError, match=r"ended at once.*nosuchdialect"),
        local_server("nosuchdialect://host/db", str(tmp_path)),
    ):
        pass
    assert {process.pid for process in psutil.Process(os.getpid()).children(recursive=True)} <= before
