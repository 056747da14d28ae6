"""A space as a grid: counted and listed, conditions respected."""

import pytest

from search_spaces import Choice, Constant, Float, Int, SearchSpace, SearchSpaceError


def test_the_grid_lists_the_values_of_what_is_drawn():
    space = SearchSpace({"rank": Choice([2, 4]), "epochs": Int(1, 3), "dropout": Float(0, 0.2, step=0.1), "scale": 2})
    assert space.grid() == {"rank": [2, 4], "epochs": [1, 2, 3], "dropout": [0.0, 0.1, 0.2]}
    assert space.size == len(list(space.points())) == 18


def test_a_continuum_has_no_grid_and_says_which_parameter_it_is():
    space = SearchSpace({"rank": Choice([2, 4]), "learning_rate": Float(1e-4, 1e-2, log=True)})
    assert space.size is None
    with pytest.raises(SearchSpaceError, match=r"^learning_rate: a grid needs countable values; give `step`"):
        space.grid()
    with pytest.raises(SearchSpaceError, match="learning_rate"):
        space.points()


def test_a_parameter_with_too_many_values_has_no_grid():
    space = SearchSpace({"seed": Int(0, 2**40)})
    assert space.size == 2**40 + 1
    with pytest.raises(SearchSpaceError, match=r"^seed: a grid takes at most 10000 values of a parameter, but got"):
        space.grid()


def test_points_know_of_conditions():
    """unit: 2 ranks; over_rank: 2 ranks × 2 alphas; 6 different trials, where all values combined would be 8."""
    space = SearchSpace(
        {
            "alpha": Choice([16, 32], when={"scaling": "over_rank"}),
            "scaling": Choice(["unit", "over_rank"]),
            "rank": Choice([2, 4]),
        }
    )
    points = list(space.points())
    assert space.size == len(points) == 6
    assert {"scaling": "unit", "rank": 2} in points
    assert {"scaling": "over_rank", "rank": 4, "alpha": 32} in points


def test_values_that_no_condition_names_are_counted_at_once():
    """epochs 1: 3 choices; the other 10**9 - 1 values: none. Counting them one by one would take minutes."""
    space = SearchSpace({"epochs": Int(1, 10**9), "rank": Choice([1, 2, 3], when={"epochs": 1})})
    assert space.size == 3 + 10**9 - 1


def test_a_condition_on_a_constant_counts():
    space = SearchSpace({"scaling": Constant("unit"), "rank": Choice([1, 2], when={"scaling": "unit"})})
    assert space.size == 2
    assert list(space.points()) == [{"rank": 1}, {"rank": 2}]
