"""The hosts that the cluster's tests are made of."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.cluster import hosts
from tests.cluster.hosts import can_make_hosts, namespaces, network

pytestmark = pytest.mark.skipif(not can_make_hosts(), reason="network namespaces cannot be made by this user")


def test_what_a_killed_test_left_is_cleared_away(tmp_path, monkeypatch):
    log = tmp_path / "log"
    environment = {"PATH": os.environ["PATH"]}
    with monkeypatch.context() as killed, network(tmp_path / "killed") as left:
        process = left.host("left").start(["sleep", "600"], log=log, environment=environment)
        killed.setattr(hosts, "_ip", lambda *arguments: None)
        killed.setattr(hosts.Host, "die", lambda host: None)
    assert process.poll() is None
    assert namespaces() == [f"{hosts.PREFIX}left"]

    with network(tmp_path / "next") as found:
        assert process.wait(10) != 0
        found.host("left")
        assert namespaces() == [f"{hosts.PREFIX}left"]
    assert namespaces() == []
    assert not Path("/sys/class/net", hosts.BRIDGE).exists()
