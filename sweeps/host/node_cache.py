"""What the processes of one machine share on its disk: fetched data and base models, compiled programs."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from sweeps.errors import HomeError

CACHE = "SWEEPS_CACHE"
DEFAULT_CACHE = "~/.cache/gemma-sweeps"
_FETCHED = "fetched"


def cache_folder() -> Path:
    """Where this machine keeps what several processes and sweeps share."""
    return Path(os.environ.get(CACHE) or DEFAULT_CACHE).expanduser().absolute()


def compiled_folder() -> Path:
    """Where this machine keeps compiled programs."""
    return cache_folder() / "compiled-programs"


@contextlib.contextmanager
def only_one(folder: Path) -> Iterator[None]:
    """Let one process of this machine at a time do something in a folder, which is made.

    Raises:
        HomeError: it cannot be made or written.
    """
    with contextlib.ExitStack() as stack:
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            lock = stack.enter_context((folder / "lock").open("w"))
            fcntl.flock(lock, fcntl.LOCK_EX)
        except OSError as error:
            raise HomeError(
                f"The folder {str(folder)!r} cannot be used for what is fetched: {error.strerror or error}. Choose "
                f"another one with {CACHE}."
            ) from None
        yield


@contextlib.contextmanager
def fetched_once(folder: Path) -> Iterator[None]:
    """Let the first process of this machine fetch something; when it is done, all others at once find it fetched.

    Raises:
        HomeError: the folder cannot be made or written.
    """
    done = folder / _FETCHED
    if not done.exists():
        with only_one(folder):
            if not done.exists():
                yield
                done.touch()
                return
    yield
