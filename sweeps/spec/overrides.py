"""`--set key.sub=value`: changes to a spec before it is checked; values are written as in YAML."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from search_spaces import DocumentError, Mistake, SearchSpaceError, load_space
from search_spaces.wording import show
from search_spaces.yaml_text import read_yaml
from sweeps.errors import SpecError
from sweeps.spec.fields import SOURCE_KEYS
from trainer.metrics import PRIMARY


def apply_overrides(raw: dict[str, Any], overrides: Sequence[str]) -> tuple[dict[str, Any], list[Mistake]]:
    """Return the spec with each `key.sub=value` put in, the last one winning; and those that cannot be put in."""
    mistakes: list[Mistake] = []
    changed: Any = raw
    for override in overrides:
        try:
            keys, value = _read(override)
            changed = _put(changed, keys, value, ())
        except SpecError as error:
            mistakes += error.mistakes
    return dict(changed), mistakes


def _read(override: str) -> tuple[tuple[str, ...], Any]:
    key, equals, text = override.partition("=")
    keys = tuple(part.strip() for part in key.split("."))
    if not equals or not all(keys):
        raise SpecError.at("--set", f"must be written key.sub=value, but got {show(override)}.")
    try:
        return keys, read_yaml(text, source=f"the value of --set {'.'.join(keys)}")
    except DocumentError as error:
        raise SpecError(error.mistakes) from None


def _put(inside: Any, keys: tuple[str, ...], value: Any, above: tuple[str, ...]) -> Any:
    """Return a copy of `inside` in which `keys` lead to `value`."""
    if not keys:
        return value
    key, rest = keys[0], keys[1:]
    inside = _opened(inside, above, key)
    here = (*above, key)
    if isinstance(inside, dict):
        return {**inside, key: _put(inside.get(key), rest, value, here)}
    if isinstance(inside, list) and key.isdecimal() and int(key) < len(inside):
        return [_put(item, rest, value, here) if i == int(key) else item for i, item in enumerate(inside)]
    if isinstance(inside, list):
        raise SpecError.at(".".join(here), f"must be a place in a list of {len(inside)}, counted from 0.")
    raise SpecError.at(".".join(here), f"cannot be set, because `{'.'.join(above)}` is {show(inside)}.")


def _opened(value: Any, key: tuple[str, ...], next_key: str) -> Any:
    """Write a value out as a mapping where it is short for one: a named space, a source."""
    if value is None:
        return {}
    if not isinstance(value, str):
        return value
    if key == ("search", "space"):
        try:
            return load_space(value).to_mapping()
        except SearchSpaceError as error:
            raise SpecError(error.under("search.space").mistakes) from None
    if key == ("data", "validation"):
        return {"source": value} if next_key in SOURCE_KEYS else {PRIMARY: value}
    is_source = key == ("data", "train") or key[:2] == ("data", "validation")
    return {"source": value} if is_source else value
