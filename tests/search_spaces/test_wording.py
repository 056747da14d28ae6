"""Values and choices in messages: short, on one line, whatever they are."""

import pytest

from search_spaces.wording import choices, did_you_mean, show, unknown_key


def test_a_long_value_is_cut():
    assert len(show("a" * 1000)) == 80


@pytest.mark.parametrize("value", ["two\nlines", "\ud800", b"\0", "\x1b[31m", [[]], object()])
def test_any_value_is_shown_on_one_printable_line(value):
    assert show(value).isprintable()


def test_a_number_of_more_digits_than_python_prints_is_shown():
    assert show(10**5000) == "<int>"


def test_endless_nesting_is_shown():
    endless: list[object] = []
    for _ in range(100_000):
        endless = [endless]
    assert show(endless)


def test_a_guess_keeps_the_spelling_of_the_choice():
    assert did_you_mean("LEARNING_RATES", ["learning_rate", "Rank"]) == " Did you mean `learning_rate`?"
    assert did_you_mean("rank", ["Rank"]) == " Did you mean `Rank`?"
    assert did_you_mean("nothing", ["rank"]) == ""


def test_many_choices_are_cut_with_their_number():
    assert choices(range(100), limit=3) == "0, 1, 2, … (100 in all)"


def test_an_unknown_key_is_told_with_guess_and_choices():
    assert unknown_key("lo", ["low", "high"]) == "Unknown key. Did you mean `low`? Choose from: low, high."
