"""Choice and Constant: what they accept, what they say when they do not."""

import numpy as np
import pytest
from optuna.trial import FixedTrial

from search_spaces import Choice, Condition, Constant, SearchSpaceError


def mistakes(build) -> list[str]:
    with pytest.raises(SearchSpaceError) as caught:
        build()
    return str(caught.value).splitlines()


def test_a_choice_keeps_the_order_and_the_types_of_its_values():
    choice = Choice([2, 0.5, "cosine", True, None])
    assert choice.grid() == (2, 0.5, "cosine", True, None)
    assert [type(value) for value in choice.grid()] == [int, float, str, bool, type(None)]


def test_numbers_that_yaml_1_1_reads_as_text_are_numbers():
    assert Choice(["1e-4", "2.5E+3", ".5e1"]).grid() == (1e-4, 2500.0, 5.0)
    assert Constant("1e-4").value == 1e-4


def test_words_that_only_begin_like_numbers_stay_text():
    assert Choice(["1e-4x", "e5", "1_000", "0x1e5"]).grid() == ("1e-4x", "e5", "1_000", "0x1e5")


def test_numpy_numbers_become_plain_ones():
    choice = Choice([np.int64(2), np.float32(0.5)])
    assert [type(value) for value in choice.grid()] == [int, float]


def test_values_that_python_takes_for_equal_are_refused():
    """The ledger stores a choice by its place, found with ==: of [1, true] only the first would ever come back."""
    assert mistakes(lambda: Choice([1, True])) == [
        "values.1: must differ from the values before it, but got True again."
    ]
    assert mistakes(lambda: Choice([2, 4, 2.0])) == [
        "values.2: must differ from the values before it, but got 2.0 again."
    ]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), [1], {"a": 1}, "two\nlines", 2**60, b"bytes", 1e200])
def test_values_that_a_ledger_cannot_hold_are_refused(value):
    assert mistakes(lambda: Choice([1, value]))[0].startswith("values.1: must be text on one line, a finite number, ")
    assert mistakes(lambda: Constant(value))[0].startswith("value: must be text on one line, a finite number, ")


@pytest.mark.parametrize("values", ["abc", 3, None, {"a": 1}])
def test_values_that_are_no_list_are_refused(values):
    assert mistakes(lambda: Choice(values))[0].startswith("values: must be a list such as [2, 4, 8], but got ")


def test_an_empty_choice_is_refused():
    assert mistakes(lambda: Choice([])) == ["values: must list at least one value, but the list is empty."]


def test_find_tells_one_from_true_but_not_from_one_point_zero():
    assert Choice([1, 2]).find(1.0) == (1,)
    assert Choice([1, 2]).find(True) == ()
    assert Constant(True).find(1) == ()


def test_a_constant_asks_the_trial_nothing():
    assert Constant(3).suggest(FixedTrial({}), "rank") == 3


def test_conditions_are_read_from_a_mapping_and_kept_as_values():
    assert Choice([1], when={"scaling": "unit", "rank": [2, 4]}).conditions == (
        Condition("scaling", ("unit",)),
        Condition("rank", (2, 4)),
    )


@pytest.mark.parametrize("when", ["scaling", 3, ["scaling"], {}, None])
def test_when_must_be_a_mapping(when):
    assert mistakes(lambda: Constant(1, when=when))[0].startswith("when: must name a parameter and its value, such as ")


@pytest.mark.parametrize("value", [[], {"a": 1}, [float("nan")], [[1]]])
def test_when_must_name_values(value):
    assert mistakes(lambda: Constant(1, when={"scaling": value}))[0].startswith(
        "when.scaling: must be text on one line"
    )


def test_all_mistakes_of_a_distribution_are_told_together():
    assert [line.partition(":")[0] for line in mistakes(lambda: Choice([[], {}], when={"a": []}))] == [
        "values.0",
        "values.1",
        "when.a",
    ]
