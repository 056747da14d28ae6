"""The search space: named distributions and constants that the parameters of a trial are drawn from."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from search_spaces.conditions import write_when
from search_spaces.distributions import Constant, Distribution, TrialLike
from search_spaces.errors import Mistake, SearchSpaceError
from search_spaces.graph import graph_mistakes, order
from search_spaces.grid import count_points, grid_points, grid_values
from search_spaces.membership import check_params, complete_params
from search_spaces.scalars import Scalar, is_scalar, plain
from search_spaces.wording import show

MOST_PARAMETERS = 64

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,62}")


@dataclass(frozen=True)
class SearchSpace:
    """Distributions by name; a bare value stands for a constant.

    Raises:
        SearchSpaceError: all mistakes, each with its key.
    """

    parameters: Mapping[str, Distribution]

    def __post_init__(self) -> None:
        parameters = {name: _as_distribution(name, value) for name, value in self.parameters.items()}
        if mistakes := [*_name_mistakes(parameters), *graph_mistakes(parameters)]:
            raise SearchSpaceError(mistakes)
        object.__setattr__(self, "parameters", MappingProxyType(parameters))

    def __hash__(self) -> int:
        return hash(frozenset(self.parameters.items()))

    def __reduce__(self) -> tuple[type[SearchSpace], tuple[dict[str, Distribution]]]:
        return SearchSpace, (dict(self.parameters),)  # a mapping proxy cannot be pickled

    @property
    def varied(self) -> tuple[str, ...]:
        """Names of what is drawn, so of what the ledger holds: all but constants."""
        return tuple(name for name, d in self.parameters.items() if not isinstance(d, Constant))

    @property
    def parents(self) -> frozenset[str]:
        """Names that a condition refers to."""
        return frozenset(c.parent for d in self.parameters.values() for c in d.conditions)

    @property
    def size(self) -> int | None:
        """The number of different trials, conditions respected; None where a parameter is a continuum."""
        return count_points(self.parameters)

    def sample(self, trial: TrialLike) -> dict[str, Scalar]:
        """Draw the parameters of a trial: constants are added, those whose condition fails are left out.

        Suggests under the parameters' own names, parents first, so a trial that already has values keeps them.
        """
        drawn: dict[str, Scalar] = {}
        for name in order(self.parameters):
            distribution = self.parameters[name]
            if all(condition.holds(drawn) for condition in distribution.conditions):
                drawn[name] = distribution.suggest(trial, name)
        return drawn

    def complete(self, params: Mapping[str, Any]) -> dict[str, Scalar]:
        """Return what `sample` returned, from the parameters that the ledger holds.

        Raises:
            SearchSpaceError: naming each parameter that is missing, unknown or outside.
        """
        return complete_params(self.parameters, params)

    def check(self, params: Mapping[str, Any]) -> dict[str, Scalar]:
        """Return some or all parameters of a trial as the space writes them; what is not given can still be drawn.

        A conditional parameter asks for its parents: drawn later, they might exclude it.

        Raises:
            SearchSpaceError: naming each parameter that is unknown, outside, or that the others exclude.
        """
        return check_params(self.parameters, params)

    def contains(self, params: Mapping[str, Any]) -> bool:
        """Tell whether `check` accepts the parameters."""
        try:
            check_params(self.parameters, params)
        except SearchSpaceError:
            return False
        return True

    def grid(self) -> dict[str, list[Scalar]]:
        """Return all values of each drawn parameter, as Optuna's GridSampler takes them.

        Raises:
            SearchSpaceError: naming each parameter with a continuum, or with too many values.
        """
        return grid_values(self.parameters)

    def points(self) -> Iterator[dict[str, Scalar]]:
        """Yield the drawn parameters of each of the `size` different trials: a grid that knows of conditions.

        Raises:
            SearchSpaceError: as `grid` does.
        """
        return grid_points(self.parameters)

    def to_mapping(self) -> dict[str, Any]:
        """Write the space as `load_space` reads it; plain values, fit for YAML."""
        return {name: _write(distribution) for name, distribution in self.parameters.items()}


def _as_distribution(name: Any, value: Any) -> Distribution:
    if isinstance(value, Distribution):
        return value
    if is_scalar(plain(value)):
        return Constant(value)
    raise SearchSpaceError.at(str(name), f"must be a distribution or a constant, but got {show(value)}.")


def _name_mistakes(parameters: Mapping[Any, Distribution]) -> Iterator[Mistake]:
    if not 1 <= len(parameters) <= MOST_PARAMETERS:
        yield Mistake("", f"a space must have 1 to {MOST_PARAMETERS} parameters, but has {len(parameters)}.")
    for name in parameters:
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            rule = "a parameter's name must be letters, digits and `_`, beginning with a letter (at most 63)"
            yield Mistake("", f"{rule}, but got {show(name)}.")


def _write(distribution: Distribution) -> Any:
    if isinstance(distribution, Constant) and not distribution.conditions:
        return distribution.value
    written: dict[str, Any] = {"type": distribution.kind}
    for option in distribution.options:
        value = getattr(distribution, option)
        if option not in ("step", "log") or value not in (None, False):
            written[option] = list(value) if option == "values" else value
    return written | ({"when": write_when(distribution.conditions)} if distribution.conditions else {})
