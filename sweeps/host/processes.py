"""Whether a process on this machine still runs."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import psutil


def runs(process: psutil.Process) -> bool:
    """Tell whether a process runs; a zombie, which waits for its parent to notice its end, does not."""
    import psutil

    with contextlib.suppress(psutil.NoSuchProcess):
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    return False
