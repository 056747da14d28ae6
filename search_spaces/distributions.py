"""What a parameter's value is drawn from: Choice here, Int and Float in `ranges`; Constant is never drawn.

A distribution checks itself when it is built, so an impossible one never exists.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol

from search_spaces.conditions import Condition, read_when
from search_spaces.errors import Mistake, SearchSpaceError
from search_spaces.scalars import SCALAR_RULE, Scalar, is_scalar, plain, same
from search_spaces.wording import choices, show


class TrialLike(Protocol):
    """What a space needs of a trial; Optuna's Trial, FixedTrial and FrozenTrial have it."""

    def suggest_categorical(self, name: str, choices: Any) -> Any:
        """Draw one of the choices."""

    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1, log: bool = False) -> int:
        """Draw a whole number."""

    def suggest_float(
        self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False
    ) -> float:
        """Draw a number."""


@dataclass(frozen=True)
class Distribution(ABC):
    """The values that one parameter can take, and the conditions (`when`) under which it exists at all.

    `when` may be given as a mapping, `{"scaling": "alpha_over_rank"}`; it is kept as a tuple of conditions.
    """

    kind: ClassVar[str]
    options: ClassVar[tuple[str, ...]]  # the keys that YAML may give, beside `type` and `when`

    when: tuple[Condition, ...] | Mapping[str, Any] = field(default=(), kw_only=True)

    def __post_init__(self) -> None:
        mistakes = list(self._check())
        conditions, wrong_conditions = read_when(self.when)
        object.__setattr__(self, "when", conditions)
        if mistakes or wrong_conditions:
            raise SearchSpaceError([*mistakes, *wrong_conditions])

    @property
    def conditions(self) -> tuple[Condition, ...]:
        """The conditions, all of which must hold."""
        return self.when if isinstance(self.when, tuple) else ()

    @abstractmethod
    def suggest(self, trial: TrialLike, name: str) -> Scalar:
        """Draw a value through the trial."""

    @abstractmethod
    def count(self) -> int | None:
        """Return the number of values; None stands for a continuum."""

    @abstractmethod
    def grid(self) -> tuple[Scalar, ...]:
        """List all values; () for a continuum."""

    @abstractmethod
    def find(self, value: Any) -> tuple[Scalar, ...]:
        """Return the value as this distribution writes it (1.0 for 1 in a Float), or () when it lies outside."""

    @abstractmethod
    def corners(self) -> tuple[tuple[str, Scalar], ...]:
        """List (key, value) pairs that stand for all values: the ends of a range, each value of a choice."""

    @abstractmethod
    def describe(self) -> str:
        """Say which values there are, to stand after `must be`."""

    @abstractmethod
    def _check(self) -> Iterable[Mistake]:
        """Normalise the fields and list what is wrong with them."""

    def _normalise(self, name: str) -> Any:
        value = plain(getattr(self, name))
        object.__setattr__(self, name, value)
        return value


@dataclass(frozen=True)
class Choice(Distribution):
    """One of the listed values, in no order: text, numbers, true, false or null."""

    kind = "choice"
    options = ("values",)

    values: tuple[Scalar, ...] | list[Scalar]

    def suggest(self, trial: TrialLike, name: str) -> Scalar:
        """Draw a value through the trial."""
        return self.find(trial.suggest_categorical(name, self.grid()))[0]

    def count(self) -> int:
        """Return the number of values."""
        return len(self.values)

    def grid(self) -> tuple[Scalar, ...]:
        """List all values."""
        return tuple(self.values)

    def find(self, value: Any) -> tuple[Scalar, ...]:
        """Return the listed value that means the same, or ()."""
        return tuple(listed for listed in self.values if same(listed, plain(value)))[:1]

    def corners(self) -> tuple[tuple[str, Scalar], ...]:
        """List all values."""
        return tuple((f"values.{i}", value) for i, value in enumerate(self.values))

    def describe(self) -> str:
        """Say which values there are."""
        return f"one of {choices(self.values)}"

    def _check(self) -> Iterable[Mistake]:
        if not isinstance(self.values, list | tuple):
            yield Mistake("values", f"must be a list such as [2, 4, 8], but got {show(self.values)}.")
            return
        values = tuple(map(plain, self.values))
        object.__setattr__(self, "values", values)
        if not values:
            yield Mistake("values", "must list at least one value, but the list is empty.")
        for i, value in enumerate(values):
            if not is_scalar(value):
                yield Mistake(f"values.{i}", f"must be {SCALAR_RULE}, but got {show(value)}.")
            elif any(is_scalar(before) and before == value for before in values[:i]):
                # 1 and true are equal for Python, and so for the ledger, which stores a choice by its place
                yield Mistake(f"values.{i}", f"must differ from the values before it, but got {show(value)} again.")


@dataclass(frozen=True)
class Constant(Distribution):
    """Always the same value; it is not drawn, and the ledger does not hold it."""

    kind = "constant"
    options = ("value",)

    value: Scalar

    def suggest(self, trial: TrialLike, name: str) -> Scalar:
        """Return the value."""
        return self.value

    def count(self) -> int:
        """Return 1."""
        return 1

    def grid(self) -> tuple[Scalar, ...]:
        """List the value."""
        return (self.value,)

    def find(self, value: Any) -> tuple[Scalar, ...]:
        """Return the constant when `value` means the same, or ()."""
        return (self.value,) if same(self.value, plain(value)) else ()

    def corners(self) -> tuple[tuple[str, Scalar], ...]:
        """List the value; a bare constant has no key of its own."""
        return (("value" if self.when else "", self.value),)

    def describe(self) -> str:
        """Say what the value is."""
        return show(self.value)

    def _check(self) -> Iterable[Mistake]:
        if not is_scalar(self._normalise("value")):
            yield Mistake("value", f"must be {SCALAR_RULE}, but got {show(self.value)}.")
