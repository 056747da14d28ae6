"""Truths about any spec: what is sound round trips, and nothing but a SpecError comes out of what is not."""

from hypothesis import given, settings
from hypothesis import strategies as st

from sweeps.errors import SpecError
from sweeps.spec import SweepSpec, load_spec, parse_spec, read_spec
from tests.sweeps.spoiled_specs import EXAMPLES, TEXTS, WORDS, mutated


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
