"""What a check of `sweeps doctor` finds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Finding:
    """A grade, what was seen, and what to do about it ("" where nothing is to be done)."""

    grade: Literal["ok", "warn", "fail"]
    text: str
    fix: str = ""


def ok(text: str) -> Finding:
    """All is well."""
    return Finding("ok", text)


def warn(text: str, fix: str) -> Finding:
    """Sweeps run, but slowly, or not all of them."""
    return Finding("warn", text, fix)


def fail(text: str, fix: str) -> Finding:
    """Sweeps cannot run."""
    return Finding("fail", text, fix)
