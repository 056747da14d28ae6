import sys
import textwrap

import pytest

from tests.command_line import printed_last
from trainer.machine.host_memory import ENVIRONMENT

STEPS, PAGE = 10, 4096
NO_HUGE_PAGES = 41  # PR_SET_THP_DISABLE of <sys/prctl.h>

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only glibc has these settings")


@pytest.mark.parametrize(
    ("where", "megabytes"), [("main", 16), ("main", 40), ("main", 200), ("thread", 16), ("thread", 40), ("thread", 57)]
)
def test_what_a_step_frees_is_there_for_the_next(where, megabytes):
    default, kept = (cleared(megabytes, where, keep) for keep in (False, True))
    # glibc's own threshold rises up to 32 MiB: below that it keeps blocks of the main thread by itself.
    assert megabytes < 32 or default > 0.5
    assert kept < 0.01


GLIBC = {"MALLOC_ARENA_MAX": ENVIRONMENT["MALLOC_ARENA_MAX"]}


@pytest.mark.parametrize("given", [GLIBC, ENVIRONMENT])
def test_a_process_that_is_started_as_a_worker_keeps_what_is_too_large_for_a_threads_own_heap(given):
    default, kept = (cleared(200, "thread", keep=True, environment=environment) for environment in ({}, given))
    assert default > 0.5
    assert kept < 0.01


@pytest.mark.parametrize("given", [{}, ENVIRONMENT])
def test_memory_is_given_back_when_asked(given):
    assert cleared(57, "main", keep=True, between="give_back_memory()", environment=given) > 0.5


def test_rays_own_allocator_is_loaded_in_a_process_that_is_started_as_a_worker():
    program = "print(any('jemalloc' in line for line in open('/proc/self/maps')))"
    loaded = [printed_last("-c", program, **given) for given in (GLIBC, ENVIRONMENT)]
    assert loaded == ["False", "True"]


def test_a_process_whose_machine_has_no_such_library_begins_all_the_same():
    missing = ENVIRONMENT | {"LD_PRELOAD": "/nowhere/libjemalloc.so"}
    assert cleared(200, "thread", keep=True, environment=missing) < 0.01


def cleared(megabytes, where, keep, between="pass", environment=None):
    """Share of a block's pages that the kernel clears each time it is taken, written and freed, but for the first."""
    size = megabytes * 2**20
    program = f"""
        import ctypes, resource, threading
        from trainer.machine.host_memory import give_back_memory, keep_freed_memory
        libc = ctypes.CDLL(None)
        libc.prctl({NO_HUGE_PAGES}, 1, 0, 0, 0)  # where every mapping has them, there is little to count
        libc.malloc.restype, libc.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
        libc.memset.argtypes, libc.free.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t], [ctypes.c_void_p]

        def step():
            block = libc.malloc({size})
            libc.memset(block, 1, {size})
            libc.free(block)

        def steps():
            {"keep_freed_memory()" if keep else "pass"}
            step()
            before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
            for _ in range({STEPS}):
                {between}
                step()
            print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)

        if {where == "thread"}:
            thread = threading.Thread(target=steps)
            thread.start()
            thread.join()
        else:
            steps()
    """
    printed = printed_last("-c", textwrap.dedent(program), **(environment or {}))
    return int(printed) * PAGE / (STEPS * size)
