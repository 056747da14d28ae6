"""One driver per sweep: a driver notes itself in the ledger, and a second one is told who it is.

A driver that was killed leaves its note behind: on the same machine a dead process gives it away at once, from
another machine it counts as dead when it has not renewed the note for a minute.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Mapping
from typing import Any, final

import psutil

from sweeps.errors import BusyError
from sweeps.ledger import Ledger

RENEW_S = 10.0
EXPIRES_S = 60.0


@final
class Claim:
    """The driver's right to write to a sweep's ledger."""

    def __init__(self, ledger: Ledger) -> None:
        """Take the sweep.

        Raises:
            BusyError: another process is running it.
        """
        holder = ledger.record.driver
        if holder is not None and is_alive(holder):
            raise BusyError(
                f"The sweep {ledger.name!r} is being run by process {holder['pid']} on {holder['host']}. "
                f"Watch it with `sweeps status {ledger.name}`, or end it with `sweeps stop {ledger.name}`."
            )
        self._ledger = ledger
        self._renewed = 0.0
        ledger.note_sweep(stop_requested=False)
        self.renew()

    def renew(self) -> None:
        """Say that the driver is alive; writes at most every ten seconds."""
        if time.monotonic() - self._renewed < RENEW_S and self._renewed:
            return
        self._renewed = time.monotonic()
        me = {"host": socket.gethostname(), "pid": os.getpid(), "started": psutil.Process().create_time()}
        self._ledger.note_sweep(driver={**me, "at": time.time()})

    def release(self) -> None:
        """Give the sweep free."""
        self._ledger.note_sweep(driver=None)


def is_alive(holder: Mapping[str, Any]) -> bool:
    """Tell whether the driver that left this note still runs, as far as can be seen from this machine."""
    if holder["host"] != socket.gethostname():
        return bool(time.time() - holder["at"] < EXPIRES_S)
    if holder["pid"] == os.getpid():
        return False
    try:
        # A process of the same number that started at another time is somebody else.
        return bool(abs(psutil.Process(holder["pid"]).create_time() - holder["started"]) < 1.0)
    except psutil.Error:
        return False
