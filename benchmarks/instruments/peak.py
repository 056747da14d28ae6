"""What this process holds in memory now, and the most that it has held."""

from __future__ import annotations

from pathlib import Path
from typing import Literal


def memory(which: Literal["now", "peak"]) -> int:
    """Bytes in use now, or at the peak: of the device, or on a CPU of this process.

    `ru_maxrss` would not do: a process begins with that of its parent.
    """
    import jax

    stats = None if jax.default_backend() == "cpu" else jax.local_devices()[0].memory_stats()
    if stats:
        return int(stats["bytes_in_use" if which == "now" else "peak_bytes_in_use"])
    name = "VmRSS" if which == "now" else "VmHWM"
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{name}:"))


def forget_peak() -> None:
    """Let the peak begin again with what is resident now; a device's peak cannot be taken back."""
    Path("/proc/self/clear_refs").write_text("5")
