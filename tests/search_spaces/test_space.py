"""SearchSpace: what it draws, checks, counts and writes."""

import pickle

import pytest
from optuna.trial import FixedTrial

from search_spaces import Choice, Constant, Float, Int, SearchSpace, SearchSpaceError

SPACE = SearchSpace(
    {
        "alpha": Choice([16, 32], when={"scaling": "over_rank"}),
        "scaling": Choice(["unit", "over_rank"]),
        "rank": Choice([2, 4, 8]),
        "learning_rate": Float(1e-4, 1e-2, log=True),
        "weight_decay": 0.01,
        "dropout": Constant(0.1, when={"rank": [4, 8]}),
    }
)


def mistakes(call) -> list[str]:
    with pytest.raises(SearchSpaceError) as caught:
        call()
    return str(caught.value).splitlines()


def test_a_conditional_parameter_exists_only_with_its_parents_value():
    drawn = {"scaling": "unit", "rank": 2, "learning_rate": 1e-3}
    assert SPACE.sample(FixedTrial(drawn)) == {**drawn, "weight_decay": 0.01}
    drawn = {"scaling": "over_rank", "rank": 4, "learning_rate": 1e-3, "alpha": 16}
    assert SPACE.sample(FixedTrial(drawn)) == {**drawn, "weight_decay": 0.01, "dropout": 0.1}


def test_the_trial_is_asked_for_each_drawn_parameter_under_its_own_name():
    trial = FixedTrial({"scaling": "over_rank", "rank": 4, "learning_rate": 1e-3, "alpha": 16})
    SPACE.sample(trial)
    assert set(trial.distributions) == set(SPACE.varied) == {"alpha", "scaling", "rank", "learning_rate"}


def test_complete_returns_what_sample_returned():
    drawn = {"scaling": "over_rank", "rank": 4, "learning_rate": 1e-3, "alpha": 16}
    assert SPACE.complete(drawn) == SPACE.sample(FixedTrial(drawn))


def test_complete_names_a_parameter_that_is_missing():
    drawn = {"scaling": "over_rank", "rank": 4, "learning_rate": 1e-3}
    assert mistakes(lambda: SPACE.complete(drawn)) == ["alpha: is missing; it must be one of 16, 32."]


def test_check_names_every_parameter_outside():
    outside = {"rank": 3, "learning_rate": 1.0, "weight_decay": 0.02, "ranc": 2, "scaling": True}
    assert mistakes(lambda: SPACE.check(outside)) == [
        "rank: must be one of 2, 4, 8, but got 3.",
        "learning_rate: must be a number from 0.0001 to 0.01, but got 1.0.",
        "weight_decay: must be 0.01, but got 0.02.",
        "ranc: Unknown parameter. Did you mean `rank`? "
        "Choose from: alpha, scaling, rank, learning_rate, weight_decay, dropout.",
        "scaling: must be one of unit, over_rank, but got True.",
    ]
    assert not SPACE.contains(outside)


def test_check_writes_values_as_the_space_does():
    assert SPACE.check({"learning_rate": "1e-3", "rank": 4.0}) == {"learning_rate": 1e-3, "rank": 4}
    assert SPACE.contains({"learning_rate": "1e-3"})


def test_a_conditional_parameter_cannot_be_asked_for_without_its_parent():
    """The parent would be drawn, might exclude it, and the wish would be lost in silence."""
    assert mistakes(lambda: SPACE.check({"alpha": 16})) == [
        "alpha: exists only when `scaling` is over_rank, but it is not given."
    ]
    assert mistakes(lambda: SPACE.check({"alpha": 16, "scaling": "unit"})) == [
        "alpha: exists only when `scaling` is over_rank, but `scaling` is 'unit'."
    ]


@pytest.mark.parametrize("name", ["", "a b", "1a", "a.b", "순위", "a" * 64, 3, None])
def test_names_must_be_words(name):
    assert "a parameter's name must be letters, digits and `_`" in mistakes(lambda: SearchSpace({name: 1}))[0]


@pytest.mark.parametrize("count", [0, 65])
def test_a_space_has_a_bounded_number_of_parameters(count):
    space = {f"p{i}": 1 for i in range(count)}
    assert mistakes(lambda: SearchSpace(space)) == [f"a space must have 1 to 64 parameters, but has {count}."]


def test_a_space_cannot_be_changed():
    with pytest.raises(TypeError):
        SPACE.parameters["rank"] = Choice([1])


def test_a_space_survives_pickling_and_is_a_key():
    copy = pickle.loads(pickle.dumps(SPACE))
    assert copy == SPACE
    assert {SPACE: 1}[copy] == 1


def test_errors_survive_pickling():
    with pytest.raises(SearchSpaceError) as caught:
        SPACE.check({"rank": 3})
    copy = pickle.loads(pickle.dumps(caught.value))
    assert (type(copy), str(copy), copy.mistakes) == (SearchSpaceError, str(caught.value), caught.value.mistakes)


def test_to_mapping_writes_no_defaults():
    assert SPACE.to_mapping() == {
        "alpha": {"type": "choice", "values": [16, 32], "when": {"scaling": "over_rank"}},
        "scaling": {"type": "choice", "values": ["unit", "over_rank"]},
        "rank": {"type": "choice", "values": [2, 4, 8]},
        "learning_rate": {"type": "float", "low": 1e-4, "high": 1e-2, "log": True},
        "weight_decay": 0.01,
        "dropout": {"type": "constant", "value": 0.1, "when": {"rank": [4, 8]}},
    }


def test_to_mapping_keeps_a_zero_end_and_a_null_constant():
    space = SearchSpace({"dropout": Float(0, 0.5, step=0.1), "clip_norm": Constant(None), "epochs": Int(0, 4, step=2)})
    assert space.to_mapping() == {
        "dropout": {"type": "float", "low": 0.0, "high": 0.5, "step": 0.1},
        "clip_norm": None,
        "epochs": {"type": "int", "low": 0, "high": 4, "step": 2},
    }
