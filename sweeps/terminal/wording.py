"""Numbers, durations and parameters as short text; everything that is shown goes through here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

FACTOR = 10  # from here on a change is told as a factor: −95 % and −99.9 % look alike


def printable(text: str) -> str:
    """Return text that cannot steer the terminal: control characters other than line breaks become `?`."""
    return "".join(c if c.isprintable() or c == "\n" else " " if c == "\t" else "?" for c in text)


def one_line(text: str) -> str:
    """Return printable text on one line."""
    return " ".join(printable(text).split())


def number(value: float | None) -> str:
    """Write a metric so that neighbours can be compared."""
    if value is None:
        return ""
    return f"{value:.4f}" if 1e-3 <= abs(value) < 100 else _tidy(f"{value:.4g}")


def setting(value: Any) -> str:
    """Write a parameter's value with three digits."""
    if not isinstance(value, float):
        return one_line(str(value))
    return _tidy(f"{value:.3g}" if value == 0 or 1e-2 <= abs(value) < 1e4 else f"{value:.2e}")


def settings(params: Mapping[str, Any]) -> str:
    """Write a trial's parameters on one line."""
    return ", ".join(f"{one_line(name)} {setting(value)}" for name, value in params.items())


def duration(seconds: float) -> str:
    """Write a duration: `0:07`, `12:30`, `3:05:00`, `2d 03h`."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours >= 48:
        return f"{hours // 24}d {hours % 24:02d}h"
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def change(metric: str, before: float, after: float) -> str:
    """Write a metric's change with its sign: of an accuracy in points, of others in percent, or as a factor.

    A percentage says nothing where the base model was near 0, or is left far behind (a perplexity of thousands).
    """
    if metric.endswith("accuracy"):
        return f"{100 * (after - before):+z.1f} points".replace("-", "−")
    if before <= 0 or after <= 0:
        return ""
    factor = max(before, after) / min(before, after)
    if factor < FACTOR:
        return f"{(after - before) / before * 100:+z.1f} %".replace("-", "−")
    return f"{'÷' if after < before else '×'} {factor:,.0f}"


def plural(count: int, noun: str) -> str:
    """Write a count with its noun."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def _tidy(text: str) -> str:
    """Write exponents short, and without zeros before them: `1e-3` for `1.00e-03`."""
    mantissa, e, exponent = text.partition("e")
    if not e:
        return text
    if "." in mantissa:
        mantissa = mantissa.rstrip("0").rstrip(".")
    return f"{mantissa}e{int(exponent)}"
