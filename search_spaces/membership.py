"""Whether parameters lie inside a space: those that a spec asks for, and those that a ledger holds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from search_spaces.distributions import Constant, Distribution
from search_spaces.errors import Mistake, SearchSpaceError
from search_spaces.graph import order
from search_spaces.scalars import Scalar
from search_spaces.wording import choices, did_you_mean, show

Parameters = Mapping[str, Distribution]


def check_params(parameters: Parameters, params: Mapping[str, Any]) -> dict[str, Scalar]:
    """Return some or all parameters of a trial as the space writes them; a conditional one asks for its parents.

    Raises:
        SearchSpaceError: naming each parameter that is unknown, outside, or that the others exclude.
    """
    found: dict[str, Scalar] = {}
    mistakes: list[Mistake] = []
    for name, value in params.items():
        distribution = parameters.get(name)
        if distribution is None:
            guess = did_you_mean(name, parameters)
            mistakes.append(Mistake(str(name), f"Unknown parameter.{guess} Choose from: {choices(parameters)}."))
        elif inside := distribution.find(value):
            found[name] = inside[0]
        else:
            mistakes.append(Mistake(name, f"must be {distribution.describe()}, but got {show(value)}."))
    if mistakes := mistakes or list(_excluded(parameters, found)):
        raise SearchSpaceError(mistakes)
    return found


def _excluded(parameters: Parameters, params: Mapping[str, Scalar]) -> Iterator[Mistake]:
    known = {name: d.value for name, d in parameters.items() if isinstance(d, Constant)} | dict(params)
    for child in params:
        for condition in parameters[child].conditions:
            if not condition.holds(known):
                rule = f"exists only when `{condition.parent}` is {choices(condition.values)}"
                given = (
                    f"`{condition.parent}` is {show(known[condition.parent])}"
                    if condition.parent in known
                    else "it is not given"
                )
                yield Mistake(child, f"{rule}, but {given}.")


def complete_params(parameters: Parameters, params: Mapping[str, Any]) -> dict[str, Scalar]:
    """Return all parameters of the trial whose drawn ones are `params`: constants are added.

    Raises:
        SearchSpaceError: naming each parameter that is missing, unknown or outside.
    """
    given = check_params(parameters, params)
    complete: dict[str, Scalar] = {}
    for name in order(parameters):
        distribution = parameters[name]
        if not all(condition.holds(complete) for condition in distribution.conditions):
            continue
        if isinstance(distribution, Constant):
            complete[name] = distribution.value
        elif name in given:
            complete[name] = given[name]
        else:
            raise SearchSpaceError.at(name, f"is missing; it must be {distribution.describe()}.")
    return complete
