"""The samplers and pruners a sweep may choose."""

from __future__ import annotations

import itertools
import random
import warnings
from typing import TYPE_CHECKING, Any

from optuna.pruners import BasePruner, MedianPruner, NopPruner
from optuna.samplers import BaseSampler, RandomSampler, TPESampler

from search_spaces.grid import MOST_GRID_POINTS
from sweeps.errors import LedgerError
from sweeps.search.halving import HalvingPruner
from sweeps.search.point_samplers import ListSampler, NewPointSampler
from sweeps.settings import PrunerSettings, SamplerKind

if TYPE_CHECKING:
    from search_spaces import SearchSpace

CANDIDATES = 24  # Optuna's own number


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


def build_sampler(kind: SamplerKind, space: SearchSpace, *, seed: int, trials: int) -> BaseSampler:
    """Build the sampler of a sweep of `trials` trials."""
    if kind == "random":
        return NewPointSampler(lambda s, draw: RandomSampler(seed=s), seed, space)
    if kind == "tpe":
        return NewPointSampler(lambda s, draw: _tpe(s, trials, draw), seed, space)
    if kind == "grid":
        return ListSampler(shuffled_points(space, seed))
    raise LedgerError(f"Unknown sampler {kind!r}. Choose from: tpe, random, grid.")


def _tpe(seed: int, trials: int, draw: int) -> TPESampler:
    """Parameters are modelled together, since a good rate depends on the rank; conditional ones in groups.

    Trials before the first guess: a third of a short sweep, Optuna's usual 10 of a long one. Of some candidates TPE
    takes the best, so from many it is the same one over and over: each further draw of a trial has half as many.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Optuna marks some arguments as experimental
        return TPESampler(
            n_startup_trials=min(10, max(4, trials // 3)),
            n_ei_candidates=max(1, CANDIDATES >> draw),
            multivariate=True,
            group=True,
            constant_liar=True,
            seed=seed,
        )


def shuffled_points(space: SearchSpace, seed: int) -> list[dict[str, Any]]:
    """All points in an order of the seed's: a sweep that is stopped early has then seen all of the space."""
    points: list[dict[str, Any]] = list(itertools.islice(space.points(), MOST_GRID_POINTS + 1))
    if len(points) > MOST_GRID_POINTS:
        raise LedgerError(
            f"A grid has at most {MOST_GRID_POINTS} points, but this search space has more. "
            "Choose the sampler tpe or random, or give fewer values."
        )
    random.Random(seed).shuffle(points)  # noqa: S311 - an order, not a secret
    return points
