"""How values and choices are written in messages: short, on one line, without secrets, with a guess."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any

from trainer.masking import redact

_LONGEST = 80


def show(value: Any, *, longest: int = _LONGEST) -> str:
    """Write a value as Python would, without secrets, cut where it gets long; never raises, whatever the value."""
    try:
        text = redact(repr(value))
    except (ValueError, RecursionError):  # a number of more digits than Python prints, or endless nesting
        text = f"<{type(value).__name__}>"
    text = "".join(c if c.isprintable() else "?" for c in text)
    return text if len(text) <= longest else f"{text[: longest - 1]}…"


def choices(names: Iterable[Any], *, limit: int = 40) -> str:
    """Write the choices, separated by commas; text stands bare, other values as in Python."""
    written = [name if isinstance(name, str) else show(name) for name in names]
    more = f", … ({len(written)} in all)" if len(written) > limit else ""
    return ", ".join(written[:limit]) + more


def did_you_mean(name: Any, known: Iterable[str]) -> str:
    """Return ` Did you mean ...?` where a known name is close, else nothing."""
    names = {known_name.lower(): known_name for known_name in known}
    close = difflib.get_close_matches(str(name)[:_LONGEST].lower(), list(names), n=1, cutoff=0.6)
    return f" Did you mean `{names[close[0]]}`?" if close else ""


def unknown_key(name: Any, known: Iterable[str]) -> str:
    """Say that a key is unknown, with a guess and the choices."""
    names = list(known)
    return f"Unknown key.{did_you_mean(name, names)} Choose from: {choices(names)}."
