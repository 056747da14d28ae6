"""What this machine can train on, and its memory, without starting JAX."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from sweeps.settings import Accelerator

Kind = Literal["cpu", "gpu", "tpu"]


def accelerator_memory(accelerator: Accelerator) -> tuple[Kind, int | None]:
    """The kind of accelerator that `accelerator` means here, and its memory in bytes, None where that is unknown.

    `auto` means a GPU where NVIDIA's driver shows one, else the CPU cores; Ray may know of more on a cluster.
    """
    if accelerator == "tpu":
        return "tpu", None
    gpu = _gpu_bytes() if accelerator != "cpu" else None
    if gpu is not None or accelerator == "gpu":
        return "gpu", gpu
    import psutil

    return "cpu", int(psutil.virtual_memory().available)


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
