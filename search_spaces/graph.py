"""The graph that conditions form: parents exist, nothing is in a circle, every parameter can occur."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from search_spaces.distributions import Distribution
from search_spaces.errors import Mistake
from search_spaces.ranges import Float
from search_spaces.scalars import Scalar, same
from search_spaces.wording import choices, did_you_mean, show

MOST_PARENTS = 8  # counting a grid tries the values of all parents together

Parameters = Mapping[str, Distribution]


def graph_mistakes(parameters: Parameters) -> list[Mistake]:
    """List what is wrong with the conditions between parameters."""
    mistakes = list(_parent_mistakes(parameters))
    if mistakes:
        return mistakes
    if cycle := _cycle(parameters):
        return [
            Mistake(f"{cycle[0]}.when", f"conditions must not form a cycle, but got {' → '.join([*cycle, cycle[0]])}.")
        ]
    parents = {c.parent for d in parameters.values() for c in d.conditions}
    if len(parents) > MOST_PARENTS:
        return [Mistake("", f"conditions must name at most {MOST_PARENTS} parameters, but name {len(parents)}.")]
    return list(_impossible(parameters))


def _parent_mistakes(parameters: Parameters) -> Iterator[Mistake]:
    for name, distribution in parameters.items():
        for condition in distribution.conditions:
            key, parent = f"{name}.when.{condition.parent}", parameters.get(condition.parent)
            if parent is None:
                guess = did_you_mean(condition.parent, parameters)
                yield Mistake(
                    key, f"Unknown parameter.{guess} Choose from: {choices(n for n in parameters if n != name)}."
                )
            elif isinstance(parent, Float):  # equal floats are a matter of rounding
                yield Mistake(key, "must name a choice, an int or a constant, but this is a float.")
            else:
                for value in condition.values:
                    if not parent.find(value):
                        rule = f"`{condition.parent}` can never be {show(value)}; it must be {parent.describe()}"
                        yield Mistake(key, f"{rule}.")


def _cycle(parameters: Parameters) -> list[str]:
    left = set(parameters) - set(order(parameters))
    if not left:
        return []
    path = [min(left)]
    while True:  # every parameter that is left has a parent that is left, so the walk ends on itself
        step = next(c.parent for c in parameters[path[-1]].conditions if c.parent in left)
        if step in path:
            return path[path.index(step) :]
        path.append(step)


def order(parameters: Parameters) -> tuple[str, ...]:
    """Sort names so that parents come first, else as given; names in a cycle are left out."""
    placed: dict[str, None] = {}
    waiting = list(parameters)
    while ready := [name for name in waiting if all(c.parent in placed for c in parameters[name].conditions)]:
        placed |= dict.fromkeys(ready)
        waiting = [name for name in waiting if name not in placed]
    return tuple(placed)


def _impossible(parameters: Parameters) -> Iterator[Mistake]:
    """Find parameters that no trial can have: what they and their parents ask of one parameter excludes itself."""
    for name in parameters:
        asked: dict[str, list[Scalar]] = {}
        for _, parent, values in _needs(name, parameters):
            before = asked.get(parent)
            asked[parent] = list(values) if before is None else [v for v in before if any(same(v, w) for w in values)]
        for parent, values in asked.items():
            if not values:
                yield Mistake(
                    f"{name}.when", f"can never hold: it and its parents ask for different values of `{parent}`."
                )


def _needs(name: str, parameters: Parameters) -> Iterator[tuple[str, str, Sequence[Scalar]]]:
    seen, waiting = {name}, [name]
    while waiting:
        child = waiting.pop()
        for condition in parameters[child].conditions:
            yield child, condition.parent, condition.values
            if condition.parent not in seen:
                seen.add(condition.parent)
                waiting.append(condition.parent)
