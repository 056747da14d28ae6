"""The YAML reader: YAML 1.1's traps are closed, and a hostile text costs nothing."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from search_spaces import DocumentError
from search_spaces.yaml_text import LONGEST_TEXT, read_yaml, write_yaml


def message(text: str) -> str:
    with pytest.raises(DocumentError) as caught:
        read_yaml(text, source="x.yaml")
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-4", 1e-4),
        ("3E5", 3e5),
        (".5", 0.5),
        ("1.", 1.0),
        ("+2", 2),
        ("010", 10),
        ("0x1F", 31),
        ("0o17", 15),
        ("1:30", "1:30"),
        ("1_000", "1_000"),
        ("yes", "yes"),
        ("No", "No"),
        ("on", "on"),
        ("y", "y"),
        ("true", True),
        ("FALSE", False),
        ("~", None),
        ("null", None),
        ("", None),
        ("2024-01-01", "2024-01-01"),
        ("'1e-4'", "1e-4"),
        ("!!str 12", "12"),
        (".inf", float("inf")),
        ("-.INF", float("-inf")),
        ("요즘 잠을 못 자요", "요즘 잠을 못 자요"),
    ],
)
def test_scalars_are_what_people_mean(text, value):
    read = read_yaml(text, source="x")
    assert (read, type(read)) == (value, type(value))


def test_nan_is_read_as_a_number():
    assert read_yaml(".nan", source="x") != read_yaml(".nan", source="x")


def test_a_key_given_twice_is_an_error_with_its_line():
    assert message("a: 1\nb: {c: 1, c: 2}") == "x.yaml, line 2, column 11: the key `c` is given twice; keep one."


@pytest.mark.parametrize("key", ["1", "true", "null", "1.5", "[a]", "{a: b}"])
def test_keys_must_be_text(key):
    assert "a key must be text" in message(f"? {key}\n: 1")


@pytest.mark.parametrize(
    "text",
    [
        "!!python/object/apply:os.system [id]",
        "!!binary aGk=",
        "!!set {a}",
        "!mine 3",
        "!!timestamp 2024-01-01",
        "!!omap []",
    ],
)
def test_tags_make_nothing(text):
    assert "the tag" in message(text)


@pytest.mark.parametrize("text", ["!!int x", "!!int ''", "!!float x", "!!bool maybe", "!!null 3", "9" * 5000])
def test_a_scalar_that_does_not_fit_its_tag_is_told(text):
    assert "cannot be read as" in message(text)


def test_merge_keys_are_refused_with_the_fix():
    assert message("a: &a {x: 1}\nb: {<<: *a}").endswith("merge keys (`<<`) are not read; write the keys out.")


@pytest.mark.parametrize(
    "text", ["a: [", "a: 'b", "a:\tb: c", "a\0b", "--- a\n--- b", "*nowhere", "a: b: c", "%YAML 9"]
)
def test_what_is_no_yaml_is_one_line(text):
    lines = message(text).splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("x.yaml")


def test_aliases_are_followed_and_make_equal_values():
    assert read_yaml("a: &a [1, 2]\nb: *a", source="x") == {"a": [1, 2], "b": [1, 2]}


def test_a_bomb_of_aliases_is_defused_in_no_time():
    """Ten lines that would stand for 10**9 values."""
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 9)]
    begin = time.monotonic()
    assert "a document must hold at most 10000 values" in message("\n".join(lines))
    assert time.monotonic() - begin < 5


def test_an_alias_of_itself_ends():
    assert "nested at most 20 deep" in message("&a [*a]")
    assert "nested at most 20 deep" in message("&a {b: *a}")


@pytest.mark.parametrize("depth", [30, 1_000, 50_000])
def test_deep_nesting_ends(depth):
    assert "nested at most 20 deep" in message("[" * depth + "]" * depth)


def test_a_long_text_is_not_read():
    assert f"must be at most {LONGEST_TEXT} characters" in message("a" * (LONGEST_TEXT + 1))


TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x85"), max_size=20) | st.sampled_from(
    [
        "1e-4",
        "1e5",
        "yes",
        "0o17",
        "010",
        "~",
        "null",
        "<<",
        "=",
        "1:30",
        "-",
        "? a",
        "a: b",
        "#",
        "\u2028",
        " ",
    ]
)
SCALARS = st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.floats(allow_nan=False) | TEXTS
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4), max_leaves=20
)


def has_merge_key(value) -> bool:
    if isinstance(value, dict):
        return "<<" in value or any(map(has_merge_key, value.values()))
    return isinstance(value, list) and any(map(has_merge_key, value))


@settings(max_examples=300, deadline=None, derandomize=True)
@given(VALUES.filter(lambda value: not has_merge_key(value)))
def test_what_is_written_is_read_back_equal(value):
    read = read_yaml(write_yaml(value), source="x")
    assert read == value
    assert repr(read) == repr(value)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(st.text("[]{}:,&*!|>-?'\"#%@`ab01 \n\t<.~e+", max_size=60))
def test_any_text_is_read_or_is_one_document_error(text):
    try:
        read_yaml(text, source="x")
    except DocumentError as error:
        assert len(str(error).splitlines()) == 1
