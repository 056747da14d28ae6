"""A process whose Ray died does not hang for ever."""

from __future__ import annotations

import os
import subprocess
import sys

import psutil
import pytest

HANGING = """
import time
import psutil
from sweeps import local_ray
from sweeps.settings import ComputeSettings
local_ray.RAYLET_PATIENCE_S = 1.0
local_ray.prepare_environment()
with local_ray.ray_session(ComputeSettings()):
    children = psutil.Process().children(recursive=True)
    print(*(child.pid for child in children), flush=True)
    next(child for child in children if child.name() == "raylet").kill()
    time.sleep(300)
"""


@pytest.mark.ray
@pytest.mark.slow
def test_a_driver_that_hangs_after_its_raylet_died_is_ended_with_all_its_processes() -> None:
    paths = os.pathsep.join(path for path in sys.path if path)
    ended = subprocess.run(
        [sys.executable, "-c", HANGING],
        env=os.environ | {"PYTHONPATH": paths},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ended.returncode == 1
    assert "Error: Ray's raylet has died" in ended.stderr
    pids = [int(pid) for pid in ended.stdout.splitlines()[0].split()]
    assert len(pids) > 1
    children = [psutil.Process(pid) for pid in pids if psutil.pid_exists(pid)]
    _, alive = psutil.wait_procs(children, timeout=30)
    assert not [child for child in alive if child.status() != psutil.STATUS_ZOMBIE]
