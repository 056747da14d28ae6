"""Types of a spec's single fields, each with a rule that can be said in one sentence."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, PlainSerializer, PlainValidator, Strict

from search_spaces import Mistake, SearchSpace, SearchSpaceError, load_space
from search_spaces.wording import choices, did_you_mean, show
from sweeps.errors import SpecError
from sweeps.spec.training import meant
from trainer.config import PARAMETER_NAMES
from trainer.metrics import PRIMARY, QUANTITIES

SWEEP_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")
_MODEL_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._ -]{0,254}")
_SET_NAME = re.compile(r"[a-z][a-z0-9_]{0,30}")
_METRIC_WORDS = frozenset({*"_".join(QUANTITIES).split("_"), "train"})
SOURCE_KEYS = ("source", "digest", "format", "prompt_column", "response_column")


def is_text(value: str, *, lines: bool = False) -> bool:
    """Tell whether text has no control characters (but line breaks and tabs, if `lines`) and can be stored as UTF-8."""
    return all(unicodedata.category(c) not in ("Cc", "Cs") or (lines and c in "\n\t") for c in value)


def _matching(pattern: re.Pattern[str], rule: str) -> Callable[[str], str]:
    def check(value: str) -> str:
        if not pattern.fullmatch(value):
            raise ValueError(f"must be {rule}, but got {show(value)}.")
        return value

    return check


def _line(value: str) -> str:
    if not value.strip() or len(value) > 4096 or not is_text(value):
        raise ValueError(f"must be text on one line (1 to 4096 characters), but got {show(value)}.")
    return value


def _prompt(value: str) -> str:
    if not value.strip() or len(value) > 4096 or not is_text(value, lines=True):
        raise ValueError(f"must be text of 1 to 4096 characters, but got {show(value)}.")
    return value


def _address(value: str) -> str:
    if "@" in _line(value):
        raise ValueError(f"must not hold a user or a password, because MLflow keeps the spec, but got {show(value)}.")
    return value


def _experiment(value: str) -> str:
    if len(value) > 250 or value != value.strip():
        raise ValueError(f"must be at most 250 characters without spaces at its ends, but got {show(value)}.")
    return _line(value)


def _slots(value: Any) -> Any:
    if value != "auto" and (not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= 256):
        raise ValueError(f"must be auto or a whole number from 1 to 256, but got {show(value)}.")
    return value


def _space(value: Any) -> SearchSpace:
    try:
        return load_space(value)
    except SearchSpaceError as error:
        raise SpecError(dict.fromkeys(map(_misnamed, error.mistakes))) from None


def _misnamed(mistake: Mistake) -> Mistake:
    """Of a parameter that is called otherwise here, say that, and not what is wrong below it."""
    name = mistake.key.partition(".")[0]
    if name in PARAMETER_NAMES or meant(name) == name:
        return mistake
    guess = did_you_mean(meant(name), PARAMETER_NAMES)
    return Mistake(name, f"Unknown parameter.{guess} Choose from: {choices(PARAMETER_NAMES)}.")


def _set_names(value: dict[str, Any]) -> dict[str, Any]:
    mistakes = []
    for i, name in enumerate(value):
        words = _METRIC_WORDS | ({PRIMARY} if i else set())
        if not _SET_NAME.fullmatch(name) or not words.isdisjoint(name.split("_")) or name in SOURCE_KEYS:
            rule = "must be named with small letters, digits and `_`, and with no word of a metric"
            also = " A single source is given by `source`." if name in SOURCE_KEYS else ""
            mistakes.append(Mistake(str(name), f"a validation set {rule} ({', '.join(sorted(words))}).{also}"))
    if not value:
        raise ValueError("must name at least one validation set, but got {}.")
    if mistakes:
        raise SpecError(mistakes)
    return value


def _as_source(value: Any) -> Any:
    return {"source": value} if isinstance(value, str) else value


def _as_sets(value: Any) -> Any:
    single = isinstance(value, str) or (isinstance(value, Mapping) and "source" in value)
    return {PRIMARY: value} if single else value


AsSource = BeforeValidator(_as_source)
AsSets = BeforeValidator(_as_sets)
SetNames = AfterValidator(_set_names)
Line = Annotated[str, AfterValidator(_line)]
Prompt = Annotated[str, AfterValidator(_prompt)]
Address = Annotated[str, AfterValidator(_address)]
Experiment = Annotated[str, AfterValidator(_experiment)]
SweepName = Annotated[
    str,
    AfterValidator(
        _matching(SWEEP_NAME, "1 to 63 small letters, digits, `.`, `_` and `-`, beginning with a letter or a digit")
    ),
]
ModelName = Annotated[
    str,
    AfterValidator(
        _matching(_MODEL_NAME, "1 to 255 letters, digits, spaces, `.`, `_` and `-`, beginning with a letter or a digit")
    ),
]
Slots = Annotated[Any, PlainValidator(_slots)]
Space = Annotated[SearchSpace, PlainValidator(_space), PlainSerializer(lambda space: space.to_mapping())]
Seed = Annotated[int, Field(ge=0, le=2**32 - 1)]
AnySequence = Strict(False)  # a list of YAML becomes a tuple; what is in it stays strict
