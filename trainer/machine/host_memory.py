"""What the C library does with memory that was freed: the defaults suit neither loading nor training."""

from __future__ import annotations

import contextlib
import ctypes
from importlib.util import find_spec
from pathlib import Path

# Of <malloc.h>, and of jemalloc's <jemalloc/jemalloc.h>.
_TRIM_THRESHOLD, _TOP_PAD, _MMAP_MAX = -1, -2, -4
_ALL_ARENAS = 4096


def _jemalloc() -> Path | None:
    """Find the allocator that Ray's package for Linux brings for its own processes."""
    ray = find_spec("ray")
    folders = ray.submodule_search_locations if ray else None
    libraries = [Path(folder) / "core" / "libjemalloc.so" for folder in folders or ()]
    return next((library for library in libraries if library.exists()), None)


def _environment() -> dict[str, str]:
    # A thread's own heap in glibc holds no block above 64 MiB, and XLA computes in threads: those would still be mapped
    # and cleared for every step. One heap for all threads has them, but the threads wait for it, up to a quarter of a
    # short step's time.
    glibc = {"MALLOC_ARENA_MAX": "1"}
    library = _jemalloc()
    if library is None:
        return glibc
    # Nothing is returned unasked. What is kept is kept by heap, so that more heaps than two, one for each of a few
    # cores, take more memory. Blocks from a megabyte have a heap of their own, where no small one that stays breaks up
    # what a step needs in one piece.
    keep = "dirty_decay_ms:-1,muzzy_decay_ms:-1,oversize_threshold:1048576,narenas:2"
    return glibc | {"LD_PRELOAD": str(library), "MALLOC_CONF": keep}


# What a process that trains on a CPU has to be started with, for it is read then and never again. Where the library is
# not at this path, on another machine, the loader says so and goes on with glibc.
ENVIRONMENT = _environment()


def give_back_memory() -> None:
    """Return what compiling and loading have freed to the system, which would be kept: some hundred megabytes."""
    with contextlib.suppress(OSError, AttributeError):  # another C library
        ctypes.CDLL(None).malloc_trim(0)
    with contextlib.suppress(OSError, AttributeError):  # without jemalloc
        ctypes.CDLL(None).mallctl(f"arena.{_ALL_ARENAS}.purge".encode(), None, None, None, ctypes.c_size_t(0))


def keep_freed_memory(room: int = 0) -> None:
    """Let this process keep what it frees from now on, for a CPU's next training step, which needs as much again.

    Steps differ in size. Were the smaller ones first, a larger one would find no room in what they have left, and take
    memory beside it. So one block is taken and freed here in which each of them finds room; what nobody writes to is
    no memory yet.

    XLA asks for a step's temporary memory anew each time. glibc maps blocks as large as these from the system and
    returns them at once, so that the kernel clears every page for every step: a third of a step's time, measured on two
    cores with 8 slots of 80 tokens. A process that was started with `ENVIRONMENT` does so for blocks of any size, and
    with jemalloc from its start; in others, other threads than the main one return what is above 64 MiB even now.

    Args:
        room: bytes that no step exceeds.
    """
    with contextlib.suppress(OSError, AttributeError):
        library = ctypes.CDLL(None)
        mallopt, malloc, free = library.mallopt, library.malloc, library.free
        malloc.restype, malloc.argtypes, free.argtypes = ctypes.c_void_p, [ctypes.c_size_t], [ctypes.c_void_p]
        mallopt(_MMAP_MAX, 0)
        mallopt(_TRIM_THRESHOLD, 2**31 - 1)
        mallopt(_TOP_PAD, 64 * 2**20)  # a thread's part of the heap is unmapped when empty, if it has less than this
        free(malloc(room))  # nothing, where there is not as much
