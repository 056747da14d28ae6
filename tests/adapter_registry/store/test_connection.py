"""The first probe: quick, one sentence, no secrets; and patience afterwards."""

import http.server
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from adapter_registry import check_tracking
from adapter_registry.errors import RegistryError, TrackingStoreError, TrackingUnreachableError
from adapter_registry.store.connection import patiently
from adapter_registry.store.environment import prepare_mlflow
from adapter_registry.store.outages import outage_of
from adapter_registry.store.server import LocalServer, free_port
from tests.services import serving


class _NotMlflow(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"<h1>Another service</h1>")

    do_POST = do_GET  # noqa: N815  (http.server's names)

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture(scope="module", autouse=True)
def _mlflow_is_imported() -> None:
    """Else whichever test is the first would count the seconds of that as the probe's."""
    prepare_mlflow()
    import mlflow  # noqa: F401


@pytest.fixture
def other_service() -> Iterator[str]:
    """An HTTP server that is not MLflow."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _NotMlflow)
    with serving(server):
        yield f"http://127.0.0.1:{server.server_port}"


@pytest.fixture
def silent_service() -> Iterator[socket.socket]:
    """A port that takes connections and never answers."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        listener.setblocking(False)
        yield listener


def test_a_refused_connection_is_told_at_once_and_without_the_password() -> None:
    started = time.monotonic()
    with pytest.raises(TrackingUnreachableError, match=r"does not answer.*MLFLOW_TRACKING_URI") as caught:
        check_tracking(f"http://me:hunter2@127.0.0.1:{free_port()}")
    assert time.monotonic() - started < 5
    assert "hunter2" not in str(caught.value)
    assert caught.value.__suppress_context__


def test_a_silent_server_is_asked_once_and_told_within_six_seconds(silent_service: socket.socket) -> None:
    """MLflow itself would ask for minutes, with a pause after each time."""
    started = time.monotonic()
    with pytest.raises(TrackingUnreachableError):
        check_tracking(f"http://127.0.0.1:{silent_service.getsockname()[1]}")
    assert time.monotonic() - started < 6
    silent_service.accept()[0].close()
    with pytest.raises(BlockingIOError):
        silent_service.accept()


def test_the_probe_leaves_the_environment_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "77")
    monkeypatch.delenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", raising=False)
    with pytest.raises(TrackingUnreachableError):
        check_tracking(f"http://127.0.0.1:{free_port()}")
    assert os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"] == "77"


def test_another_service_is_not_taken_for_mlflow(other_service: str) -> None:
    with pytest.raises(TrackingStoreError, match="not as MLflow should"):
        check_tracking(other_service)


def test_a_real_server_is_accepted(server: LocalServer) -> None:
    check_tracking(server.url)


@pytest.mark.parametrize("uri", ["", "./mlruns", "file:///tmp/mlruns", "ftp://host/x", "postgres"])
def test_an_unknown_kind_of_store_names_the_choices(uri: str) -> None:
    with pytest.raises(TrackingStoreError, match=r"Choose from: http://HOST:PORT.*sqlite:///PATH"):
        check_tracking(uri)


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "notes.db"
    file.write_text("not a database, but long enough to be one")
    with pytest.raises(TrackingStoreError, match="not a SQLite database"):
        check_tracking(f"sqlite:///{file}")
    assert file.read_text().startswith("not a database")


def test_a_folder_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(TrackingStoreError, match="can be written"):
        check_tracking(f"sqlite:///{tmp_path}/file/mlflow.db")


def test_a_database_that_does_not_answer_is_told_at_once() -> None:
    """PostgreSQL's driver may be absent: then the fix is named. Either way it is quick and without the password."""
    started = time.monotonic()
    with pytest.raises(RegistryError) as caught:
        check_tracking(f"postgresql+psycopg://me:hunter2@127.0.0.1:{free_port()}/mlflow")
    assert time.monotonic() - started < 6
    assert "hunter2" not in str(caught.value)


def test_patience_outlasts_a_short_outage() -> None:
    answers: list[object] = [ConnectionError("down"), TimeoutError("slow"), "up"]

    def call() -> object:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    assert patiently(call, "http://host") == "up"


def test_patience_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []
    monkeypatch.setattr("adapter_registry.store.connection.time.sleep", pauses.append)
    monkeypatch.setattr("adapter_registry.store.connection.time.monotonic", lambda: sum(pauses))

    def call() -> None:
        raise ConnectionError("down")

    with pytest.raises(TrackingUnreachableError, match="down"):
        patiently(call, "http://host", patience_s=0.5)
    assert pauses == [0.1, 0.2]  # another one, twice as long, would have lasted too long


def test_a_refusal_is_not_repeated() -> None:
    from mlflow.exceptions import MlflowException

    calls = []

    def call() -> None:
        calls.append(1)
        raise MlflowException.invalid_parameter_value("a name is missing")

    with pytest.raises(TrackingStoreError, match="a name is missing"):
        patiently(call, "http://host")
    assert len(calls) == 1


def test_a_mistake_of_this_program_is_not_blamed_on_the_store() -> None:
    def call() -> None:
        raise KeyError("typo")

    with pytest.raises(KeyError):
        patiently(call, "http://host")


@pytest.mark.parametrize(
    ("text", "transient"),
    [
        ("(sqlite3.OperationalError) database is locked", True),
        ("API request to http://h/api failed with exception HTTPConnectionPool", True),
        ("API request to endpoint /api failed with error code 503 != 200", True),
        ("Run 'x' not found", False),
    ],
)
def test_outages_are_told_from_refusals(text: str, transient: bool) -> None:
    from mlflow.exceptions import MlflowException

    assert (outage_of(MlflowException(text)) is not None) is transient
