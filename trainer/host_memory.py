"""What the C library does with memory that was freed: glibc's defaults suit neither loading nor training."""

from __future__ import annotations

import contextlib
import ctypes

# What a process that trains on a CPU has to be started with, for glibc reads it then and never again: one heap for all
# threads. XLA computes in threads, and a thread's own heap holds no block above 64 MiB: those would still be mapped and
# cleared for every step.
ENVIRONMENT = {"MALLOC_ARENA_MAX": "1"}

# Of <malloc.h>.
_TRIM_THRESHOLD, _TOP_PAD, _MMAP_MAX = -1, -2, -4


def give_back_memory() -> None:
    """Return what compiling and loading have freed to the system: glibc would keep some hundred megabytes."""
    with contextlib.suppress(OSError, AttributeError):  # another C library
        ctypes.CDLL(None).malloc_trim(0)


def keep_freed_memory() -> None:
    """Let this process keep what it frees from now on, for a CPU's next training step, which needs as much again.

    XLA asks for a step's temporary memory anew each time. glibc maps blocks as large as these from the system and
    returns them at once, so that the kernel clears every page for every step: a third of a step's time, measured on two
    cores with 8 slots of 80 tokens. In a process that was not started with `ENVIRONMENT`, other threads than the main
    one have it so above 64 MiB even now.
    """
    with contextlib.suppress(OSError, AttributeError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_MMAP_MAX, 0)
        mallopt(_TRIM_THRESHOLD, 2**31 - 1)
        mallopt(_TOP_PAD, 64 * 2**20)  # a thread's part of the heap is unmapped when empty, if it has less than this
