"""Loads a search space: a ready-made one by its name, a YAML file, or a mapping of values and distributions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

from search_spaces.distributions import Choice, Constant, Distribution
from search_spaces.documents import Shelf
from search_spaces.errors import DocumentError, Mistake, SearchSpaceError
from search_spaces.ranges import Float, Int
from search_spaces.scalars import SCALAR_RULE, is_scalar, plain
from search_spaces.space import SearchSpace
from search_spaces.wording import choices, did_you_mean, show, unknown_key

_FAMILIAR = {
    "uniform": "float",
    **dict.fromkeys(("loguniform", "log_uniform", "log_uniform_values"), "float, log: true"),
    **dict.fromkeys(("randint", "integer", "int_uniform", "q_uniform"), "int"),
    **dict.fromkeys(("categorical", "discrete", "grid"), "choice"),
}  # how other searches call them

KINDS: dict[str, type[Distribution]] = {kind.kind: kind for kind in (Choice, Int, Float, Constant)}


def ready_spaces() -> tuple[str, ...]:
    """List the names of the ready-made spaces."""
    return _shelf().names()


def load_space(source: str | Path | Mapping[str, Any] | SearchSpace, *, folder: Path | None = None) -> SearchSpace:
    """Load a ready-made space (`"quickstart"`), a YAML file, or a mapping.

    Args:
        source: the name, the path, or the parameters. A value is a constant, a Distribution, or a mapping such as
            `{type: float, low: 3e-4, high: 3e-2, log: true, when: {scaling: alpha_over_rank}}`.
        folder: what a relative path starts from; by default the current folder.

    Raises:
        SearchSpaceError: all mistakes, each with its key.
    """
    if isinstance(source, SearchSpace):
        return source
    if isinstance(source, str | Path):
        document = _shelf().read(source, folder=folder)
        if not isinstance(document.data, Mapping):
            raise DocumentError.at(
                "", f"{document.label} must map parameters to values, but holds {show(document.data)}."
            )
        return load_space(document.data)
    if not isinstance(source, Mapping):
        names = choices(ready_spaces())
        raise SearchSpaceError.at("", f"must be one of {names}, a YAML file, or a mapping, but got {show(source)}.")
    return SearchSpace(_distributions(source))


def _shelf() -> Shelf:
    return Shelf(files("search_spaces") / "ready", "search space")


def _distributions(source: Mapping[str, Any]) -> dict[str, Distribution]:
    distributions: dict[str, Distribution] = {}
    mistakes: list[Mistake] = []
    for name, value in source.items():
        try:
            distributions[name] = _distribution(value)
        except SearchSpaceError as error:
            mistakes += error.under(str(name)).mistakes
    if mistakes:
        raise SearchSpaceError(mistakes)
    return distributions


def _distribution(value: Any) -> Distribution:
    if isinstance(value, Distribution):
        return value
    if isinstance(value, Mapping):
        return _build(value)
    if is_scalar(plain(value)):
        return Constant(value)
    fix = f" Write {{type: choice, values: {show(value)}}} to choose between them." if isinstance(value, list) else ""
    raise SearchSpaceError.at(
        "", f"must be a mapping with `type`, or a constant ({SCALAR_RULE}), but got {show(value)}.{fix}"
    )


def _build(mapping: Mapping[str, Any]) -> Distribution:
    kind = mapping.get("type")
    if not isinstance(kind, str) or kind not in KINDS:
        meant = _FAMILIAR.get(str(kind).lower())
        guess = f" Write type: {meant}." if meant else did_you_mean(kind, KINDS)
        got = f", but got {show(kind)}.{guess}" if "type" in mapping else "; it is missing."
        raise SearchSpaceError.at("type", f"must be one of {choices(KINDS)}{got}")
    mistakes = list(_wrong_keys(mapping, KINDS[kind]))
    given = {key: mapping[key] for key in (*KINDS[kind].options, "when") if key in mapping}
    if any(m.text.startswith("is missing") for m in mistakes):
        raise SearchSpaceError(mistakes)
    try:
        built = KINDS[kind](**given)
    except SearchSpaceError as error:
        raise SearchSpaceError([*mistakes, *error.mistakes]) from None
    if mistakes:
        raise SearchSpaceError(mistakes)
    return built


def _wrong_keys(mapping: Mapping[str, Any], kind: type[Distribution]) -> Iterator[Mistake]:
    allowed = ("type", *kind.options, "when")
    yield from (Mistake(str(key), unknown_key(key, allowed)) for key in mapping if key not in allowed)
    for key in kind.options:
        if key not in mapping and key not in ("step", "log"):
            yield Mistake(key, f"is missing; a parameter of type {kind.kind} needs {choices(_needed(kind))}.")


def _needed(kind: type[Distribution]) -> tuple[str, ...]:
    return tuple(option for option in kind.options if option not in ("step", "log"))
