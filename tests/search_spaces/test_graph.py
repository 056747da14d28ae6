"""Conditions between parameters: impossible ones are told, with the choices."""

import pytest

from search_spaces import Choice, Constant, Float, Int, SearchSpace, SearchSpaceError


def message(**parameters) -> str:
    with pytest.raises(SearchSpaceError) as caught:
        SearchSpace(parameters)
    return str(caught.value)


def test_a_condition_on_nothing_names_the_parameters_that_there_are():
    text = message(rank=Choice([2, 4]), scaling=Choice(["a"]), alpha=Choice([8], when={"scalin": "a"}))
    assert text == "alpha.when.scalin: Unknown parameter. Did you mean `scaling`? Choose from: rank, scaling."


def test_a_value_that_never_occurs_is_told_with_the_choices():
    text = message(scaling=Choice(["unit", "over_rank"]), alpha=Choice([8], when={"scaling": "over_rnak"}))
    assert text == "alpha.when.scaling: `scaling` can never be 'over_rnak'; it must be one of unit, over_rank."


def test_a_condition_on_a_range_asks_for_a_value_inside():
    text = message(epochs=Int(1, 3), alpha=Choice([8], when={"epochs": [3, 4]}))
    assert text == "alpha.when.epochs: `epochs` can never be 4; it must be a whole number from 1 to 3."


def test_a_float_decides_nothing():
    text = message(dropout=Float(0, 1, step=0.5), alpha=Choice([8], when={"dropout": 0.5}))
    assert text == "alpha.when.dropout: must name a choice, an int or a constant, but this is a float."


def test_true_is_not_one():
    assert "can never be True" in message(rank=Choice([1, 2]), alpha=Choice([8], when={"rank": True}))


def test_a_parameter_that_waits_for_itself_is_a_cycle():
    assert "a → a" in message(a=Choice([1], when={"a": 1}))


def test_a_longer_cycle_is_drawn():
    text = message(
        a=Choice([1], when={"b": 1}), b=Choice([1], when={"c": 1}), c=Choice([1], when={"a": 1}), d=Constant(1)
    )
    assert text == "a.when: conditions must not form a cycle, but got a → b → c → a."


def test_conditions_that_exclude_each_other_are_told():
    text = message(
        scaling=Choice(["x", "y"]), a=Choice([1], when={"scaling": "x"}), b=Choice([1], when={"a": 1, "scaling": "y"})
    )
    assert text == "b.when: can never hold: it and its parents ask for different values of `scaling`."


def test_a_parent_may_be_defined_after_its_child():
    space = SearchSpace({"alpha": Choice([8], when={"scaling": "x"}), "scaling": Choice(["x", "y"])})
    assert space.size == 2


def test_too_many_deciding_parameters_are_refused():
    parents = {f"p{i}": Choice([0, 1]) for i in range(9)}
    children = {f"c{i}": Choice([1], when={f"p{i}": 1}) for i in range(9)}
    assert message(**parents, **children) == "conditions must name at most 8 parameters, but name 9."
