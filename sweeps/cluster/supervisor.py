"""Keeps a sweep's driver alive: a small job beside it, that starts it again when it dies.

It ends when the sweep is complete, was stopped by request, or cannot go on as it is; what is the user's to mend is not
tried again. It holds nothing: when it dies too, `sweeps resume` goes on.
"""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Iterator, Sequence

FIRST_PAUSE_S, LONGEST_PAUSE_S = 5.0, 300.0
HEALTHY_S = 600.0  # a driver that lived so long begins anew with short pauses
FINAL = frozenset({0, 2, 3})  # complete; impossible; stopped by request


def pauses() -> Iterator[float]:
    """Seconds to wait before each new start."""
    pause = FIRST_PAUSE_S
    while True:
        yield pause
        pause = min(2 * pause, LONGEST_PAUSE_S)


def keep_alive(command: Sequence[str]) -> int:
    """Run a command until it ends with a code that is final; that code."""
    waiting = pauses()
    while True:
        began = time.monotonic()
        code = _run(command)
        if code in FINAL:
            return code
        if time.monotonic() - began > HEALTHY_S:
            waiting = pauses()
        pause = next(waiting)
        print(f"The driver ended with code {code}; the next begins in {pause:.0f} s.", flush=True)
        time.sleep(pause)


def _run(command: Sequence[str]) -> int:
    process = subprocess.Popen(command)  # noqa: S603 - our own module
    before = signal.signal(signal.SIGTERM, lambda *_: _end(process))
    try:
        return process.wait()
    finally:
        signal.signal(signal.SIGTERM, before)


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    raise SystemExit(process.wait())
