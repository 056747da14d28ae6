"""Counts what XLA compiles, so that no benchmark times a compilation by accident."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import NamedTuple

import jax

_COMPILED = "/jax/core/compile/backend_compile_duration"


class Compiled(NamedTuple):
    """A program that was compiled, and the seconds that it took."""

    name: str
    seconds: float


def listen(hear: Callable[[Compiled], None]) -> Callable[[], None]:
    """Call `hear` with every program that JAX compiles or takes from its cache on disk.

    Returns:
        What ends that.
    """

    def told(event: str, duration_secs: float, **about: str | int) -> None:
        if event == _COMPILED:
            hear(Compiled(str(about.get("fun_name", "")), duration_secs))

    jax.monitoring.register_event_duration_secs_listener(told)
    return lambda: jax.monitoring.unregister_event_duration_listener(told)


@contextlib.contextmanager
def counted() -> Iterator[list[Compiled]]:
    """Collect the programs that are compiled while open."""
    programs: list[Compiled] = []
    end = listen(programs.append)
    try:
        yield programs
    finally:
        end()


@contextlib.contextmanager
def none_expected() -> Iterator[None]:
    """Refuse a block in which something is compiled.

    Raises:
        RuntimeError: saying how many programs were.
    """
    with counted() as programs:
        yield
    if programs:
        took = sum(program.seconds for program in programs)
        raise RuntimeError(
            f"Nothing may be compiled while the clock runs, but {len(programs)} programs were, in {took:.1f} s. "
            "Warm every arm with the shapes that it is timed with."
        )
