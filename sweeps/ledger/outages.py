"""Which errors of a database pass by themselves: a server that restarts, a cut connection, a locked SQLite file.

They are raised as `OutageError`, all others as `RefusalError`, straight through Optuna: Optuna would answer some of
SQLAlchemy's errors by trying again without knowing whether the first try was committed, and so create a trial twice.
"""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sqlalchemy.engine import Engine, ExceptionContext

OUTAGE_S = 900.0  # as long as the ledger may be away, or MLflow: the driver waits, the workers train on

_PASSING_SQLSTATES = (
    "08",  # the connection failed
    "57P",  # the server shuts down, crashed, or starts
    "53300",  # too many connections
    "40001",  # serialisation failure
    "40P01",  # deadlock
    "55P03",  # a lock was not to be had
    "57014",  # the administrator's time limit
)
_PASSING_SQLITE_CODES = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL)
# A refused connection carries no SQLSTATE, only words; in another language than these it is waited for in vain.
_LASTING_REFUSALS = (
    "authentication failed",
    "no password supplied",
    "does not exist",
    "no pg_hba.conf entry",
    "permission denied",
    "not permitted to log in",
    "SSL was required",
    "certificate",
    "Access denied",
)


class OutageError(ConnectionError):
    """The database cannot be used now, but may be soon; its text is the reason, in one line.

    A write that ends so was either made completely or not at all, and nobody can tell which.
    """


class RefusalError(RuntimeError):
    """The database refuses, and will again: it is full, read-only, not what it should be; its text is the reason."""


def raise_outages(engine: Engine) -> None:
    """Let what fails in this engine leave it as an `OutageError` or `RefusalError`."""
    from sqlalchemy import event

    event.listen(engine, "handle_error", _told_apart)


def first_line(error: BaseException) -> str:
    """What went wrong, in one line."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def _told_apart(context: ExceptionContext) -> Exception | None:
    from sqlalchemy.exc import IntegrityError

    # After a failed ping the pool connects anew; what is there already is for Optuna to understand.
    if context.is_pre_ping or isinstance(context.sqlalchemy_exception, IntegrityError | None):
        return None
    kind = OutageError if _passes(context) else RefusalError
    return kind(first_line(context.original_exception))


def _passes(context: ExceptionContext) -> bool:
    error = context.original_exception
    if isinstance(error, sqlite3.Error):
        return getattr(error, "sqlite_errorcode", 0) & 0xFF in _PASSING_SQLITE_CODES
    if context.is_disconnect:
        return True
    if sqlstate := getattr(error, "sqlstate", None) or getattr(error, "pgcode", None):
        return bool(sqlstate.startswith(_PASSING_SQLSTATES))
    return context.connection is None and not any(words in str(error) for words in _LASTING_REFUSALS)
