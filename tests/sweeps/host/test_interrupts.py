"""What a sweep hears of its terminal and of whoever manages its process."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys

import pytest

from sweeps.host.interrupts import watch_interrupts

WRITER = """
import sys, time
from sweeps.host.interrupts import watch_interrupts
with watch_interrupts() as interrupts:
    print("ready", flush=True)
    while interrupts.because is None:
        time.sleep(0.01)
    print("to nobody", flush=True)
    print("to nobody", file=sys.stderr, flush=True)
sys.exit(7 if interrupts.because == "the terminal was closed" else 1)
"""


def test_what_is_said_after_the_terminal_was_closed_is_no_error() -> None:
    """Writing to it would be one, and the sweep's end would not be told in the ledger."""
    terminal, end = pty.openpty()
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    with subprocess.Popen([sys.executable, "-c", WRITER], stdin=end, stdout=end, stderr=end, env=environment) as writer:
        os.close(end)
        assert os.read(terminal, 100).split() == [b"ready"]
        os.close(terminal)
        writer.send_signal(signal.SIGHUP)
        assert writer.wait(30) == 7


def test_a_hangup_that_is_ignored_stays_ignored() -> None:
    """With `nohup` a sweep goes on when its terminal is closed."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with watch_interrupts() as interrupts:
            signal.raise_signal(signal.SIGHUP)
        assert interrupts.because is None
    finally:
        signal.signal(signal.SIGHUP, before)


def test_only_ctrl_c_and_sigterm_cancel_when_they_come_again() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    try:
        with watch_interrupts() as interrupts:
            interrupts._terminals.clear()  # pytest's own stays open
            for _ in range(2):
                signal.raise_signal(signal.SIGHUP)
            with pytest.raises(KeyboardInterrupt):
                signal.raise_signal(signal.SIGTERM)
        assert interrupts.because == "the terminal was closed"
    finally:
        signal.signal(signal.SIGHUP, before)
