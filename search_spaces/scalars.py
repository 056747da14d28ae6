"""Scalars of a space: which Python values are allowed, and numbers that YAML 1.1 readers leave as text."""

from __future__ import annotations

import math
import numbers
import re
from typing import Any

Scalar = str | int | float | bool | None

LARGEST = 1e100  # beyond it the width of a range may overflow inside a sampler
LARGEST_WHOLE = 2**53  # samplers compute with doubles: larger whole numbers would be rounded
SCALAR_RULE = "text on one line, a finite number, true, false or null"
_EXPONENT = re.compile(r"[-+]?(\d+(\.\d*)?|\.\d+)[eE][-+]?\d+")


def plain(value: Any) -> Any:
    """Return the built-in twin of a number (NumPy's, or `1e-4` read as text by YAML 1.1); other values unchanged."""
    if isinstance(value, bool):
        return value
    if isinstance(value, numbers.Integral):
        return int(value)
    if isinstance(value, numbers.Real):
        return float(value)
    if isinstance(value, str) and _EXPONENT.fullmatch(value):
        return float(value)
    return value


def is_whole(value: Any) -> bool:
    """Tell whether a value is a whole number that samplers can hold (True and False are not numbers)."""
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) <= LARGEST_WHOLE


def is_number(value: Any) -> bool:
    """Tell whether a value is a finite number that samplers can hold (True and False are not numbers)."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= LARGEST


def is_scalar(value: Any) -> bool:
    """Tell whether a value may be a constant or a choice: text on one line, a number, true, false or null."""
    if isinstance(value, str):
        return len(value) <= 500 and value.isprintable()
    if isinstance(value, float):
        return math.isfinite(value) and is_number(value)
    return value is None or isinstance(value, bool) or is_whole(value)


def same(left: Scalar, right: Scalar) -> bool:
    """Tell whether two scalars mean the same: 1 and 1.0 do, 1 and true do not."""
    return isinstance(left, bool) == isinstance(right, bool) and left == right
