"""Reaching the tracking store: a quick first probe, the schema made once, and patience for outages.

`check_tracking(uri)` runs before anything starts and tells within about five seconds that a store cannot be used.
`patiently(call)` is for everything after that: an outage is waited out, a refusal is told at once.
"""

from __future__ import annotations

import logging
import os
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from adapter_registry.errors import RegistryError, TrackingStoreError, TrackingUnreachableError
from adapter_registry.store.environment import first_line, prepare_mlflow, sqlite_path
from trainer.masking import redact, redact_address

T = TypeVar("T")

PROBE_TIMEOUT_S = 4
OUTAGE_PATIENCE_S = 120.0
_DATABASES = ("postgresql", "mysql", "mssql")
_TRANSIENT_CODES = ("TEMPORARILY_UNAVAILABLE", "REQUEST_LIMIT_EXCEEDED", "RESOURCE_EXHAUSTED", "DEADLINE_EXCEEDED")
_TRANSIENT_TEXTS = (
    "UNIQUE constraint failed",  # somebody wrote the same parameters at the same moment: now they are there
    "failed with exception",  # MLflow's words for a connection that was refused, reset or cut
    "failed with timeout exception",
    "database is locked",
    "error code 500",
    "error code 502",
    "error code 503",
    "error code 504",
)


def check_tracking(uri: str) -> None:
    """Check that the tracking store can be used, and make its schema when it is a new database.

    One process calls this before others open the store, so that no two migrate it at the same time.

    Raises:
        TrackingUnreachableError: no answer within about five seconds.
        TrackingStoreError: an answer that is not a usable MLflow store's, or a URI of an unknown kind.
    """
    probe_store(uri)
    if (path := sqlite_path(uri)) is not None:
        _make_file(path)
    probe_server(uri, lambda client: client.search_experiments(max_results=1))


def probe_store(uri: str) -> None:
    """Check that the kind of a store is known and a database answers; makes nothing.

    Raises:
        TrackingUnreachableError, TrackingStoreError: as `check_tracking`.
    """
    scheme = uri.partition(":")[0].partition("+")[0].lower() if ":" in uri else ""
    if (path := sqlite_path(uri)) is not None:
        _check_file(path)
    elif scheme in _DATABASES:
        with database_errors(uri), database_engine(uri).connect():
            pass
    elif scheme not in {"http", "https", "databricks"}:
        raise TrackingStoreError(
            f"`MLFLOW_TRACKING_URI` must be a tracking server or a database, but got {redact_address(uri)!r}. "
            "Choose from: http://HOST:PORT, https://HOST, sqlite:///PATH, postgresql://…, mysql://…."
        )


def probe_server(uri: str, ask: Callable[[Any], T]) -> T:
    """Ask a store something once, without MLflow's patience.

    Raises:
        TrackingUnreachableError, TrackingStoreError: as `check_tracking`.
    """
    with _impatient(), quietly():
        try:
            return ask(client(uri))
        except Exception as error:
            raise _probe_error(uri, error) from None


def client(uri: str) -> Any:
    """An `MlflowClient` for one URI: tracking and registry, and never the process-wide defaults."""
    prepare_mlflow()
    from mlflow import MlflowClient

    return MlflowClient(tracking_uri=uri, registry_uri=uri)


def patiently(call: Callable[[], T], uri: str, *, patience_s: float = OUTAGE_PATIENCE_S) -> T:
    """Run a call that is safe to repeat; during an outage, repeat it with growing pauses.

    Raises:
        TrackingUnreachableError: the outage outlasted `patience_s`.
        TrackingStoreError: the store refused.
    """
    deadline, pause_s = time.monotonic() + patience_s, 0.1
    while True:
        try:
            return call()
        except RegistryError:
            raise
        except Exception as error:
            if not _is_from_store(error):
                raise
            if not is_transient(error):
                raise TrackingStoreError(f"The tracking store {redact(uri)} refused: {first_line(error)}") from None
            if time.monotonic() + pause_s > deadline:
                raise unreachable(uri, error) from None  # MLflow's own tells the whole address
        time.sleep(pause_s)
        pause_s = min(2 * pause_s, 10.0)


