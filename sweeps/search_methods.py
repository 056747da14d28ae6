"""The samplers and pruners a sweep may choose, built so that a trial's parameters follow from the ledger alone."""

from __future__ import annotations

import itertools
import random
import warnings
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from optuna.pruners import BasePruner, MedianPruner, NopPruner
from optuna.samplers import BaseSampler, RandomSampler, TPESampler

from sweeps.errors import LedgerError
from sweeps.halving import HalvingPruner
from sweeps.settings import PrunerSettings, SamplerKind

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.study import Study
    from optuna.trial import FrozenTrial, TrialState

    from search_spaces import SearchSpace

MAX_GRID_POINTS = 10_000


def build_pruner(settings: PrunerSettings) -> BasePruner:
    """Build the pruner; its state is in the ledger, so a new one goes on where another stopped."""
    if settings.kind == "successive_halving":
        return HalvingPruner(min_evaluations=settings.min_evaluations, reduction_factor=settings.reduction_factor)
    if settings.kind == "median":
        # A median trial may be pruned from step `n_warmup_steps` on, and steps are evaluations, counted from 1.
        return MedianPruner(n_startup_trials=settings.warmup_trials, n_warmup_steps=settings.min_evaluations)
    if settings.kind == "none":
        return NopPruner()
    raise LedgerError(f"Unknown pruner {settings.kind!r}. Choose from: successive_halving, median, none.")


def build_sampler(
    kind: SamplerKind, *, seed: int, trials: int, grid: Sequence[dict[str, Any]] | None = None
) -> BaseSampler:
    """Build the sampler of a sweep of `trials` trials; `grid` holds the points of the kind `grid`."""
    if kind == "random":
        return PerTrialSampler(lambda s: RandomSampler(seed=s), seed)
    if kind == "tpe":
        return PerTrialSampler(lambda s: _tpe(s, trials), seed)
    if kind == "grid" and grid is not None:
        return PointsSampler(grid)
    raise LedgerError(f"Unknown sampler {kind!r}. Choose from: tpe, random, grid.")


def _tpe(seed: int, trials: int) -> TPESampler:
    """Parameters are modelled together, since a good rate depends on the rank; conditional ones in groups.

    Trials before the first guess: a third of a short sweep, Optuna's usual 10 of a long one.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Optuna marks some arguments as experimental
        return TPESampler(
            n_startup_trials=min(10, max(4, trials // 3)), multivariate=True, group=True, constant_liar=True, seed=seed
        )


class PerTrialSampler(BaseSampler):
    """Gives every trial a fresh sampler, seeded by the sweep's seed and the trial's number.

    A sampler that is seeded once starts over when a sweep is resumed, and draws the first trials again. This one
    has no state: what a trial gets is a function of its number and of the history in the ledger.
    """

    def __init__(self, build: Callable[[int], BaseSampler], seed: int) -> None:
        self._build = build
        self._seed = seed
        self._inner = build(seed)

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        """Seed for this trial; Optuna calls it before the trial's first parameter."""
        words = np.random.SeedSequence([self._seed, trial.number]).generate_state(1)
        self._inner = self._build(int(words[0]))
        self._inner.before_trial(study, trial)

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """Ask the trial's sampler."""
        return self._inner.infer_relative_search_space(study, trial)

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Ask the trial's sampler."""
        return self._inner.sample_relative(study, trial, search_space)

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """Ask the trial's sampler."""
        return self._inner.sample_independent(study, trial, param_name, param_distribution)

    def after_trial(self, study: Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None) -> None:
        """Tell the sampler at hand; those in use here learn from the ledger, not from this call."""
        self._inner.after_trial(study, trial, state, values)


class PointsSampler(BaseSampler):
    """Walks a list of points: trial number → point, not counting trials whose parameters were enqueued."""

    def __init__(self, points: Sequence[dict[str, Any]]) -> None:
        self._points = points

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """Nothing is sampled jointly."""
        return {}

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Nothing is sampled jointly."""
        return {}

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """Look the parameter up in the trial's point."""
        before = study.get_trials(deepcopy=False)[: trial.number]
        index = sum("fixed_params" not in t.system_attrs for t in before)
        return self._points[index % len(self._points)][param_name]


def shuffled_points(space: SearchSpace, seed: int) -> list[dict[str, Any]]:
    """All points in an order of the seed's: a sweep that is stopped early has then seen all of the space."""
    points: list[dict[str, Any]] = list(itertools.islice(space.points(), MAX_GRID_POINTS + 1))
    if len(points) > MAX_GRID_POINTS:
        raise LedgerError(
            f"A grid has at most {MAX_GRID_POINTS} points, but this search space has more. "
            "Choose the sampler tpe or random, or give fewer values."
        )
    random.Random(seed).shuffle(points)  # noqa: S311 - an order, not a secret
    return points
