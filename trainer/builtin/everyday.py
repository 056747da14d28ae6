"""Everyday Korean and English that the built-in model is pretrained on: plain exchanges, stories, exercises.

None of it counsels: that register is left for fine-tuning to learn. What the corpus talks of does occur, in diaries,
stories and exercises (what is this about? say it politely; go on), so that its words are known.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from trainer.builtin import exercises, narration
from trainer.builtin.grammar import Draw, choose, fill
from trainer.builtin.josa import resolve

_SLOT = re.compile(r"\{([^{}]+?)(\d?)\}")


@dataclass(frozen=True, slots=True)
class Language:
    """Templates of one language: `chats` are turns by turns, user first."""

    slots: dict[str, tuple[str, ...]]
    chats: tuple[tuple[str, ...], ...]
    texts: tuple[str, ...]


def everyday_samples(count: int, *, seed: str, spelling: bool = True) -> Iterator[str]:
    """`count` samples, running text or an exchange in Gemma's template; the same ones for the same seed.

    `spelling`: now and then syllables that make no word.
    """
    draw = Draw(f"everyday {seed}")
    kinds = (*_KINDS, _SPELLING) if spelling else _KINDS
    for _ in range(count):
        yield draw.pick(kinds)(draw)


def in_template(turns: tuple[str, ...]) -> str:
    """The turns, user first, in Gemma's chat template."""
    roles = ("user", "model")
    marked = (f"<start_of_turn>{roles[i % 2]}\n{turn}<end_of_turn>" for i, turn in enumerate(turns))
    return "\n".join(marked)


def _chat(language: str) -> Callable[[Draw], str]:
    def make(draw: Draw) -> str:
        turns = "\n".join(draw.pick(_language(language).chats))
        return in_template(tuple(_render(turns, draw, language).split("\n")))

    return make


def _text(language: str) -> Callable[[Draw], str]:
    return lambda draw: _render(draw.pick(_language(language).texts), draw, language)


def _exercise(make: Callable[[Draw], exercises.Turns]) -> Callable[[Draw], str]:
    return lambda draw: in_template(make(draw))


# How often each kind occurs, by repetition.
_KINDS: tuple[Callable[[Draw], str], ...] = (
    *[_chat("korean")] * 6,
    *[_text("korean")] * 4,
    *[_chat("english")] * 2,
    _text("english"),
    _exercise(exercises.sums),
    *[_exercise(exercises.reading)] * 2,
    _exercise(exercises.repeating),
    _exercise(exercises.naming_the_topic),
    *[_exercise(exercises.saying_politely)] * 2,
    *[exercises.diary] * 2,
    *[narration.story] * 3,
    *[_exercise(narration.going_on)] * 3,
    *[_exercise(narration.retelling)] * 6,
)
_SPELLING = _exercise(exercises.spelling)


def _render(template: str, draw: Draw, language: str) -> str:
    template = choose(template, draw)
    slots = _bind(template, draw, _language(language).slots)
    text = fill(template, slots)
    return resolve(text) if language == "korean" else text


def _bind(template: str, draw: Draw, values: dict[str, tuple[str, ...]]) -> dict[str, str]:
    """A value for every slot of the template; {곳} and {곳2} differ."""
    bound: dict[str, str] = {}
    for name, number in _SLOT.findall(template):
        if name + number not in bound:
            free = [value for value in values[name] if value not in bound.values()]
            bound[name + number] = draw.pick(free)
    return bound


@cache
def _language(name: str) -> Language:
    slots: dict[str, tuple[str, ...]] = {}
    chats: list[tuple[str, ...]] = []
    texts: list[str] = []
    for line in files("trainer.builtin.daily").joinpath(f"{name}.txt").read_text(encoding="utf-8").splitlines():
        kind, _, rest = line.partition(": ")
        if kind.startswith("slot "):
            slots[kind.removeprefix("slot ")] = tuple(rest.split(" / "))
        elif kind == "chat":
            chats.append(tuple(rest.split(" → ")))
        elif kind == "text":
            texts.append(rest)
    return Language(slots, tuple(chats), tuple(texts))
