"""One driver per sweep: a driver notes itself in the ledger, and a second one is told who it is, or takes over.

A driver that was killed leaves its note behind: on the same machine a dead process gives it away at once, from
another machine it counts as dead when it has not renewed the note for a minute. Who finds another's note in the place
of its own has lost the sweep, and writes nothing more.
"""

from __future__ import annotations

import os
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any, final

import psutil

from sweeps.errors import BusyError, ClaimLostError
from sweeps.host.processes import runs
from sweeps.ledger.ledger import Ledger
from sweeps.progress import Preparing, ProgressEvent

RENEW_S = 10.0
EXPIRES_S = 60.0
SETTLE_S = 0.3  # longer than two drivers that begin together take from reading to writing
LEAVE_S = 5.0  # longer than a driver goes on before it looks at its claim: two seconds, and a look at its workers


@final
class Claim:
    """The driver's right to write to a sweep's ledger."""

    def __init__(
        self, ledger: Ledger, *, take_over: bool = False, emit: Callable[[ProgressEvent], None] = lambda event: None
    ) -> None:
        """Take the sweep; with `take_over` also from a driver that seems to be alive, once that one has left it.

        Args:
            ledger: of the sweep.
            take_over: whether to take it from another.
            emit: told what is waited for.

        Raises:
            BusyError: another process is running it.
            ClaimLostError: another process has taken it in the same moment.
        """
        holder = ledger.record.driver
        is_driven = holder is not None and is_alive(holder)
        if holder is not None and is_driven and not take_over:
            raise BusyError(
                f"The sweep {ledger.name!r} is being run by process {holder['pid']} on {holder['host']}. "
                f"Watch it with `sweeps status {ledger.name}`, end it with `sweeps stop {ledger.name}`, or take it "
                f"over with `sweeps resume {ledger.name} --take-over`."
            )
        self._ledger = ledger
        self._token = uuid.uuid4().hex
        self._write()
        if holder is not None and is_driven:  # it writes until it finds our note
            emit(Preparing(what=f"waiting for process {holder['pid']} on {holder['host']} to leave the sweep"))
            time.sleep(LEAVE_S)
        elif ledger.record.state != "created":  # one that begins has been created by us, and by nobody else
            time.sleep(SETTLE_S)
        self.check()
        ledger.read_anew()

    @property
    def sweep(self) -> str:
        """Name of the sweep."""
        return self._ledger.name

    def check(self) -> None:
        """Make sure that the sweep is still ours.

        Raises:
            ClaimLostError: another driver has taken it.
        """
        holder = self._ledger.record.driver
        if holder is None or holder.get("token") != self._token:
            who = f"process {holder['pid']} on {holder['host']}" if holder else "somebody who has ended since"
            raise ClaimLostError(f"The sweep {self._ledger.name!r} was taken over by {who}; this process left it.")

    def renew(self) -> None:
        """Make sure that the sweep is still ours, and say every ten seconds that the driver is alive.

        Raises:
            ClaimLostError: another driver has taken it.
        """
        self.check()
        if time.monotonic() - self._renewed >= RENEW_S:
            self._write()

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Say that the driver is alive while the block runs; if the sweep is still ours, `check` tells after it."""
        ended = threading.Event()

        def renew() -> None:
            with suppress(Exception):  # whoever holds the claim hears of it when he looks
                while not ended.wait(RENEW_S):
                    self.renew()

        thread = threading.Thread(target=renew, name="claim", daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()

    def release(self) -> None:
        """Give the sweep free, if it is still ours."""
        holder = self._ledger.record.driver
        if holder is not None and holder.get("token") == self._token:
            self._ledger.note_sweep(driver=None)

    def _write(self) -> None:
        me = {"host": socket.gethostname(), "pid": os.getpid(), "started": psutil.Process().create_time()}
        self._ledger.note_sweep(driver={**me, "at": time.time(), "token": self._token})
        self._renewed = time.monotonic()


def is_alive(holder: Mapping[str, Any]) -> bool:
    """Tell whether the driver that left this note still runs, as far as can be seen from this machine."""
    if holder["host"] != socket.gethostname():
        return bool(time.time() - holder["at"] < EXPIRES_S)
    if holder["pid"] == os.getpid():
        return False
    try:
        process = psutil.Process(holder["pid"])
        # A process of the same number that started at another time is somebody else.
        return abs(process.create_time() - holder["started"]) < 1.0 and runs(process)
    except psutil.Error:
        return False
