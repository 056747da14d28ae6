"""Where things live: the ledger, MLflow's store and the artifacts.

SWEEPS_HOME           folder of everything below; by default ./sweeps-data
SWEEPS_LEDGER         SQLAlchemy URL of the ledger; by default ledger.db in the home
MLFLOW_TRACKING_URI   a tracking server or a database; by default mlflow.db in the home, with artifacts/ beside it

Addresses may hold passwords: show them through `redact` only.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from adapter_registry.store.environment import HOSTED, absolute_uri, sqlite_path
from search_spaces.wording import show
from sweeps.errors import HomeError
from trainer.masking import redact, redact_address

__all__ = ["Home", "find_home", "redact"]

HOME, LEDGER, TRACKING = "SWEEPS_HOME", "SWEEPS_LEDGER", "MLFLOW_TRACKING_URI"
DEFAULT_HOME = "sweeps-data"

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://.*")


@dataclass(frozen=True, slots=True)
class Home:
    """Where one user's, or one team's, sweeps are kept.

    folder         absolute
    ledger         SQLAlchemy URL; SQLite files by absolute path, because Ray's workers run in other folders
    tracking_uri   of MLflow, absolute as well
    artifact_root  folder of MLflow's artifacts; None: beside MLflow's SQLite file, or where its server says
    """

    folder: Path
    ledger: str = field(repr=False)
    tracking_uri: str = field(repr=False)
    artifact_root: str | None

    def check(self) -> None:
        """Check that the folder, and those of SQLite files, can be made and written; makes nothing.

        Raises:
            HomeError: one cannot.
        """
        files = (sqlite_path(self.ledger), sqlite_path(self.tracking_uri))
        for folder in (self.folder, *(file.parent for file in files if file is not None)):
            _check_makeable(folder)

    def prepare(self) -> None:
        """Make the folder, readable by its owner only: dialogues and replies are kept in it.

        Raises:
            HomeError: it cannot be made or written.
        """
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            problem = "a file of that name is in the way" if isinstance(error, FileExistsError) else error.strerror
            raise _home_error(self.folder, f"cannot be made: {problem}") from None
        if not os.access(self.folder, os.W_OK | os.X_OK):
            raise _home_error(self.folder, "may not be written by this user")

    def describe(self) -> dict[str, str]:
        """Return what may be shown, by the name of the variable that changes it."""
        return {HOME: str(self.folder), LEDGER: redact(self.ledger), TRACKING: redact(self.tracking_uri)}


def find_home(environment: Mapping[str, str] | None = None) -> Home:
    """Find where things live, from the environment; makes nothing.

    Raises:
        HomeError: naming the variable that cannot be used.
    """
    environment = os.environ if environment is None else environment
    folder = _folder(_value(environment, HOME) or DEFAULT_HOME)
    ledger = _ledger(_value(environment, LEDGER)) or f"sqlite:///{folder / 'ledger.db'}"
    tracking = _value(environment, TRACKING)
    if not tracking:
        return Home(folder, ledger, f"sqlite:///{folder / 'mlflow.db'}", str(folder / "artifacts"))
    decides_itself = tracking.startswith(HOSTED) or sqlite_path(tracking) is not None
    return Home(folder, ledger, absolute_uri(tracking), None if decides_itself else str(folder / "artifacts"))


def _value(environment: Mapping[str, str], name: str) -> str:
    value = environment.get(name, "").strip()
    if not value.isprintable():
        raise HomeError(f"{name} must be text on one line, but got {show(redact_address(value))}.")
    if name != HOME:
        _check_login(name, value)
    return value


def _check_login(name: str, value: str) -> None:
    """Refuse a password that is not encoded: its end would be taken for the host, and told in every error."""
    scheme, _, rest = value.partition("://")
    login, at, _ = rest.rpartition("@")
    if at and not scheme.startswith("sqlite") and re.search(r"[@/?#]", login):
        raise HomeError(
            f"{name} must have its user name and password percent-encoded (@ as %40, / as %2F, ? as %3F, # as %23), "
            f"but got {show(redact(value))}."
        )


def _folder(value: str) -> Path:
    try:
        folder = Path(value).expanduser().absolute()
    except RuntimeError:
        raise HomeError(f"{HOME} must be a folder, but got {show(value)}: there is no such user.") from None
    if re.search(r"[?#%]", str(folder)):  # SQLite URLs end at ?, URIs of files at #, and % begins an escape
        raise _home_error(folder, "holds one of the characters ? # %, which an address of a file cannot")
    return folder


def _ledger(value: str) -> str:
    if not value:
        return ""
    examples = "sqlite:////data/ledger.db, postgresql://USER:PASSWORD@HOST/DATABASE"
    if not _URL.fullmatch(value):
        raise HomeError(
            f"{LEDGER} must be an SQLAlchemy URL, but got {show(redact_address(value))}. Examples: {examples}."
        )
    if value.startswith("sqlite") and (value.endswith("://") or ":memory:" in value or "mode=memory" in value):
        raise HomeError(f"{LEDGER} must outlive the process, but {show(value)} is in memory. Examples: {examples}.")
    return absolute_uri(value)


def _check_makeable(folder: Path) -> None:
    try:
        nearest = next(each for each in (folder, *folder.parents) if each.exists())
    except OSError as error:  # a name that is too long, a folder that may not be looked into
        raise _home_error(folder, f"cannot be made: {error.strerror}") from None
    if not nearest.is_dir():
        raise _home_error(folder, f"cannot be made: {str(nearest)!r} is no folder")
    if not os.access(nearest, os.W_OK | os.X_OK):
        problem = "may not be written by this user"
        raise _home_error(folder, problem if nearest == folder else f"cannot be made: {str(nearest)!r} {problem}")


def _home_error(folder: Path, problem: str) -> HomeError:
    return HomeError(f"The folder {str(folder)!r} {problem}. Choose another one with {HOME}.")
