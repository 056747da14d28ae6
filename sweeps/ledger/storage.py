"""Opens the database of the ledger: a SQLite file by default, PostgreSQL (or anything SQLAlchemy knows) by URL."""

from __future__ import annotations

import importlib.util
import sqlite3
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sweeps.errors import LedgerError, SweepsError
from sweeps.ledger.outages import OutageError, RefusalError, first_line, raise_outages
from trainer.masking import redact

if TYPE_CHECKING:
    from optuna.storages import BaseStorage
    from sqlalchemy.engine import URL, Engine

# A locked SQLite file is waited for this long before anybody hears of it; the driver waits on (`patience`).
BUSY_TIMEOUT_S = 10.0
# A connection whose other end has vanished is noticed, by us and by the server, within about half a minute: else a
# transaction that was cut off would hold its locks for hours, and the same call made again would wait for them.
_POSTGRES_CONNECTION = {
    "connect_timeout": 10,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 4,
    "tcp_user_timeout": 30_000,
}
_UNUSABLE = (ImportError, OSError, RuntimeError, ValueError)  # no driver, no folder, a port that is no number
_POSTGRES_SESSION = "SET idle_in_transaction_session_timeout = '60s'; SET lock_timeout = '90s'"

_ENGINES: weakref.WeakKeyDictionary[BaseStorage, Engine] = weakref.WeakKeyDictionary()  # of what was opened here


def open_storage(url: str) -> BaseStorage:
    """Open, and where needed create, the ledger's tables; its errors are then told apart (`sweeps.ledger.outages`).

    Raises:
        LedgerError: the database cannot be reached, opened or understood.
    """
    import optuna
    from sqlalchemy.engine import make_url

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    url = _with_installed_driver(url)
    with storage_errors(url, *_UNUSABLE):
        parsed = make_url(url)
        if parsed.drivername.startswith("sqlite"):
            _prepare_sqlite(parsed.database)
        storage = optuna.storages.RDBStorage(url, _engine_settings(parsed))
        _set_up_connections(storage.engine)
        cached = optuna.storages.get_storage(storage)
        _ENGINES[cached] = storage.engine
        weakref.finalize(cached, storage.engine.dispose)  # nobody closes a storage: its connections end with it
        return cached


def holds_ledger(url: str) -> bool:
    """Tell whether a database holds a ledger's tables; makes neither them nor a file.

    Raises:
        LedgerError: the database cannot be reached, opened or understood.
    """
    from sqlalchemy import create_engine, inspect
    from sqlalchemy.engine import make_url
    from sqlalchemy.pool import NullPool

    url = _with_installed_driver(url)
    with storage_errors(url, *_UNUSABLE):
        parsed = make_url(url)
        if parsed.drivername.startswith("sqlite") and not Path(parsed.database or "").exists():
            return False
        settings = _engine_settings(parsed)
        with create_engine(url, poolclass=NullPool, connect_args=settings["connect_args"]).connect() as connection:
            return inspect(connection).has_table("studies")


def wait_for_creation(storage: BaseStorage, study_id: int) -> None:
    """Wait until a trial whose creation was cut off is either there or never will be.

    The database may still be busy with what was asked through a connection that is gone; Optuna locks the study's row
    while it creates a trial.
    """
    from sqlalchemy import Integer, column, select, table

    study = column("study_id", Integer)
    with _ENGINES[storage].begin() as connection:
        connection.execute(select(study).select_from(table("studies")).where(study == study_id).with_for_update())


@contextmanager
def storage_errors(url: str, *others: type[Exception]) -> Iterator[None]:
    """Turn what a database raises, and `others`, into one sentence that names the ledger."""
    from optuna.exceptions import StorageInternalError, UpdateFinishedTrialError
    from sqlalchemy.exc import SQLAlchemyError

    ours = (OutageError, RefusalError)
    kinds: tuple[type[Exception], ...] = (*ours, SQLAlchemyError, StorageInternalError, sqlite3.Error, *others)
    try:
        yield
    except SweepsError:
        raise
    except UpdateFinishedTrialError as error:
        raise LedgerError(
            f"Somebody else has written to the ledger at {redact(url)} meanwhile: {redact(first_line(error))} "
            "Only one process at a time may run a sweep; `sweeps resume` goes on from what is there."
        ) from error
    except kinds as error:
        cause = error.__cause__ if isinstance(error, StorageInternalError) and error.__cause__ else error
        reason = first_line(getattr(cause, "orig", None) or cause)
        raise LedgerError(
            f"The ledger at {redact(url)} cannot be used: {redact(reason)}. "
            "Check the path or address in SWEEPS_LEDGER, and that the database may be written."
        ) from error


def _engine_settings(url: URL) -> dict[str, Any]:
    """SQLAlchemy's settings for a kind of database; what the URL says itself stays."""
    if url.drivername.startswith("sqlite"):
        return {"connect_args": {"timeout": BUSY_TIMEOUT_S}}
    if url.drivername in {"postgresql", "postgresql+psycopg", "postgresql+psycopg2"}:
        ours = {key: value for key, value in _POSTGRES_CONNECTION.items() if key not in url.query}
        return {"pool_pre_ping": True, "connect_args": ours}
    return {"pool_pre_ping": True, "connect_args": {}}


def _prepare_sqlite(path: str | None) -> None:
    """Make the folder, and switch the file to WAL: readers (`sweeps status`) then never block the driver."""
    if not path or path == ":memory:":
        return
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    connection = sqlite3.connect(path, timeout=BUSY_TIMEOUT_S)
    try:
        connection.execute("PRAGMA journal_mode=WAL")
    finally:
        connection.close()


def _set_up_connections(engine: Engine) -> None:
    from sqlalchemy import event

    raise_outages(engine)
    if engine.name == "sqlite":
        # In WAL mode NORMAL survives a killed process and cannot corrupt; FULL waits for the disk at every report.
        event.listen(engine, "connect", lambda connection, _: _execute(connection, "PRAGMA synchronous=NORMAL"))
    elif engine.name == "postgresql":
        event.listen(engine, "connect", lambda connection, _: _execute(connection, _POSTGRES_SESSION))
    engine.dispose()  # so that no connection made before the listeners stays in the pool


def _execute(connection: Any, statement: str) -> None:
    cursor = connection.cursor()
    cursor.execute(statement)
    cursor.close()
    connection.commit()


def _with_installed_driver(url: str) -> str:
    """Let `postgresql://` mean psycopg 3, the driver that the extra `postgres` installs."""
    scheme, separator, rest = url.partition("://")
    if scheme in {"postgres", "postgresql"} and importlib.util.find_spec("psycopg2") is None:
        return f"postgresql+psycopg{separator}{rest}"
    return url
