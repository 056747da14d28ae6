"""Loads a spec: file → paths made absolute → overrides → sections → rules between them; all mistakes together."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from search_spaces import DocumentError
from search_spaces.documents import Shelf
from search_spaces.wording import show
from search_spaces.yaml_text import read_yaml
from sweeps.errors import SpecError
from sweeps.spec.checks import mistakes_between
from sweeps.spec.fields import SWEEP_NAME
from sweeps.spec.model import SweepSpec
from sweeps.spec.overrides import apply_overrides
from sweeps.spec.paths import resolve_paths
from sweeps.spec.sentences import mistakes_of

CHANGEABLE = ("compute", "budget", "promotion")  # of a sweep that was begun

# what the rules between sections see where a value is missing or wrong; such rules are then not applied
_UNNAMED = "unnamed"
_STAND_INS: Mapping[str, Any] = {
    "name": _UNNAMED,
    "base": {"model": "builtin"},
    "data": {"train": "builtin:train", "validation": "builtin:validation"},
    "search": {"space": {"rank": 2}},
    "promotion": {"model": _UNNAMED},
}


def example_names() -> tuple[str, ...]:
    """List the examples that come with the package."""
    return _shelf().names()


def load_spec(source: str | Path, overrides: Sequence[str] = ()) -> SweepSpec:
    """Load a packaged example by its name, or a YAML file by its path, and put in `key.sub=value` overrides.

    Relative paths start from the spec's folder, in overrides from the current folder.

    Raises:
        SpecError: all mistakes, each with its key.
    """
    try:
        document = _shelf().read(source)
    except DocumentError as error:
        raise SpecError(error.mistakes) from None
    if not isinstance(document.data, dict):
        raise SpecError.at("", f"{document.label} must map keys to values, but holds {show(document.data)}.")
    raw, mistakes = apply_overrides(resolve_paths(document.data, document.folder), overrides)
    try:
        spec = parse_spec(raw)
    except SpecError as error:
        raise SpecError([*mistakes, *error.mistakes]) from None
    if mistakes:
        raise SpecError(mistakes)
    return spec


def read_spec(text: str) -> SweepSpec:
    """Read a spec from YAML text, such as `to_yaml` wrote.

    Raises:
        SpecError: all mistakes, each with its key.
    """
    try:
        raw = read_yaml(text, source="the spec")
    except DocumentError as error:
        raise SpecError(error.mistakes) from None
    return parse_spec(raw)


def change_spec(spec: SweepSpec, overrides: Sequence[str]) -> SweepSpec:
    """Put overrides into the spec of a sweep that was begun: where it runs and what it may use up, not what it is.

    Raises:
        SpecError: all mistakes, or the sections that cannot be changed any more.
    """
    raw, mistakes = apply_overrides(spec.to_mapping(), overrides)
    if mistakes:
        raise SpecError(mistakes)
    changed = parse_spec(raw)
    fixed = [name for name in SweepSpec.model_fields if name not in CHANGEABLE]
    for name in fixed:
        if getattr(changed, name) != getattr(spec, name):
            raise SpecError.at(
                name, f"cannot be changed any more: the sweep was begun with it. Choose from: {', '.join(CHANGEABLE)}."
            )
    return changed


def parse_spec(raw: Any, *, folder: Path | None = None) -> SweepSpec:
    """Check a spec that is given as a mapping.

    Args:
        raw: keys and plain values, as YAML gives them; `search.space` may be a SearchSpace.
        folder: what relative paths start from; by default the current folder.

    Raises:
        SpecError: all mistakes, each with its key.
    """
    if not isinstance(raw, Mapping):
        raise SpecError.at("", f"A spec must map keys to values, but got {show(raw)}.")
    raw = {key: value for key, value in raw.items() if value is not None or key not in SweepSpec.model_fields}
    raw = _with_model_name(resolve_paths(raw, folder or Path.cwd()))
    training = raw.get("training")
    given = tuple(training) if isinstance(training, Mapping) else ()
    try:
        spec = SweepSpec.model_validate(raw)
    except ValidationError as error:
        wrong = {".".join(map(str, details["loc"][:2])) for details in error.errors(include_url=False)}
        sound = _without(raw, wrong)
        between = mistakes_between(sound, given=given, wrong=wrong) if sound else []
        raise SpecError([*mistakes_of(error, SweepSpec), *between]) from None
    if mistakes := mistakes_between(spec, given=given, wrong=()):
        raise SpecError(mistakes)
    return spec


def _shelf() -> Shelf:
    return Shelf(files("sweeps") / "examples", "example")


def _with_model_name(raw: dict[str, Any]) -> dict[str, Any]:
    """Name the registered model after the sweep, where the spec does not name it."""
    promotion, name = raw.get("promotion", {}), raw.get("name")
    if not isinstance(promotion, Mapping) or "model" in promotion:
        return raw
    sound = isinstance(name, str) and SWEEP_NAME.fullmatch(name)
    return {**raw, "promotion": {"model": name if sound else _UNNAMED, **promotion}}


def _without(raw: Mapping[str, Any], wrong: Collection[str]) -> SweepSpec | None:
    """Return the spec with stand-ins for what is wrong, so that the rest can still be checked."""
    sound: dict[str, Any] = {}
    for section in SweepSpec.model_fields:
        value, stand_in = raw.get(section), _STAND_INS.get(section)
        if isinstance(value, Mapping):
            kept = {
                key: item for key, item in value.items() if f"{section}.{key}" not in wrong and section not in wrong
            }
            sound[section] = (stand_in if isinstance(stand_in, dict) else {}) | kept
        elif stand_in is not None:
            sound[section] = stand_in
    try:
        return SweepSpec.model_validate(sound)
    except ValidationError:  # what is sound by itself is not sound together: nothing more can be said
        return None
