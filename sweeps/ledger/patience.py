"""Waiting for a database that does not answer: the driver's calls are repeated, training goes on in the workers.

patience = Patience(url)
patience.on_outage = show          # told the reason, and None when the outage is over
patience.repeat(lambda: storage.get_all_studies())
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TypeVar, final

from sweeps.ledger.outages import OUTAGE_S, OutageError
from sweeps.ledger.storage import storage_errors

T = TypeVar("T")

FIRST_PAUSE_S = 0.1
LONGEST_PAUSE_S = 5.0


@final
class Patience:
    """What one process knows about the outages of one ledger. Any thread may use it.

    Attributes:
        limit_s: how long an outage may last; calls fail at once after that, until one succeeds.
        on_outage: called with the reason when an outage begins or its reason changes, and with None when it is over.
    """

    def __init__(self, url: str, limit_s: float = OUTAGE_S) -> None:
        self.limit_s = limit_s
        self.on_outage: Callable[[str | None], None] = lambda reason: None
        self._url = url
        self._lock = threading.Lock()
        self._began: float | None = None
        self._reason: str | None = None
        self._given_up = threading.Event()

    def repeat(self, call: Callable[[], T], again: Callable[[], T] | None = None) -> T:
        """Make a call until the ledger answers.

        Args:
            call: the first attempt.
            again: the further ones, when they have to look what the one before has done; None: `call` can be repeated.

        Raises:
            LedgerError: the outage outlasted `limit_s`, or this error does not pass by itself.
        """
        pause_s = FIRST_PAUSE_S
        with storage_errors(self._url):
            while True:
                try:
                    result = call()
                except OutageError as outage:
                    self._wait(outage, pause_s)
                else:
                    self._tell(None)
                    return result
                call = again or call
                pause_s = min(2 * pause_s, LONGEST_PAUSE_S)

    def give_up(self) -> None:
        """Wait no more: calls that wait now, and all that fail later, raise at once."""
        self._given_up.set()

    def _wait(self, outage: OutageError, pause_s: float) -> None:
        """Pause, or raise the outage when it has lasted too long."""
        with self._lock:
            self._began = began = self._began or time.monotonic()
        self._tell(str(outage))
        if time.monotonic() + pause_s > began + self.limit_s or self._given_up.wait(pause_s):
            raise outage

    def _tell(self, reason: str | None) -> None:
        with self._lock:
            is_news = reason != self._reason
            self._reason = reason
            if reason is None:
                self._began = None
        if is_news:
            self.on_outage(reason)
