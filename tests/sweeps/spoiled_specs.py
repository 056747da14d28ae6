"""Specs to spoil: the packaged examples, and strategies that put junk into them."""

import copy
from typing import Any

from hypothesis import strategies as st

from sweeps.spec import SweepSpec, example_names, load_spec

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
