"""JAX for whoever asks a champion: compiled as workers do, and what is compiled is kept for the next time."""

from __future__ import annotations

import contextlib
import os


def prepare_jax() -> None:
    """Set it up, before anything computes: the next answer need not wait for the compiler."""
    from sweeps.host.accelerators import accelerator_memory
    from sweeps.host.node_cache import compiled_folder
    from trainer.machine.compilation import keep_compiled, suit_cpu

    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # XLA's remarks about the machine are not part of an answer
    if accelerator_memory("auto")[0] == "cpu":
        suit_cpu()
    with contextlib.suppress(OSError):  # without a folder it takes its time
        keep_compiled(str(compiled_folder()))
