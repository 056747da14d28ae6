"""Counts what XLA compiles, so that no benchmark times a compilation by accident."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import jax

_COMPILED = "/jax/core/compile/backend_compile_duration"


@contextlib.contextmanager
def counted() -> Iterator[list[float]]:
    """Collect the seconds of each program that is compiled while open."""
    seconds: list[float] = []

    def hear(event: str, duration_secs: float, **_: Any) -> None:
        if event == _COMPILED:
            seconds.append(duration_secs)

    jax.monitoring.register_event_duration_secs_listener(hear)
    try:
        yield seconds
    finally:
        jax.monitoring.unregister_event_duration_listener(hear)


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
