"""A space as a grid: how many different trials there are, and which, conditions respected."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from search_spaces.distributions import Constant, Distribution
from search_spaces.errors import Mistake, SearchSpaceError
from search_spaces.graph import order
from search_spaces.scalars import Scalar, same

MOST_GRID_POINTS = 10_000  # nobody waits for more; also of one parameter

Parameters = Mapping[str, Distribution]


def grid_values(parameters: Parameters) -> dict[str, list[Scalar]]:
    """List all values of each parameter but the constants.

    Raises:
        SearchSpaceError: naming each parameter with a continuum, or with too many values.
    """
    mistakes = []
    drawn = {name: d for name, d in parameters.items() if not isinstance(d, Constant)}
    for name, distribution in drawn.items():
        count = distribution.count()
        if count is None:
            mistakes.append(Mistake(name, "a grid needs countable values; give `step`, or use type: choice."))
        elif count > MOST_GRID_POINTS:
            rule = f"a grid takes at most {MOST_GRID_POINTS} values of a parameter, but got {count}"
            mistakes.append(Mistake(name, f"{rule}; give a larger `step`."))
    if mistakes:
        raise SearchSpaceError(mistakes)
    return {name: list(distribution.grid()) for name, distribution in drawn.items()}


def grid_points(parameters: Parameters) -> Iterator[dict[str, Scalar]]:
    """Return the parameters of every different trial, without the constants.

    Raises:
        SearchSpaceError: as `grid_values` does, at once.
    """
    drawn = grid_values(parameters)
    points = _points(order(parameters), parameters, {})
    return ({name: point[name] for name in drawn if name in point} for point in points)


def _points(names: Sequence[str], parameters: Parameters, before: dict[str, Scalar]) -> Iterator[dict[str, Scalar]]:
    if not names:
        yield before
        return
    distribution = parameters[names[0]]
    if not all(condition.holds(before) for condition in distribution.conditions):
        yield from _points(names[1:], parameters, before)
        return
    for value in distribution.grid():
        yield from _points(names[1:], parameters, {**before, names[0]: value})


def count_points(parameters: Parameters) -> int | None:
    """Count the different trials; None where a parameter is a continuum."""
    if any(distribution.count() is None for distribution in parameters.values()):
        return None
    asked: dict[str, list[Scalar]] = {}
    for condition in (c for distribution in parameters.values() for c in distribution.conditions):
        values = asked.setdefault(condition.parent, [])
        for value in condition.values:
            if not any(same(value, before) for before in values):
                values.append(value)
    return _count(order(parameters), parameters, asked, {})


_OTHER = "\0 a value that no condition names"  # no scalar of a space holds a NUL


def _count(
    names: Sequence[str], parameters: Parameters, asked: Mapping[str, list[Scalar]], before: dict[str, Scalar]
) -> int:
    """Count the trials of `names` after the parents `before`; values that no condition names are counted at once."""
    total = 1
    for i, name in enumerate(names):
        distribution = parameters[name]
        if not all(condition.holds(before) for condition in distribution.conditions):
            continue
        count = distribution.count() or 1
        if name not in asked:
            total *= count
            continue
        branches = [(value, 1) for value in asked[name]] + [(_OTHER, count - len(asked[name]))]
        rest = names[i + 1 :]
        return total * sum(n * _count(rest, parameters, asked, {**before, name: value}) for value, n in branches if n)
    return total