def is_transient(error: BaseException) -> bool:
    """Whether the same call may succeed later: no connection, an overloaded server, a locked database."""
    if type(error).__module__.startswith(("requests.", "urllib3.")):
        response = getattr(error, "response", None)
        return response is None or response.status_code >= 500 or response.status_code in {408, 429}
    if isinstance(error, ConnectionError | TimeoutError):
        return True
    code = getattr(error, "error_code", "")
    return code in _TRANSIENT_CODES or any(text in str(error) for text in _TRANSIENT_TEXTS)


def _is_from_store(error: BaseException) -> bool:
    """Whether MLflow or what it stands on raised it; anything else is a mistake in this program."""
    return isinstance(error, OSError) or type(error).__module__.startswith(("mlflow.", "requests.", "sqlalchemy."))


def unreachable(uri: str, error: BaseException) -> TrackingUnreachableError:
    """The error for a store that does not answer, with its fix."""
    return TrackingUnreachableError(
        f"The tracking store {redact(uri)} does not answer ({_reason(error)}). "
        "Start it, correct MLFLOW_TRACKING_URI, or unset it to use a local SQLite file."
    )


def _reason(error: BaseException) -> str:
    """What the operating system said, where it is buried in an HTTP client's account; else the first line."""
    text = first_line(error)
    found = re.search(r"\[Errno -?\d+\] ([\w ]+)|(timed out)", text)
    return (found[1] or found[2]) if found else text


def _probe_error(uri: str, error: Exception) -> RegistryError:
    if is_transient(error):
        return unreachable(uri, error)
    return TrackingStoreError(
        f"The tracking store {redact(uri)} answers, but not as MLflow should: {first_line(error)} "
        "Check the address, the credentials (MLFLOW_TRACKING_USERNAME and _PASSWORD, or _TOKEN), and its version."
    )


def _check_file(path: Path) -> None:
    """Refuse a file that is no SQLite database; none at all is one to be made."""
    try:
        if not path.exists():
            return
        if not path.is_file():
            raise _unusable(path, "it is no ordinary file")
        with path.open("rb") as file:
            header = file.read(16)
    except OSError as error:
        raise _unusable(path, str(error.strerror)) from None
    if header and header != b"SQLite format 3\0":
        raise TrackingStoreError(
            f"{str(path)!r} exists, but is not a SQLite database. Move it away, or choose another MLFLOW_TRACKING_URI."
        )


def _make_file(path: Path) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.open("ab").close()
    except OSError as error:
        raise _unusable(path, str(error.strerror)) from None


def _unusable(path: Path, reason: str) -> TrackingStoreError:
    return TrackingStoreError(
        f"The tracking database must be a file that can be written, but {str(path)!r} cannot: {reason}. "
        "Choose another folder with SWEEPS_HOME or MLFLOW_TRACKING_URI."
    )


def database_engine(uri: str) -> Any:
    """An engine that connects once and keeps nothing open: MLflow itself would try for 100 seconds."""
    import sqlalchemy

    is_server = not uri.startswith(("mssql", "sqlite"))
    limit = {"connect_timeout": PROBE_TIMEOUT_S} if is_server else {}
    with database_errors(uri):
        return sqlalchemy.create_engine(uri, connect_args=limit, poolclass=sqlalchemy.pool.NullPool)


@contextmanager
def database_errors(uri: str) -> Iterator[None]:
    """Tell what a database raises as one sentence."""
    import sqlalchemy

    try:
        yield
    except RegistryError:
        raise
    except ImportError as error:
        raise TrackingStoreError(
            f"The database {redact(uri)} needs its driver ({first_line(error)}). "
            'For PostgreSQL: pip install "gemma-sweeps[postgres]" and a URI postgresql+psycopg://….'
        ) from None
    except sqlalchemy.exc.OperationalError as error:
        raise unreachable(uri, error) from None
    except Exception as error:
        raise TrackingStoreError(f"The database {redact(uri)} cannot be used: {first_line(error)}") from None


@contextmanager
def _impatient() -> Iterator[None]:
    """MLflow's HTTP client without retries, for the probe alone."""
    values = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0", "MLFLOW_HTTP_REQUEST_TIMEOUT": str(PROBE_TIMEOUT_S)}
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


@contextmanager
def quietly() -> Iterator[None]:
    """Without MLflow's news of what was asked of it: a new database's migrations alone write a hundred lines."""
    loggers = [logging.getLogger(name) for name in ("mlflow.store.db.utils", "alembic", "mlflow.pyfunc")]
    before = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)
