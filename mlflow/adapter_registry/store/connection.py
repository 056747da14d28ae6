"""Reaching the tracking store: a quick first probe, the schema made once, and patience for outages.

`check_tracking(uri)` runs before anything starts and tells within about five seconds that a store cannot be used.
`patiently(call)` is for everything after that: an outage is waited out, a refusal is told at once.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from adapter_registry.errors import RegistryError, TrackingStoreError, TrackingUnreachableError
from adapter_registry.store.environment import first_line, prepare_mlflow, sqlite_path
from adapter_registry.store.outages import Outage, is_from_store, outage_of
from adapter_registry.store.secret_files import renew_credentials
from trainer.masking import redact, redact_address

T = TypeVar("T")

PROBE_TIMEOUT_S = 4
OUTAGE_PATIENCE_S = 120.0
BODY_LIMIT = (
    "A proxy before it limits the length of what is sent: raise that limit (nginx: `client_max_body_size`, Apache: "
    "`LimitRequestBody`), or name an address that does not go through it."
)
_DATABASES = ("postgresql", "mysql", "mssql")


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
        except RegistryError:
            raise
        except Exception as error:
            raise _probe_error(uri, error) from None


def client(uri: str) -> Any:
    """An `MlflowClient` for one URI: tracking and registry, and never the process-wide defaults."""
    prepare_mlflow()
    renew_credentials()
    from mlflow import MlflowClient

    return MlflowClient(tracking_uri=uri, registry_uri=uri)


def patiently(call: Callable[[], T], uri: str, *, patience_s: float = OUTAGE_PATIENCE_S, was_let_in: bool = False) -> T:
    """Run a call that is safe to repeat; during an outage, repeat it with growing pauses.

    Args:
        call: what to run.
        uri: of the store.
        patience_s: how long an outage is waited out.
        was_let_in: these credentials have been good before: then an expired sign-in is an outage, too.

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
            outage = outage_of(error)
            if outage is None and not is_from_store(error):
                raise
            if outage is None:
                raise _refusal(uri, error) from None
            if outage.is_sign_out and not was_let_in:
                raise _not_let_in(uri, outage) from None
            if time.monotonic() + pause_s > deadline:
                raise unreachable(uri, outage) from None  # MLflow's own tells the whole address
        time.sleep(pause_s)
        pause_s = min(2 * pause_s, 10.0)


def _refusal(uri: str, error: BaseException) -> TrackingStoreError:
    said = f"The tracking store {redact(uri)} refused: {first_line(error)}"
    is_too_long = "code 413" in said or "413 Client Error" in said
    return TrackingStoreError(f"{said.rstrip('.')}. {BODY_LIMIT}" if is_too_long else said)


def unreachable(uri: str, outage: Outage) -> TrackingUnreachableError:
    """The error for a store that does not answer, or lets nobody in any more, with its fix."""
    problem = "does not let this process in any more" if outage.is_sign_out else "does not answer"
    return TrackingUnreachableError(f"The tracking store {redact(uri)} {problem} ({outage.reason}). {outage.remedy}")


def _probe_error(uri: str, error: Exception) -> RegistryError:
    outage = outage_of(error)
    if outage is None:
        return _not_mlflow(uri, first_line(error))
    return _not_let_in(uri, outage) if outage.is_sign_out else unreachable(uri, outage)


def _not_let_in(uri: str, outage: Outage) -> TrackingStoreError:
    return _not_mlflow(uri, f"{outage.reason}.")


def _not_mlflow(uri: str, reason: str) -> TrackingStoreError:
    return TrackingStoreError(
        f"The tracking store {redact(uri)} answers, but not as MLflow should: {reason} "
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
        raise unreachable(uri, outage_of(error) or Outage(first_line(error))) from None
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
