"""A trial held fast between two steps."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A trial as it was after `step` steps; `to_bytes` makes its checkpoint, in any thread."""

    step: int
    to_bytes: Callable[[], bytes]
