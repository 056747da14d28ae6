"""Truths about any spec: what is sound round trips, and nothing but a SpecError comes out of what is not."""

import copy
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from sweeps.errors import SpecError
from sweeps.spec import SweepSpec, example_names, load_spec, parse_spec, read_spec

EXAMPLES = {name: load_spec(name) for name in example_names()}
MAPPINGS = [spec.to_mapping() for spec in EXAMPLES.values()]
TEXTS = [spec.to_yaml() for spec in EXAMPLES.values()]

WORDS = st.text(max_size=6) | st.sampled_from(
    [
        "auto",
        "builtin",
        "builtin:train",
        "val_loss",
        "quickstart",
        "../x",
        "a\0",
        "1e-4",
        "yes",
        "~x/y",
        "rank",
        "when",
        "\ud800",
    ]
)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | WORDS | st.sampled_from([0, 1, -1, 10**400, 1e400])
JUNK = st.recursive(
    SCALARS | st.binary(max_size=2),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS | st.integers(), inner, max_size=3),
    max_leaves=6,
)


def containers(value: Any) -> list[Any]:
    """List every mapping and list in a value, itself included."""
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    own = [value] if isinstance(value, dict | list) else []
    return own + [found for item in inner for found in containers(item)]


@st.composite
def mutated(draw: st.DrawFn) -> dict[str, Any]:
    """Spoil an example in one to three places: replace, remove, rename or add."""
    raw = copy.deepcopy(draw(st.sampled_from(MAPPINGS)))
    for _ in range(draw(st.integers(1, 3))):
        place = draw(st.sampled_from([found for found in containers(raw) if found] or [raw]))
        keys = list(place) if isinstance(place, dict) else list(range(len(place)))
        key = draw(st.sampled_from(keys)) if keys else None
        change = draw(st.sampled_from(["replace", "remove", "rename", "add"]))
        if change == "replace" and key is not None:
            place[key] = draw(JUNK)
        elif change == "remove" and key is not None:
            del place[key]
        elif change == "rename" and isinstance(place, dict) and key is not None:
            place[draw(WORDS)] = place.pop(key)
        elif isinstance(place, dict):
            place[draw(WORDS | st.sampled_from(list(SweepSpec.model_fields)))] = draw(JUNK)
        else:
            place.append(draw(JUNK))
    return raw


def is_sentences(error: SpecError) -> bool:
    lines = str(error).splitlines()
    return len(lines) == len(error.mistakes) > 0 and all(map(str.isprintable, lines))


@settings(max_examples=600, deadline=None, derandomize=True)
@given(mutated())
def test_a_spoiled_spec_is_sound_or_a_spec_error(raw):
    try:
        spec = parse_spec(raw)
    except SpecError as error:
        assert is_sentences(error)
    else:
        assert read_spec(spec.to_yaml()) == spec
        assert parse_spec(spec.to_mapping()) == spec


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.sampled_from(TEXTS), st.data())
def test_a_spoiled_text_is_sound_or_a_spec_error(text, data):
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, min(len(text), start + 20)))
    junk = data.draw(st.text("[]{}:,&*!|>-?'\"#%@`\n\t ~e+0", max_size=5) | WORDS)
    try:
        read_spec(text[:start] + junk + text[end:])
    except SpecError as error:
        assert is_sentences(error)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(
    st.sampled_from(list(EXAMPLES)),
    st.lists(
        st.builds(
            "{}={}".format,
            st.lists(
                st.sampled_from(
                    [
                        *SweepSpec.model_fields,
                        "space",
                        "rank",
                        "train",
                        "val",
                        "0",
                        "low",
                        "values",
                        "source",
                        "prompts",
                    ]
                )
                | WORDS,
                min_size=1,
                max_size=4,
            ).map(".".join),
            WORDS | st.sampled_from(["3", "[1, 2]", "{a: b}", "{type: choice, values: [1, 2]}", "x.json", "[", "*a"]),
        )
        | WORDS,
        max_size=3,
    ),
)
def test_any_override_is_put_in_or_is_a_spec_error(name, overrides):
    try:
        load_spec(name, overrides)
    except SpecError as error:
        assert is_sentences(error)
