"""The hosts that the cluster's tests are made of."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.cluster import hosts
from tests.cluster.hosts import can_make_hosts, namespaces, network
from tests.services import until

pytestmark = pytest.mark.skipif(not can_make_hosts(), reason="network namespaces cannot be made by this user")


def test_what_a_killed_test_left_is_cleared_away(tmp_path, monkeypatch):
    log = tmp_path / "log"
    environment = {"PATH": os.environ["PATH"]}
    with monkeypatch.context() as killed, network(tmp_path / "killed") as left:
        command = ["sh", "-c", "echo up; sleep 600 && echo slept"]
        process = left.host("left").start(command, log=log, environment=environment)
        until(log.read_text, 10, "the process on its host")  # one that is still on its way there is not the host's yet
        killed.setattr(hosts, "_ip", lambda *arguments: None)
        killed.setattr(hosts.Host, "die", lambda host: None)
    assert process.poll() is None
    assert namespaces() == [f"{hosts.PREFIX}left"]

    with network(tmp_path / "next") as found:
        process.wait(10)  # raises if it still runs
        assert log.read_text() == "up\n"  # killed; its exit status may have gone to psutil
        found.host("left")
        assert namespaces() == [f"{hosts.PREFIX}left"]
    assert namespaces() == []
    assert not Path("/sys/class/net", hosts.BRIDGE).exists()
