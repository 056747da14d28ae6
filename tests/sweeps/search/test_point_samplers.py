"""Samplers that draw a whole point: no trial is a repetition while there is anything else to try."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import optuna
import pytest

from search_spaces import SearchSpace, load_space
from sweeps.search.methods import build_sampler
from sweeps.settings import SamplerKind

CONDITIONAL = {
    "rank": {"type": "choice", "values": [2, 4, 8, 16]},
    "epochs": {"type": "int", "low": 1, "high": 3},
    "scaling": {"type": "choice", "values": ["unit", "alpha_over_rank"]},
    "alpha": {"type": "choice", "values": [16, 32], "when": {"scaling": "alpha_over_rank"}},
    "batch_size": 8,
}  # 36 points


def study_of(space: SearchSpace, kind: SamplerKind = "tpe", seed: int = 0, trials: int = 36) -> optuna.Study:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna.create_study(sampler=build_sampler(kind, space, seed=seed, trials=trials))


def go_on(study: optuna.Study, space: SearchSpace, trials: int) -> list[dict[str, Any]]:
    """Complete some trials, the larger the rank the better; the points of all trials so far."""
    for _ in range(trials):
        trial = study.ask()
        study.tell(trial, 1 / space.sample(trial)["rank"])
    return [trial.params for trial in study.get_trials()]


class KilledError(Exception):
    """The driver is gone."""


class Killed:
    """A trial whose driver is killed after it has stored some parameters."""

    def __init__(self, trial: optuna.Trial, stored: int) -> None:
        self._trial, self._left = trial, stored

    def __getattr__(self, name: str) -> Any:
        if not self._left:
            raise KilledError
        self._left -= 1
        return getattr(self._trial, name)


def repeated(points: list[dict[str, Any]]) -> int:
    return sum(count - 1 for count in Counter(frozenset(point.items()) for point in points).values())


@pytest.mark.parametrize("kind", ["tpe", "random"])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_every_point_of_a_small_space_is_tried_before_any_is_repeated(kind: SamplerKind, seed: int) -> None:
    space = load_space(CONDITIONAL)
    study = study_of(space, kind, seed)
    points = go_on(study, space, 36)
    assert space.size == 36
    assert {frozenset(p.items()) for p in points} == {frozenset(p.items()) for p in space.points()}
    assert repeated(go_on(study, space, 4)) == 4  # nothing is left: trials are repeated, none is refused


def test_trials_under_way_and_pruned_ones_are_not_repeated_either() -> None:
    space = load_space(CONDITIONAL)
    study = study_of(space)
    for number in range(36):
        trial = study.ask()
        space.sample(trial)
        if number % 2:
            study.tell(trial, state=optuna.trial.TrialState.PRUNED)
    assert repeated([trial.params for trial in study.get_trials()]) == 0


def test_a_sampler_that_insists_is_heard_before_the_rest_is_drawn() -> None:
    """TPE goes on around the best point; it is not replaced by chance as soon as it repeats itself."""
    space = load_space({"rank": {"type": "int", "low": 1, "high": 200}, "epochs": {"type": "choice", "values": [1]}})
    ranks = [point["rank"] for point in go_on(study_of(space, trials=60), space, 60)]
    assert len(set(ranks)) == 60
    assert sum(rank > 150 for rank in ranks[-30:]) > 15  # at random it would be 7.5


def test_given_parameters_stay_and_the_others_are_new() -> None:
    space = load_space(CONDITIONAL)
    study = study_of(space)
    for _ in range(10):  # there are nine points of this rank
        study.enqueue_trial({"rank": 4})
    points = go_on(study, space, 10)
    assert {point["rank"] for point in points} == {4}
    assert repeated(points[:9]) == 0
    assert repeated(points) == 1


def test_a_trial_that_is_wholly_given_may_repeat_another() -> None:
    """A retry, or a clone: somebody wants it."""
    space = load_space(CONDITIONAL)
    study = study_of(space)
    point = {"rank": 4, "epochs": 2, "scaling": "unit"}
    for _ in range(2):
        study.enqueue_trial(point)
    assert go_on(study, space, 2) == [point, point]


@pytest.mark.parametrize("kind", ["tpe", "random", "grid"])
@pytest.mark.parametrize("number", [2, 11, 30])  # by chance, by a model, and after draws of what the sweep has had
@pytest.mark.parametrize("stored", [0, 1, 2])
def test_of_a_trial_that_a_killed_driver_had_begun_to_store_the_rest_is_of_the_same_point(
    kind: SamplerKind, number: int, stored: int
) -> None:
    space = load_space(CONDITIONAL)
    whole = go_on(study_of(space, kind), space, number + 1)
    study = study_of(space, kind)
    assert go_on(study, space, number) == whole[:number]
    cut_off = study.ask()
    with pytest.raises(KilledError):
        space.sample(Killed(cut_off, stored))
    go_on(study, space, 1)  # what is learned meanwhile is for others
    study.sampler = build_sampler(kind, space, seed=0, trials=36)
    again = optuna.Trial(study, cut_off._trial_id)
    assert {k: v for k, v in space.sample(again).items() if k != "batch_size"} == whole[number]
    assert again.params == whole[number]


@pytest.mark.parametrize(
    "rank", [{"type": "float", "low": 1.0, "high": 64.0, "log": True}, {"type": "int", "low": 1, "high": 1_000_000}]
)
def test_where_nothing_repeats_a_trial_is_the_samplers_first_draw(rank: dict[str, Any]) -> None:
    """A continuum, and a space that is too large to be listed."""
    space = load_space({"rank": rank})
    points = go_on(study_of(space, "random"), space, 12)
    for number, point in enumerate(points):
        seed = int(np.random.SeedSequence([0, number]).generate_state(1)[0])
        drawn = space.sample(optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=seed)).ask())
        assert point == drawn
    assert repeated(points) == 0


@pytest.mark.parametrize("seed", range(4))
def test_a_grid_completes_what_was_given_and_tries_each_point_once(seed: int) -> None:
    """Conditions included: a trial that was given its `scaling` has the parameters of that one, and no others."""
    space = load_space(CONDITIONAL)
    study = study_of(space, "grid", seed)
    enqueued = [
        {"scaling": "unit"},
        {"scaling": "alpha_over_rank"},
        {"scaling": "alpha_over_rank", "alpha": 32},
        {"rank": 4},
        {"rank": 4},
        {"rank": 8, "epochs": 2, "scaling": "unit"},
        {},
    ]
    for params in enqueued:
        study.enqueue_trial(params)
    points = go_on(study, space, 36)
    assert all(given.items() <= point.items() for given, point in zip(enqueued, points, strict=False))
    assert {frozenset(p.items()) for p in points} == {frozenset(p.items()) for p in space.points()}
    study.enqueue_trial({"scaling": "unit"})
    assert repeated(go_on(study, space, 4)) == 4  # nothing is left: trials are repeated, none is refused


def test_a_grid_keeps_a_value_that_lies_beside_its_own() -> None:
    """A rounding error is inside the space, though in no list."""
    space = load_space({**CONDITIONAL, "dropout": {"type": "float", "low": 0.0, "high": 0.6, "step": 0.1}})
    given = {"dropout": 0.1 + 0.2, "scaling": "alpha_over_rank"}
    assert space.check(given) == given
    study = study_of(space, "grid")
    study.enqueue_trial(given)
    point = go_on(study, space, 1)[0]
    assert given.items() <= point.items()
    assert set(point) == {"rank", "epochs", "scaling", "alpha", "dropout"}
