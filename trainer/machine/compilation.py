"""How XLA compiles and computes here: on a CPU quickly and one program at a time, and once per machine.

To be asked before JAX is first used.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

_QUICK_ON_CPU = "--xla_backend_optimization_level=1 --xla_llvm_disable_expensive_passes=true"


def suit_cpu() -> None:
    """Spare XLA's costly passes on a CPU, where time goes into matmuls, and let it compute one program at a time.

    Measured on two cores: a quarter less time to compile, and steps as fast as before. A step that is under way holds
    temporary memory of its own, so that one at a time takes half of what two take; there is nothing to gain by more,
    for the host has no other cores than those that compute.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    flags = os.environ.get("XLA_FLAGS", "")
    os.environ["XLA_FLAGS"] = f"{_QUICK_ON_CPU} {flags}".strip()  # the user's own come last, and win
    _set({"jax_cpu_enable_async_dispatch": False})


def simulate_chips(count: int) -> None:
    """Let a CPU pass for several chips, to try how a sweep lies on them; a CPU is not faster for it."""
    if count > 1:
        _set({"jax_num_cpu_devices": count})


def keep_compiled(folder: str) -> None:
    """Let JAX keep what it compiles: half a minute for each new shape of a 2B model, once per machine.

    The smallest programs are kept, too: loading a base model alone takes thirty of them, a second in all.

    Args:
        folder: made if need be.
    """
    path = Path(folder)
    path.mkdir(parents=True, exist_ok=True)
    _set({"jax_compilation_cache_dir": str(path), "jax_persistent_cache_min_compile_time_secs": 0.0})


def _set(options: dict[str, Any]) -> None:
    import jax

    for name, value in options.items():
        jax.config.update(name, value)  # type: ignore[no-untyped-call]  # JAX has no types here
