"""Opens the database of the ledger: a SQLite file by default, PostgreSQL (or anything SQLAlchemy knows) by URL."""

from __future__ import annotations

import importlib.util
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sweeps.errors import LedgerError, SweepsError

if TYPE_CHECKING:
    from optuna.storages import BaseStorage

BUSY_TIMEOUT_S = 60.0


def open_storage(url: str) -> BaseStorage:
    """Open, and where needed create, the ledger's tables.

    Raises:
        LedgerError: the database cannot be reached, opened or understood.
    """
    import optuna
    from sqlalchemy import event

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    url = _with_installed_driver(url)
    with storage_errors(url, ImportError, OSError, RuntimeError):
        if not url.startswith("sqlite:"):
            return optuna.storages.get_storage(optuna.storages.RDBStorage(url, {"pool_pre_ping": True}))
        _prepare_sqlite(url)
        storage = optuna.storages.RDBStorage(url, {"connect_args": {"timeout": BUSY_TIMEOUT_S}})
        event.listen(storage.engine, "connect", _commit_without_waiting_for_the_disk)
        storage.engine.dispose()  # so that no connection made before the listener stays in the pool
        return optuna.storages.get_storage(storage)


@contextmanager
def storage_errors(url: str, *others: type[Exception]) -> Iterator[None]:
    """Turn what a database raises, and `others`, into one sentence that names the ledger."""
    from optuna.exceptions import StorageInternalError
    from sqlalchemy.exc import SQLAlchemyError

    kinds: tuple[type[Exception], ...] = (SQLAlchemyError, StorageInternalError, sqlite3.Error, *others)
    try:
        yield
    except SweepsError:
        raise
    except kinds as error:
        cause = error.__cause__ if isinstance(error, StorageInternalError) and error.__cause__ else error
        reason = str(getattr(cause, "orig", None) or cause).strip().splitlines()[0]
        raise LedgerError(
            f"The ledger at {without_password(url)} cannot be used: {reason}. "
            "Check the path or address in SWEEPS_LEDGER, and that the database may be written."
        ) from error


def without_password(url: str) -> str:
    """Return the URL as it may be shown."""
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        return make_url(url).render_as_string(hide_password=True)
    except ArgumentError:
        return repr(url)


def _prepare_sqlite(url: str) -> None:
    """Make the folder, and switch the file to WAL: readers (`sweeps status`) then never block the driver."""
    from sqlalchemy.engine import make_url

    path = make_url(url).database
    if not path or path == ":memory:":
        return
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    connection = sqlite3.connect(path, timeout=BUSY_TIMEOUT_S)
    try:
        connection.execute("PRAGMA journal_mode=WAL")
    finally:
        connection.close()


def _commit_without_waiting_for_the_disk(connection: Any, _record: object) -> None:
    """In WAL mode NORMAL survives a killed process and cannot corrupt; FULL waits for the disk at every report."""
    connection.execute("PRAGMA synchronous=NORMAL")


def _with_installed_driver(url: str) -> str:
    """Let `postgresql://` mean psycopg 3, the driver that the extra `postgres` installs."""
    scheme, separator, rest = url.partition("://")
    if scheme in {"postgres", "postgresql"} and importlib.util.find_spec("psycopg2") is None:
        return f"postgresql+psycopg{separator}{rest}"
    return url
