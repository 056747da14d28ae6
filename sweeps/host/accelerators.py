"""What this machine can train on, and its memory, without starting JAX."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from sweeps.errors import WorkerError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sweeps.settings import Accelerator

Kind = Literal["cpu", "gpu", "tpu"]

CGROUP = Path("/sys/fs/cgroup")


def accelerator_memory(accelerator: Accelerator) -> tuple[Kind, int | None]:
    """The kind of accelerator that `accelerator` means here, and its memory in bytes, None where that is unknown.

    `auto` means a GPU where NVIDIA's driver shows one, else the CPU cores; Ray may know of more on a cluster.
    """
    if accelerator == "tpu":
        return "tpu", None
    gpu = _gpu_bytes() if accelerator != "cpu" else None
    if gpu is not None or accelerator == "gpu":
        return "gpu", gpu
    return "cpu", _host_bytes()


def kind_among(accelerator: Accelerator, have: Mapping[str, float]) -> Kind:
    """The kind that `accelerator` means where Ray counts these resources."""
    if accelerator != "auto":
        return accelerator
    if have.get("TPU"):
        return "tpu"
    return "gpu" if have.get("GPU") else "cpu"


def check_enough(accelerator: Accelerator, *, workers: int, chips: int, have: Mapping[str, float]) -> None:
    """Check that a machine has the accelerators of all workers; chips of a CPU are only passed off as such.

    Raises:
        WorkerError: with what is there, and what to ask for.
    """
    kind = kind_among(accelerator, have)
    there, needed = have.get(kind.upper(), 0.0), workers * (1 if kind == "cpu" else chips)
    if there < needed:
        each = f"{chips:g} {kind.upper()}" if kind != "cpu" else "a core"
        raise WorkerError(
            f"{workers} worker{'s' * (workers > 1)} with {each} each need {needed:g} {kind.upper()}, but this machine "
            f"has {there:g}. Ask for fewer with `compute.workers` or `compute.chips`, or for another "
            "`compute.accelerator` (auto, cpu, gpu, tpu)."
        )


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def part_of_host() -> float:
    """The part of this machine's cores that Ray has given to this process; 1 outside of Ray's workers."""
    ray = sys.modules.get("ray")  # who was started by Ray has imported it
    if ray is None or not ray.is_initialized() or ray.get_runtime_context().get_actor_id() is None:
        return 1.0
    context = ray.get_runtime_context()
    own = context.get_assigned_resources().get("CPU", 0.0)
    node = next(each for each in ray.nodes() if each["NodeID"] == context.get_node_id())
    return min(1.0, (own or 1.0) / (node["Resources"].get("CPU") or 1.0))


def _host_bytes() -> int:
    """Free memory; in a container, what is left of its limit."""
    import psutil

    free = int(psutil.virtual_memory().available)
    try:
        limit = int((CGROUP / "memory.max").read_text())
        used = int((CGROUP / "memory.current").read_text())
        cached = next(line for line in (CGROUP / "memory.stat").read_text().splitlines() if "inactive_file" in line)
    except (OSError, ValueError, StopIteration):  # no container, or none with a limit
        return free
    return min(free, limit - used + int(cached.split()[1]))


def _gpu_bytes() -> int | None:
    try:
        import pynvml
    except ImportError:
        return None
    try:
        pynvml.nvmlInit()
        return int(pynvml.nvmlDeviceGetMemoryInfo(pynvml.nvmlDeviceGetHandleByIndex(0)).total)
    except pynvml.NVMLError:
        return None
