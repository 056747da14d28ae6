"""Reads the topics and feelings of this folder."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

TOPIC_FILES = ("health", "school", "work", "family", "people", "money", "joy", "rejoicing")


@dataclass(frozen=True, slots=True)
class Event:
    """What happened: for which emotion `groups` (digits), as told, as an answer mirrors it; `lasting`: it goes on."""

    groups: str
    told: str
    mirrored: str
    lasting: bool


@dataclass(frozen=True, slots=True)
class Exchange:
    """One utterance and what is answered."""

    told: str
    answered: str


@dataclass(frozen=True, slots=True)
class Topic:
    """One theme: first exchange (events, asks), second (details, remedies), third (plans)."""

    name: str
    title: str
    situation: str
    ages: str
    events: tuple[Event, ...]
    asks: tuple[str, ...]
    details: tuple[Exchange, ...]
    remedies: tuple[str, ...]
    plans: tuple[Exchange, ...]


@dataclass(frozen=True, slots=True)
class Feeling:
    """`told`: 아/어 forms, or nouns with @; `named`: stems that end in 시, for 시겠어요, 셨을지, 실 만해요."""

    told: tuple[str, ...]
    named: tuple[str, ...]


@cache
def topics() -> tuple[Topic, ...]:
    """Every topic, in the order of the files."""
    return tuple(topic for name in TOPIC_FILES for topic in _read_topics(name))


@cache
def feelings() -> dict[str, Feeling]:
    """The feelings by their code, E10..E69."""
    found = {}
    for line in _lines("feelings"):
        code, _, rest = line.partition(": ")
        told, named = (tuple(part.split(" / ")) for part in rest.split(" → "))
        found[code] = Feeling(told, named)
    return found


def _lines(name: str) -> Iterator[str]:
    text = files(__package__).joinpath(f"{name}.txt").read_text(encoding="utf-8")
    return (line for line in text.splitlines() if line and not line.startswith("#"))


def _read_topics(name: str) -> Iterator[Topic]:
    heading, parts = "", defaultdict[str, list[str]](list)
    for line in _lines(name):
        if line.startswith("== "):
            if heading:
                yield _topic(heading, parts)
            heading, parts = line[3:], defaultdict(list)
        else:
            kind, _, rest = line.partition(": ")
            # An event's groups travel with its text.
            label, _, groups = kind.partition(" ")
            parts[label].append(f"{groups} → {rest}" if groups else rest)
    yield _topic(heading, parts)


def _topic(heading: str, parts: dict[str, list[str]]) -> Topic:
    name, situation, ages, title = heading.split(maxsplit=3)
    return Topic(
        name=name,
        title=title,
        situation=situation,
        ages=ages,
        events=tuple(_event(line) for line in parts["event"]),
        asks=tuple(parts["ask"]),
        details=tuple(Exchange(*line.split(" → ")) for line in parts["detail"]),
        remedies=tuple(parts["remedy"]),
        plans=tuple(Exchange(*line.split(" → ")) for line in parts["plan"]),
    )


def _event(line: str) -> Event:
    groups, told, mirrored = line.split(" → ")
    return Event(groups, told.removeprefix("^"), mirrored, lasting=told.startswith("^"))
