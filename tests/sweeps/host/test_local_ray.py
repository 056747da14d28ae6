"""A process whose Ray died does not hang for ever, and one that shuts Ray down outlives it."""

from __future__ import annotations

import psutil
import pytest

from sweeps.host.processes import runs
from tests.command_line import run_python

HANGING = """
import time
import psutil
from sweeps.host import local_ray
from sweeps.settings import ComputeSettings
local_ray.RAYLET_PATIENCE_S = 1.0
local_ray.prepare_environment()
with local_ray.ray_session(ComputeSettings()):
    children = psutil.Process().children(recursive=True)
    print(*(child.pid for child in children), flush=True)
    next(child for child in children if child.name() == "raylet").kill()
    time.sleep(300)
"""

COLLECTING = """
import gc
import threading
import ray
from sweeps.host import local_ray
from sweeps.settings import ComputeSettings

class Cycle:
    def __init__(self, held):
        self.held, self.itself = held, self

def leave_garbage(references, began, over):
    gc.set_threshold(1)
    while references and not over.wait(0.001):
        Cycle(references.pop())
        began.set()

local_ray.prepare_environment()
began, over = threading.Event(), threading.Event()
with local_ray.ray_session(ComputeSettings()):
    references = [ray.put(number) for number in range(4000)]
    thread = threading.Thread(target=leave_garbage, args=(references, began, over))
    thread.start()
    began.wait()
over.set()
thread.join()
print("outlived", len(references) > 0, gc.isenabled())
"""


WATCHING = """
import psutil
from sweeps.host import local_ray
from sweeps.settings import ComputeSettings
local_ray.prepare_environment()
with local_ray.ray_session(ComputeSettings()):
    commands = [" ".join(child.cmdline()) for child in psutil.Process().children(recursive=True)]
    print(any("raylet" in command for command in commands), any("log_monitor" in command for command in commands))
"""


@pytest.mark.ray
@pytest.mark.slow
def test_no_process_looks_for_lines_in_log_files_that_nobody_reads() -> None:
    ended = run_python("-c", WATCHING)
    assert (ended.code, ended.out) == (0, "True False\n"), ended.err


@pytest.mark.ray
@pytest.mark.slow
def test_a_driver_that_hangs_after_its_raylet_died_is_ended_with_all_its_processes() -> None:
    ended = run_python("-c", HANGING)
    assert ended.code == 1
    assert "Error: Ray's raylet has died" in ended.err
    pids = [int(pid) for pid in ended.out.splitlines()[0].split()]
    assert len(pids) > 1
    children = [psutil.Process(pid) for pid in pids if psutil.pid_exists(pid)]
    _, alive = psutil.wait_procs(children, timeout=30)
    assert not [child for child in alive if runs(child)]


@pytest.mark.ray
@pytest.mark.slow
def test_a_driver_outlives_its_ray_while_another_thread_drops_references_in_cycles() -> None:
    ended = run_python("-c", COLLECTING)
    assert (ended.code, ended.out) == (0, "outlived True True\n"), ended.err
