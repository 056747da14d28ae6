"""Folders for what Ray and Tune write while a sweep runs; those of killed drivers are removed by the next one."""

from __future__ import annotations

import os
import shutil
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from sweeps.errors import HomeError

PLACES = (Path("/tmp"), Path("/var/tmp"), Path("/dev/shm"))  # noqa: S108  (folders in them have names of their own)


@contextmanager
def temporary_folder(*, longest: int | None = None) -> Iterator[Path]:
    """Make a folder that is removed at the end.

    Args:
        longest: the path has at most so many bytes; where TMPDIR is longer, the folder is elsewhere.

    Raises:
        HomeError: no folder can be made.
    """
    _remove_left_behind()
    folder = _make(longest)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def places() -> list[Path]:
    """Where temporary files may go: TMPDIR if it can be written, then what this machine has besides."""
    with suppress(FileNotFoundError):  # there is none at all
        return list(dict.fromkeys([Path(tempfile.gettempdir()), *PLACES]))
    return list(PLACES)


def _make(longest: int | None) -> Path:
    for place in places():
        with suppress(OSError):
            folder = Path(tempfile.mkdtemp(prefix=f"{_prefix()}{os.getpid()}-", dir=place))
            if longest is None or len(os.fsencode(folder)) <= longest:
                return folder
            folder.rmdir()
    rule = "" if longest is None else f" with a path of at most {longest} bytes, for sockets"
    raise HomeError(
        f"A sweep needs a temporary folder{rule}, but none can be made in {', '.join(map(str, places()))}. Set TMPDIR "
        "to a folder that can be written."
    )


def _prefix() -> str:
    """Tell machines and containers apart: where they share a folder, process numbers mean nothing to the others."""
    import hashlib  # brings OpenSSL, and every command imports this module

    return f"sweeps-{hashlib.sha256(socket.gethostname().encode()).hexdigest()[:6]}-"


def _remove_left_behind() -> None:
    import psutil

    for folder in (found for place in places() for found in place.glob(f"{_prefix()}*")):
        process = folder.name.removeprefix(_prefix()).partition("-")[0]
        if process.isdigit() and not psutil.pid_exists(int(process)):
            shutil.rmtree(folder, ignore_errors=True)
