"""One driver per sweep, and how a dead one is told from a living one."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Iterator

import psutil
import pytest

from search_spaces import SearchSpace
from sweeps.errors import BusyError, ClaimLostError
from sweeps.ledger.claim import Claim
from sweeps.ledger.ledger import Ledger
from sweeps.progress import Preparing, ProgressEvent
from sweeps.settings import SearchSettings


@pytest.fixture
def ledger(ledger_url: str, space: SearchSpace) -> Ledger:
    return Ledger.create(ledger_url, "s", SearchSettings(), space)


@pytest.fixture
def other_process() -> Iterator[psutil.Process]:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        yield psutil.Process(process.pid)
        process.kill()


def test_a_sweep_that_another_process_runs_is_busy(ledger: Ledger, other_process: psutil.Process) -> None:
    driver = {"host": socket.gethostname(), "pid": other_process.pid, "started": other_process.create_time(), "at": 0}
    ledger.note_sweep(driver=driver)
    with pytest.raises(BusyError, match=f"process {other_process.pid} on .*sweeps stop s"):
        Claim(ledger)
    other_process.kill()
    other_process.wait()
    Claim(ledger).release()
    assert ledger.record.driver is None


def test_another_process_with_the_number_of_a_dead_driver_does_not_count(
    ledger: Ledger, other_process: psutil.Process
) -> None:
    driver = {"host": socket.gethostname(), "pid": other_process.pid, "started": 1.0, "at": time.time()}
    ledger.note_sweep(driver=driver)
    Claim(ledger)


def test_a_driver_on_another_machine_counts_for_a_minute(ledger: Ledger) -> None:
    driver = {"host": "elsewhere", "pid": 1, "started": 1.0, "at": time.time() - 30}
    ledger.note_sweep(driver=driver)
    with pytest.raises(BusyError, match="elsewhere"):
        Claim(ledger)
    ledger.note_sweep(driver=driver | {"at": time.time() - 90})
    Claim(ledger)


def test_a_driver_is_told_that_another_took_the_sweep(ledger: Ledger) -> None:
    """It must not write another word: not even give the claim free."""
    first = Claim(ledger)
    first.renew()
    second = Claim(ledger, take_over=True)
    with pytest.raises(ClaimLostError, match=r"taken over by process \d+ on"):
        first.renew()
    first.release()
    second.check()
    second.release()
    assert ledger.record.driver is None


DRIVER = """
import sys, time
from search_spaces import load_space
from sweeps.ledger.claim import Claim
from sweeps.errors import ClaimLostError
from sweeps.ledger.ledger import Ledger
from sweeps.driver.monitor import LEDGER_EVERY_S
space = load_space(Ledger.open(sys.argv[1], "s").study.user_attrs["space"])
ledger = Ledger.open(sys.argv[1], "s", space)
claim = Claim(ledger)
read = time.monotonic()
while True:
    number = ledger.next_trial().number
    print(number, flush=True)
    if time.monotonic() - read >= LEDGER_EVERY_S:
        read = time.monotonic()
        try:
            claim.renew()
        except ClaimLostError:
            sys.exit()
"""


def test_who_takes_a_sweep_over_reads_what_the_other_wrote_until_it_left(ledger_url: str, space: SearchSpace) -> None:
    """A driver looks at its claim every two seconds, and goes on writing until then."""
    ledger = Ledger.create(ledger_url, "s", SearchSettings(trials=100_000, sampler="random"), space)
    told: list[ProgressEvent] = []
    with subprocess.Popen([sys.executable, "-c", DRIVER, ledger_url], stdout=subprocess.PIPE, text=True) as first:
        assert first.stdout is not None
        assert first.stdout.readline() == "0\n"
        Claim(ledger, take_over=True, emit=told.append)
        known = [trial.number for trial in ledger.trials()]
        others = [int(number) for number in first.stdout.read().split()]
    assert known == [0, *others]
    assert told == [Preparing(what=f"waiting for process {first.pid} on {socket.gethostname()} to leave the sweep")]


def test_of_two_drivers_that_begin_together_one_gives_way(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second reads before the first has written, and writes after it: the first finds the second's note."""
    ledger.note_sweep(state="stopped")
    taken: list[Claim] = []

    def meanwhile(_seconds: float) -> None:
        monkeypatch.undo()
        taken.append(Claim(ledger, take_over=True))

    monkeypatch.setattr("sweeps.ledger.claim.time.sleep", meanwhile)
    with pytest.raises(ClaimLostError):
        Claim(ledger)
    taken[0].check()


def test_a_claim_names_its_process(ledger: Ledger) -> None:
    Claim(ledger)
    driver = ledger.record.driver
    assert driver is not None
    assert driver["pid"] == psutil.Process().pid
