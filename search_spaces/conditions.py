"""Conditions: a parameter that exists in a trial only when other parameters have one of the named values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from search_spaces.errors import Mistake
from search_spaces.scalars import SCALAR_RULE, Scalar, is_scalar, plain, same
from search_spaces.wording import show


@dataclass(frozen=True, slots=True)
class Condition:
    """Holds in a trial where the parameter `parent` exists and has one of `values`."""

    parent: str
    values: tuple[Scalar, ...]

    def holds(self, params: Mapping[str, Scalar]) -> bool:
        """Tell whether the condition holds for the parameters drawn so far."""
        return self.parent in params and any(same(value, params[self.parent]) for value in self.values)


def read_when(when: Any) -> tuple[tuple[Condition, ...], list[Mistake]]:
    """Read `{parent: value, or list of values}` or a tuple of conditions; list what is wrong."""
    if isinstance(when, tuple) and all(isinstance(condition, Condition) for condition in when):
        return when, []
    if not isinstance(when, Mapping) or not when:
        rule = "must name a parameter and its value, such as {scaling: alpha_over_rank}"
        return (), [Mistake("when", f"{rule}, but got {show(when)}.")]
    conditions, mistakes = [], []
    for parent, value in when.items():
        values = tuple(map(plain, value)) if isinstance(value, list | tuple) else (plain(value),)
        if isinstance(parent, str) and values and all(map(is_scalar, values)):
            conditions.append(Condition(parent, values))
        else:
            mistakes.append(
                Mistake(f"when.{parent}", f"must be {SCALAR_RULE}, or a list of these, but got {show(value)}.")
            )
    return tuple(conditions), mistakes


def write_when(conditions: tuple[Condition, ...]) -> dict[str, Any]:
    """Write conditions as `read_when` reads them."""
    return {c.parent: c.values[0] if len(c.values) == 1 else list(c.values) for c in conditions}
