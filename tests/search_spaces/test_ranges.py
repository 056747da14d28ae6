"""Int and Float: ends, steps and log scales that can be, and those that cannot."""

import math

import numpy as np
import pytest

from search_spaces import Float, Int, SearchSpaceError


def mistakes(build) -> list[str]:
    with pytest.raises(SearchSpaceError) as caught:
        build()
    return str(caught.value).splitlines()


def test_low_must_be_below_high():
    assert mistakes(lambda: Float(0.01, 1e-3)) == ["low: `low < high` must hold, but got low=0.01 and high=0.001."]


def test_equal_ends_are_a_constant_in_disguise():
    assert mistakes(lambda: Int(3, 3)) == [
        "low: `low < high` must hold, but got low=3 and high=3. Give a bare value for a constant."
    ]


def test_a_log_scale_needs_positive_ends():
    assert mistakes(lambda: Float(0, 1, log=True)) == ["low: must be positive where `log` is true, but got 0."]
    assert mistakes(lambda: Int(-1, 8, log=True)) == ["low: must be positive where `log` is true, but got -1."]


def test_step_and_log_exclude_each_other():
    assert mistakes(lambda: Int(1, 9, step=2, log=True)) == [
        "step: `step` and `log` exclude each other, but got step=2; keep one of them."
    ]


@pytest.mark.parametrize("step", [0, -1, 3, 100])
def test_a_step_must_divide_the_range(step):
    assert mistakes(lambda: Int(0, 8, step=step))[0].startswith("step: must be positive and divide `high - low`")


def test_a_step_of_a_tenth_divides_decimals_exactly():
    """In doubles, 0.3 % 0.1 is 0.09999…; in decimals it is 0."""
    assert Float(0.0, 0.3, step=0.1).grid() == (0.0, 0.1, 0.2, 0.3)
    assert Float(0.0, 0.3, step=0.1).count() == 4


def test_a_step_too_fine_to_count_is_refused_without_a_crash():
    assert mistakes(lambda: Float(0.0, 1e90, step=1e-90))[0].startswith("step: ")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), "a", None, True, [1], 1e101, "1e999"])
def test_ends_must_be_finite_numbers(value):
    assert mistakes(lambda: Float(value, 1))[0].startswith("low: must be a finite number of at most 1e+100, but got ")


@pytest.mark.parametrize("value", [1.0, 1.5, "1", True, None, float("nan")])
def test_ends_of_an_int_must_be_whole(value):
    assert mistakes(lambda: Int(value, 8))[0].startswith("low: must be a whole number, but got ")


def test_ends_of_an_int_must_fit_the_samplers():
    assert mistakes(lambda: Int(1, 10**400))[0].startswith(f"high: must be from -{2**53} to {2**53}, but got ")


def test_log_must_be_true_or_false():
    assert mistakes(lambda: Float(1, 2, log="yes")) == ["log: must be true or false, but got 'yes'."]


def test_numbers_written_with_an_exponent_are_numbers():
    space = Float("3e-4", "3e-2", log=True)
    assert (space.low, space.high) == (3e-4, 3e-2)
    assert Float(np.float64(0.5), np.int64(2)).high == 2.0


def test_a_step_of_one_is_the_default_of_an_int():
    assert Int(1, 3, step=1) == Int(1, 3)


def test_find_gives_the_value_in_the_type_of_the_distribution():
    assert Float(0, 2).find(1) == (1.0,)
    assert isinstance(Float(0, 2).find(1)[0], float)
    assert Int(0, 2).find(1.0) == ()
    assert Int(0, 2).find(True) == ()


def test_find_respects_ends_and_steps():
    assert Int(1, 9, step=2).find(9) == (9,)
    assert Int(1, 9, step=2).find(4) == ()
    assert Float(0, 0.3, step=0.1).find(0.1 + 0.2) == ()  # 0.30000000000000004 lies above 0.3
    assert Float(0, 0.4, step=0.1).find(0.1 + 0.2) == (0.1 + 0.2,)
    assert Float(0, 1).find(math.nextafter(1, 2)) == ()
    assert Float(0, 1).find("1e-1") == (0.1,)


def test_counts_are_those_of_the_grid():
    assert Int(1, 9, step=2).count() == len(Int(1, 9, step=2).grid()) == 5
    assert Int(1, 4, log=True).grid() == (1, 2, 3, 4)
    assert Float(0, 1).count() is None
    assert Float(0, 1).grid() == ()


def test_an_end_and_its_step_are_both_told():
    lines = mistakes(lambda: Float("low", None, step=True, log=1))
    assert [line.partition(":")[0] for line in lines] == ["low", "high", "step", "log"]
