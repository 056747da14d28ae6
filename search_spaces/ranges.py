"""Int and Float: the numbers between two ends, both included, in steps, or even on a linear or a log scale."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from search_spaces.distributions import Distribution, TrialLike
from search_spaces.errors import Mistake
from search_spaces.scalars import LARGEST, LARGEST_WHOLE, Scalar, is_number, is_whole, plain
from search_spaces.wording import show

_MOST_STEPS = 2**53


@dataclass(frozen=True)
class Range(Distribution):
    """What Int and Float share: `low < high`, and steps or a log scale, not both."""

    options = ("low", "high", "step", "log")

    low: Any
    high: Any
    step: Any = field(default=None, kw_only=True)
    log: bool = field(default=False, kw_only=True)

    def corners(self) -> tuple[tuple[str, Scalar], ...]:
        """List the two ends."""
        return (("low", self.low), ("high", self.high))

    @abstractmethod
    def _check_number(self, key: str, value: Any) -> Iterable[Mistake]:
        """Say what is wrong with an end or a step, by itself."""

    def _check(self) -> Iterable[Mistake]:
        ends = [m for key in ("low", "high") for m in self._check_number(key, self._normalise(key))]
        steps = [] if self._normalise("step") is None else list(self._check_number("step", self.step))
        yield from [*ends, *steps]
        if not isinstance(self.log, bool):
            yield Mistake("log", f"must be true or false, but got {show(self.log)}.")
        if not ends and not steps:
            yield from self._check_together()

    def _check_together(self) -> Iterable[Mistake]:
        low, high, step = self.low, self.high, self.step
        if not low < high:
            fix = " Give a bare value for a constant." if low == high else ""
            yield Mistake("low", f"`low < high` must hold, but got low={show(low)} and high={show(high)}.{fix}")
        elif step is not None and not self._divides(step):
            rule = "`step` must be positive and divide `high - low` without a rest"
            yield Mistake("step", f"{rule}, but got step={show(step)} with low={show(low)} and high={show(high)}.")
        if self.log is True and low <= 0:
            yield Mistake("low", f"`low` must be positive where `log` is true, but got {show(low)}.")
        if self.log is True and step is not None:
            yield Mistake("step", f"`step` and `log` exclude each other, but got step={show(step)}; keep one of them.")

    def _divides(self, step: Any) -> bool:
        # in decimals, as Optuna does: 0.3 is three steps of 0.1, whatever the doubles say
        width, step = Decimal(str(self.high)) - Decimal(str(self.low)), Decimal(str(step))
        return bool(step > 0 and width / step <= _MOST_STEPS and width % step == 0)

    def describe(self) -> str:
        """Say which values there are."""
        noun = "a whole number" if self.kind == "int" else "a number"
        steps = "" if self.step is None else f" in steps of {show(self.step)}"
        return f"{noun} from {show(self.low)} to {show(self.high)}{steps}"


@dataclass(frozen=True)
class Int(Range):
    """A whole number from `low` to `high`; a step of 1 is the default and kept as None."""

    kind = "int"

    def suggest(self, trial: TrialLike, name: str) -> Scalar:
        """Draw a value through the trial."""
        return trial.suggest_int(name, self.low, self.high, step=self.step or 1, log=self.log)

    def count(self) -> int:
        """Return the number of values."""
        return len(self._numbers())

    def grid(self) -> tuple[Scalar, ...]:
        """List all values, upwards."""
        return tuple(self._numbers())

    def find(self, value: Any) -> tuple[Scalar, ...]:
        """Return the value when it is a whole number inside, or ()."""
        value = plain(value)
        return (value,) if is_whole(value) and value in self._numbers() else ()

    def _numbers(self) -> range:
        return range(self.low, self.high + 1, self.step or 1)

    def _check(self) -> Iterable[Mistake]:
        yield from super()._check()
        if is_whole(self.step) and self.step == 1 and self.log is not True:
            object.__setattr__(self, "step", None)

    def _check_number(self, key: str, value: Any) -> Iterable[Mistake]:
        if not is_whole(value):
            too_large = isinstance(value, int) and not isinstance(value, bool)
            rule = f"must be from -{LARGEST_WHOLE} to {LARGEST_WHOLE}" if too_large else "must be a whole number"
            yield Mistake(key, f"{rule}, but got {show(value)}.")


@dataclass(frozen=True)
class Float(Range):
    """A number from `low` to `high`."""

    kind = "float"

    def suggest(self, trial: TrialLike, name: str) -> Scalar:
        """Draw a value through the trial."""
        return trial.suggest_float(name, self.low, self.high, step=self.step, log=self.log)

    def count(self) -> int | None:
        """Return the number of values; None without steps."""
        if self.step is None:
            return None
        return int((Decimal(str(self.high)) - Decimal(str(self.low))) / Decimal(str(self.step))) + 1

    def grid(self) -> tuple[Scalar, ...]:
        """List all values, upwards; () without steps."""
        low, step = Decimal(str(self.low)), Decimal(str(self.step or 0))
        return tuple(float(low + i * step) for i in range(self.count() or 0))

    def find(self, value: Any) -> tuple[Scalar, ...]:
        """Return the value as a float when it lies inside (on a step to 1e-8 of it, as in Optuna), or ()."""
        value = plain(value)
        if not is_number(value) or not self.low <= value <= self.high:
            return ()
        steps = 0.0 if self.step is None else (value - self.low) / self.step
        return (float(value),) if abs(steps - round(steps)) < 1e-8 else ()

    def _check(self) -> Iterable[Mistake]:
        yield from super()._check()
        for key in ("low", "high", "step"):
            if is_number(getattr(self, key)):
                object.__setattr__(self, key, float(getattr(self, key)))

    def _check_number(self, key: str, value: Any) -> Iterable[Mistake]:
        if not is_number(value):
            yield Mistake(key, f"must be a finite number of at most {LARGEST:g}, but got {show(value)}.")
