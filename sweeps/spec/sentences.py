"""Turns pydantic's errors into our sentences: the key, the rule, the value, the choices."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from search_spaces import Mistake
from search_spaces.wording import choices, did_you_mean, show, unknown_key
from trainer.config import PARAMETER_NAMES

_RULES: Mapping[str, str] = {
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "int_parsing": "must be a whole number",
    "float_type": "must be a number",
    "float_parsing": "must be a number",
    "bool_type": "must be true or false",
    "string_type": "must be text",
    "tuple_type": "must be a list such as [a, b]",
    "dict_type": "must be a mapping of keys to values",
    "model_type": "must be a mapping of keys to values",
    "greater_than": "must be greater than {gt:g}",
    "greater_than_equal": "must be at least {ge}",
    "less_than_equal": "must be at most {le}",
    "too_long": "must have at most {max_length} entries",
}
_NUMBER = re.compile(r"-?[0-9]+(?:\.[0-9]+)?(?:e-?[0-9]+)?(?=\s|[a-zA-Z%]|$)")
_TRUTHS = {"yes": "true", "on": "true", "true": "true", "no": "false", "off": "false", "false": "false"}


def _number_fix(got: Any) -> str:
    """Of `"8"` or `8 hours` the number, of `8.0` the whole one."""
    if isinstance(got, float) and got.is_integer():
        return f" Write {got:.0f}."
    number = _NUMBER.match(got.strip()) if isinstance(got, str) else None
    return f" Write the number alone, without quotes: {number[0]}." if number else ""


_FIXES: Mapping[str, Callable[[Any], str]] = {
    "string_type": lambda got: "" if isinstance(got, dict | list) or got is None else " Put it in quotes.",
    "bool_type": lambda got: f" Write {_TRUTHS[str(got).lower()]}." if str(got).lower() in _TRUTHS else "",
    "int_type": _number_fix,
    "int_from_float": _number_fix,
    "float_type": _number_fix,
    "tuple_type": lambda got: f" Write [{show(got)}]." if isinstance(got, str) else "",
}


def mistakes_of(error: ValidationError, model: type[BaseModel]) -> list[Mistake]:
    """List what `model` found wrong, one sentence for each."""
    return [mistake for details in error.errors(include_url=False) for mistake in _mistakes(dict(details), model)]


def rule_of(details: Mapping[str, Any]) -> str:
    """Say the rule that one of pydantic's errors is about, such as `must be at least 1`."""
    kind = details["type"]
    return _RULES[kind].format(**details.get("ctx", {})) if kind in _RULES else str(details["msg"])


def _mistakes(details: dict[str, Any], model: type[BaseModel]) -> Iterator[Mistake]:
    key, kind = ".".join(map(str, details["loc"])), details["type"]
    raised = details.get("ctx", {}).get("error")
    if carried := getattr(raised, "mistakes", None):
        yield from (mistake.under(key) for mistake in carried)
    elif raised is not None:
        yield Mistake(key, str(raised))
    elif kind == "missing":
        yield Mistake(key, "is missing; every spec needs it.")
    elif kind == "extra_forbidden":
        *parents, name = details["loc"]
        yield Mistake(key, unknown_key(name, _keys(model, parents)) + _elsewhere(name, parents, model))
    else:
        keys = f" Its keys: {choices(_keys(model, list(details['loc'])))}." if kind == "model_type" else ""
        yield Mistake(key, _sentence(kind, details) + keys)


def _sentence(kind: str, details: dict[str, Any]) -> str:
    got, context = details["input"], details.get("ctx", {})
    if kind == "literal_error":
        known = re.findall(r"'([^']*)'", context["expected"])
        return f"must be one of {choices(known)}, but got {show(got)}.{did_you_mean(got, known)}"
    return f"{rule_of(details)}, but got {show(got)}.{_FIXES.get(kind, lambda _: '')(got)}"


def _elsewhere(name: Any, parents: list[Any], model: type[BaseModel]) -> str:
    """Say to which section a key belongs that stands in another, or in none."""
    if name in PARAMETER_NAMES:
        return f" `{name}` belongs to `training`, or to `search.space` to be searched."
    if len(parents) > 1 or name in model.model_fields:
        return ""
    homes = [section for section in model.model_fields if name in _keys(model, [section]) and [section] != parents]
    return f" `{name}` belongs to `{homes[0]}`." if homes else ""


def _keys(model: type[BaseModel], parents: list[Any]) -> list[str]:
    for parent in parents:
        field = model.model_fields.get(str(parent))
        inner = _model_in(field.annotation) if field else None
        model = inner or model  # the name of a validation set is no field: it stays at the source's own keys
    return list(model.model_fields)


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for part in get_args(annotation) if (found := _model_in(part))), None)
