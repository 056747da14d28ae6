"""Ctrl-C while a sweep runs: the first time it drains, the second time it stops at once.

A terminal that is closed drains it, too, unless the sweep was begun with `nohup`.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Iterator
from types import FrameType


class Interrupts:
    """Whether the user, or whoever manages this process, has asked it to end."""

    def __init__(self) -> None:
        self.because: str | None = None
        self._terminals = [number for number in (0, 1, 2) if os.isatty(number)]

    def _handle(self, number: int, _frame: FrameType | None) -> None:
        if number == signal.SIGHUP:
            self._forget_the_terminal()
        if self.because is not None:
            if number == signal.SIGHUP:  # a terminal that is closed may be told of more than once, and with SIGTERM
                return
            raise KeyboardInterrupt
        names = {signal.SIGINT: "Ctrl-C", signal.SIGHUP: "the terminal was closed"}
        self.because = names.get(signal.Signals(number)) or signal.Signals(number).name

    def _forget_the_terminal(self) -> None:
        """Let everything that is still to be said go nowhere: writing to a terminal that is gone is an error."""
        nowhere = os.open(os.devnull, os.O_RDWR)
        for number in self._terminals:
            os.dup2(nowhere, number)
        os.close(nowhere)


@contextlib.contextmanager
def watch_interrupts() -> Iterator[Interrupts]:
    """Note Ctrl-C, SIGTERM and SIGHUP; only the main thread can, others just run to the end."""
    interrupts = Interrupts()
    if threading.current_thread() is not threading.main_thread():
        yield interrupts
        return
    watched = [signal.SIGINT, signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        watched.append(signal.SIGHUP)
    # Tune replaces the handler of SIGUSR1 and leaves its own behind.
    before = {number: signal.getsignal(number) for number in [*watched, signal.SIGUSR1]}
    for number in watched:
        signal.signal(number, interrupts._handle)
    try:
        yield interrupts
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
