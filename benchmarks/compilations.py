"""Counts what XLA compiles, so that no benchmark times a compilation by accident."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

import jax

_COMPILED = "/jax/core/compile/backend_compile_duration"


def listen(hear: Callable[[float, str], None]) -> Callable[[], None]:
    """Call `hear` with (seconds, name) of every program that JAX compiles or takes from its cache on disk.

    Returns:
        What ends that.
    """

    def told(event: str, duration_secs: float, **about: str | int) -> None:
        if event == _COMPILED:
            hear(duration_secs, str(about.get("fun_name", "")))

    jax.monitoring.register_event_duration_secs_listener(told)
    return lambda: jax.monitoring.unregister_event_duration_listener(told)


@contextlib.contextmanager
def counted() -> Iterator[list[float]]:
    """Collect the seconds of each program that is compiled while open."""
    seconds: list[float] = []
    end = listen(lambda took, _: seconds.append(took))
    try:
        yield seconds
    finally:
        end()


@contextlib.contextmanager
def none_expected() -> Iterator[None]:
    """Refuse a block in which something is compiled.

    Raises:
        RuntimeError: saying how many programs were.
    """
    with counted() as seconds:
        yield
    if seconds:
        raise RuntimeError(
            f"Nothing may be compiled while the clock runs, but {len(seconds)} programs were, in {sum(seconds):.1f} s. "
            "Warm every arm with the shapes that it is timed with."
        )
