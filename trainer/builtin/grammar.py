"""A small grammar for text: `[a|b]` chooses, `{slot}` names a value, `은/는` and its like follow the word before.

`~` and `@` are the speech level: `~` adds 요, `@` is the copula (이에요/예요 or 이야/야).
"""

from __future__ import annotations

import random
import re
from collections.abc import Mapping, Sequence
from typing import TypeVar

from trainer.builtin.josa import resolve

T = TypeVar("T")

_INNERMOST = re.compile(r"\[([^\[\]]*)\]")
_SLOT = re.compile(r"\{([^{}]+)\}")
_SPACES = re.compile(r" {2,}")
_SPACE_BEFORE_MARK = re.compile(r" +([.,?!])")


class Draw:
    """Choices from a seed; the same on every platform and Python version."""

    def __init__(self, seed: str) -> None:
        # Only `random()` of this generator is promised to stay the same between Python versions.
        self._random = random.Random(seed)  # noqa: S311 - text, not secrets

    def below(self, limit: int) -> int:
        """A whole number from 0 to `limit - 1`."""
        return int(self._random.random() * limit)

    def chance(self, probability: float) -> bool:
        """True with `probability`."""
        return self._random.random() < probability

    def pick(self, items: Sequence[T]) -> T:
        """One of `items`."""
        return items[self.below(len(items))]

    def shuffled(self, items: Sequence[T]) -> list[T]:
        """`items` in a new order."""
        keys = [self._random.random() for _ in items]
        return [items[i] for i in sorted(range(len(items)), key=keys.__getitem__)]


def choose(template: str, draw: Draw) -> str:
    """Settle every `[a|b|c]`, innermost first."""
    while "[" in template:
        template = _INNERMOST.sub(lambda m: draw.pick(m[1].split("|")), template, count=1)
    return template


def fill(template: str, slots: Mapping[str, str]) -> str:
    """Put values into `{slot}`s.

    Raises:
        KeyError: the template names a slot that has no value.
    """
    return _SLOT.sub(lambda m: slots[m[1]], template)


def level(text: str, *, polite: bool) -> str:
    """Settle `~` and `@`."""
    if polite:
        return text.replace("@", "이에요/예요").replace("~", "요")
    return text.replace("@", "이야/야").replace("~", "")


def render(template: str, draw: Draw, slots: Mapping[str, str], *, polite: bool = True) -> str:
    """One text from a template: choices, slots, speech level and particles settled, spaces tidy."""
    text = resolve(level(fill(choose(template, draw), slots), polite=polite))
    return _SPACE_BEFORE_MARK.sub(r"\1", _SPACES.sub(" ", text)).strip()
