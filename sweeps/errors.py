"""Every exception that `sweeps` raises on purpose, and which exceptions are the user's to mend.

SweepsError
├── SpecError (ValueError)        a spec is impossible: carries every mistake that was found
├── HomeError (ValueError)        a folder or address that the environment names cannot be used
├── LedgerError (RuntimeError)    the ledger cannot be reached, or does not hold what it should
├── TrackingError (RuntimeError)  MLflow cannot be reached, or refuses
├── ClusterError (RuntimeError)   a cluster cannot be reached, refuses, or lacks what a sweep needs
├── WorkerError (RuntimeError)    no worker can be started, or all were lost
├── NotFoundError (LookupError)   there is no sweep, trial or adapter of that name
├── RequestError (ValueError)     what was asked of a sweep cannot be done
├── BusyError (RuntimeError)      another process is running the sweep
└── ClaimLostError (RuntimeError) another driver has taken the sweep over while this one ran it

Every message gives the rule, what it got, the choices, and the fix where it is known. All can be pickled, because
Ray carries them between processes: each is built from one argument.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Self

from search_spaces.errors import Mistake


class SweepsError(Exception):
    """Base of all errors that `sweeps` raises on purpose."""


class SpecError(SweepsError, ValueError):
    """A spec is impossible; printed, it is one sentence a line, each with its dotted key."""

    def __init__(self, mistakes: Iterable[Mistake]) -> None:
        self.mistakes = tuple(mistakes)
        super().__init__(self.mistakes)

    @classmethod
    def at(cls, key: str, text: str) -> Self:
        """Build the error of one mistake."""
        return cls([Mistake(key, text)])

    def __str__(self) -> str:
        return "\n".join(map(str, self.mistakes))


class HomeError(SweepsError, ValueError):
    """A folder or address that the environment names (`SWEEPS_HOME`, `SWEEPS_LEDGER`, …) cannot be used."""


class LedgerError(SweepsError, RuntimeError):
    """The ledger cannot be reached, or does not hold what it should."""


class TrackingError(SweepsError, RuntimeError):
    """MLflow cannot be reached, or refuses."""


class ClusterError(SweepsError, RuntimeError):
    """A cluster cannot be reached, refuses, or lacks what a sweep needs."""


class WorkerError(SweepsError, RuntimeError):
    """No worker can be started, or all were lost."""


class NotFoundError(SweepsError, LookupError):
    """There is no sweep, trial or adapter of that name."""


class RequestError(SweepsError, ValueError):
    """What was asked of a sweep cannot be done."""


class BusyError(SweepsError, RuntimeError):
    """Another process is running the sweep."""


class ClaimLostError(SweepsError, RuntimeError):
    """Another driver has taken the sweep over while this one ran it."""


def user_errors() -> tuple[type[Exception], ...]:
    """Return the exceptions that end a command with exit code 2 and their message, without a traceback."""
    from adapter_registry.errors import RegistryError
    from search_spaces.errors import SearchSpaceError
    from trainer.errors import TrainerError

    return SweepsError, SearchSpaceError, TrainerError, RegistryError
