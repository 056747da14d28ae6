"""Folders for what Ray and Tune write while a sweep runs; those of killed drivers are removed by the next one."""

from __future__ import annotations

import hashlib
import os
import shutil
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """Make a folder that is removed at the end."""
    _remove_left_behind()
    folder = Path(tempfile.mkdtemp(prefix=f"{_prefix()}{os.getpid()}-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _prefix() -> str:
    """Tell machines and containers apart: where they share a folder, process numbers mean nothing to the others."""
    return f"sweeps-{hashlib.sha256(socket.gethostname().encode()).hexdigest()[:6]}-"


def _remove_left_behind() -> None:
    for folder in Path(tempfile.gettempdir()).glob(f"{_prefix()}*"):
        process = folder.name.removeprefix(_prefix()).partition("-")[0]
        if process.isdigit() and not psutil.pid_exists(int(process)):
            shutil.rmtree(folder, ignore_errors=True)
