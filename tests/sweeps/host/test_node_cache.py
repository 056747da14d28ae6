"""What processes of one machine fetch once: real processes, which tell in one file what they do."""

import subprocess
import sys
from pathlib import Path

from sweeps.host.node_cache import fetched_once

FETCH = """
import sys, time
from pathlib import Path
from sweeps.host.node_cache import fetched_once
folder, account, fails = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:]

def tell(what):
    with account.open("a") as file:
        file.write(what + "\\n")

tell("ready")
with fetched_once(folder):
    tell("begins")
    time.sleep(0.5)
    if fails:
        raise SystemExit("the network is gone")
    tell("ends")
"""


def fetching(folder: Path, account: Path, *fails: str) -> "subprocess.Popen[bytes]":
    return subprocess.Popen([sys.executable, "-c", FETCH, str(folder), str(account), *fails], stderr=subprocess.DEVNULL)


def test_the_first_fetches_alone_and_the_others_go_on_together(tmp_path):
    account = tmp_path / "account"
    processes = [fetching(tmp_path / "base", account) for _ in range(3)]
    assert [process.wait(60) for process in processes] == [0, 0, 0]
    told = [line for line in account.read_text().splitlines() if line != "ready"]
    assert told[:2] == ["begins", "ends"]
    assert sorted(told[2:]) == ["begins", "begins", "ends", "ends"]


def test_what_failed_is_fetched_by_the_next(tmp_path):
    account = tmp_path / "account"
    assert fetching(tmp_path / "base", account, "fails").wait(60) == 1
    assert fetching(tmp_path / "base", account).wait(60) == 0
    assert account.read_text().split() == ["ready", "begins", "ready", "begins", "ends"]


def test_what_is_fetched_waits_for_nobody(tmp_path):
    with fetched_once(tmp_path / "base"):
        pass
    with fetched_once(tmp_path / "base"):
        assert fetching(tmp_path / "base", tmp_path / "account").wait(60) == 0
