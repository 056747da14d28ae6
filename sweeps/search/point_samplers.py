"""Optuna samplers that draw a trial's whole point at once, as a function of its number and of the ledger alone.

A sampler that is seeded once starts over when a sweep is resumed, and draws the first trials again. One that is asked
parameter by parameter cannot know that it is about to repeat a trial, and TPE, once it is sure of itself, repeats the
best: in a space of a hundred points every seventh trial of fifty. It would train to the same loss.
"""

from __future__ import annotations

import random
from abc import abstractmethod
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.samplers import BaseSampler

from search_spaces.grid import MOST_GRID_POINTS

if TYPE_CHECKING:
    from optuna.study import Study
    from optuna.trial import FrozenTrial

    from search_spaces import SearchSpace

Point = Mapping[str, Any]

DRAWS = 10  # that a sampler gets to come up with something new
POINT = "sweeps:point"  # what was drawn for a trial, in one piece


class PointSampler(BaseSampler):
    """Draws the point of a trial before its first parameter is asked for, and stores it.

    Optuna stores one parameter after the other. A driver that is killed between two leaves a part, to which a sampler,
    asked again, would draw a rest of another point.
    """

    _point: Point

    @abstractmethod
    def point(self, study: Study, trial: FrozenTrial) -> Point:
        """Draw the parameters of a trial, those that it was given included."""

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        """Draw, unless it was drawn before; Optuna calls it before the trial's first parameter."""
        drawn: Point | None = trial.system_attrs.get(POINT)
        if drawn is None:
            drawn = self.point(study, trial)
            # As Optuna's own samplers do: it offers others no way to keep something with a trial.
            study._storage.set_trial_system_attr(trial._trial_id, POINT, drawn)
        self._point = drawn

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """Leave nothing to be drawn here: all of it was."""
        return {}

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Leave nothing to be drawn here: all of it was."""
        return {}

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """Look the parameter up in the trial's point."""
        return self._point[param_name]


class ListSampler(PointSampler):
    """Walks a list of points: a trial takes the first of those that the fewest others have had.

    Of a trial that was given some parameters these are points that have them. A value that lies beside the listed ones,
    as 0.3 written with a rounding error does, stays as it is, and the rest is of a point with the other values.
    """

    def __init__(self, points: Sequence[Point]) -> None:
        self._points = points

    def point(self, study: Study, trial: FrozenTrial) -> Point:
        """Return the next one of the list."""
        given, had = _given(trial), _had(study, trial)
        fitting = min(self._points, key=lambda p: (len(given.items() - p.items()), had[frozenset(p.items())]))
        return {**fitting, **given}


class NewPointSampler(PointSampler):
    """Lets a fresh sampler draw each trial, and draw again a point that the sweep has had.

    Where a sampler insists, one of the points that are left is drawn at random; only when none is left, or the space
    has too many to be listed, is a trial repeated.

    Args:
        build: makes a sampler of a seed, for a trial's draw of this number, from 0; the later, the less it may insist.
        seed: of the sweep.
        space: that is searched.
    """

    def __init__(self, build: Callable[[int, int], BaseSampler], seed: int, space: SearchSpace) -> None:
        self._build = build
        self._seed = seed
        self._space = space

    def point(self, study: Study, trial: FrozenTrial) -> Point:
        """Draw a point that no other trial has."""
        given, had = _given(trial), _had(study, trial)
        for number in range(DRAWS):
            drawn = self._draw(study, trial, given, number)
            if frozenset(drawn.items()) not in had or drawn == given:
                return drawn
        fitting = (point for point in self._listed() if given.items() <= point.items())
        left = [point for point in fitting if frozenset(point.items()) not in had]
        return random.Random(self._seed_of(trial, DRAWS)).choice(left) if left else drawn  # noqa: S311 - no secret

    def _draw(self, study: Study, trial: FrozenTrial, given: Point, number: int) -> Point:
        draw = _Draw(self._build(self._seed_of(trial, number), number), study, trial, given)
        self._space.sample(draw)
        return draw.params

    def _seed_of(self, trial: FrozenTrial, draw: int) -> int:
        entropy = [self._seed, trial.number, draw] if draw else [self._seed, trial.number]
        return int(np.random.SeedSequence(entropy).generate_state(1)[0])

    def _listed(self) -> list[dict[str, Any]]:
        size = self._space.size
        return list(self._space.points()) if size is not None and size <= MOST_GRID_POINTS else []


def _given(trial: FrozenTrial) -> dict[str, Any]:
    """Return what a trial was enqueued with."""
    return dict(trial.system_attrs.get("fixed_params", {}))


def _had(study: Study, trial: FrozenTrial) -> Counter[frozenset[tuple[str, Any]]]:
    """Count the points of the other trials."""
    others = (other for other in study.get_trials(deepcopy=False) if other.number != trial.number)
    return Counter(frozenset(other.params.items()) for other in others)


class _Draw:
    """What a space draws from: one trial of one sampler, of which nothing is stored."""

    def __init__(self, sampler: BaseSampler, study: Study, trial: FrozenTrial, given: Point) -> None:
        self.params: dict[str, Any] = {}
        self._sampler, self._study, self._trial, self._given = sampler, study, trial, given
        sampler.before_trial(study, trial)
        together = sampler.infer_relative_search_space(study, trial)
        self._together = sampler.sample_relative(study, trial, together)

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        return self._suggest(name, CategoricalDistribution(choices))

    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1, log: bool = False) -> int:
        return int(self._suggest(name, IntDistribution(low, high, log=log, step=step)))

    def suggest_float(
        self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False
    ) -> float:
        return float(self._suggest(name, FloatDistribution(low, high, log=log, step=step)))

    def _suggest(self, name: str, distribution: BaseDistribution) -> Any:
        for known in (self._given, self._together):
            if name in known:
                self.params[name] = known[name]
                return known[name]
        self.params[name] = self._sampler.sample_independent(self._study, self._trial, name, distribution)
        return self.params[name]
