"""Puts one dialogue together: a person tells, the answer feels with him, asks, and stays on the topic."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

from trainer.builtin import frames
from trainer.builtin.content import Event, Exchange, Topic, feelings, topics
from trainer.builtin.content.things import bind_slots
from trainer.builtin.grammar import Draw, choose, render
from trainer.builtin.josa import past_stem

JOY = "6"
POLITE_SHARE = {"1": 0.4, "2": 0.5, "3": 0.5, "4": 0.4}  # of each age group who speak in 해요체

# An event that says when it was gets no second time.
_OWN_TIME = re.compile(
    "어제|오늘|올해|다음|내일|모레|어젯밤|오랜만|드디어|마침내|연휴|명절|생신|생일|기념일|째|밤에|밤새|이번|요새|요즘"
    "|마다|종일|주말|아침|새벽|방금|며칠|지난|퇴직하|은퇴|남았는데|점심|아직"
)


@dataclass(frozen=True, slots=True)
class Persona:
    """Who speaks: `emotion` E10..E69, `age` 1..4, `gender` 1 or 2."""

    emotion: str
    age: str
    gender: str

    @property
    def group(self) -> str:
        """The emotion group, 1..6."""
        return self.emotion[1]


@dataclass(frozen=True, slots=True)
class Plot:
    """What a dialogue puts together, whatever the wording; `combination` names the event with the detail."""

    topic: Topic
    event: Event
    detail: Exchange
    plan: Exchange

    @property
    def combination(self) -> str:
        """The topic with the numbers of the event and of the detail."""
        return f"{self.topic.name} {self.topic.events.index(self.event)} {self.topic.details.index(self.detail)}"


def draw_plot(draw: Draw, persona: Persona, allows: Callable[[str], bool]) -> Plot:
    """A plot that fits `persona`, of a combination that `allows` is true of."""
    while True:
        topic, events = draw.pick(_fitting(persona.group, persona.age))
        plot = Plot(topic, draw.pick(events), draw.pick(topic.details), draw.pick(topic.plans))
        if allows(plot.combination):
            return plot


@lru_cache(maxsize=24)
def _fitting(group: str, age: str) -> tuple[tuple[Topic, tuple[Event, ...]], ...]:
    """The topics that somebody of `age` has, each with its events of the emotion group."""
    pairs = ((t, tuple(e for e in t.events if group in e.groups)) for t in topics() if age in t.ages)
    return tuple((topic, events) for topic, events in pairs if events)


def converse(draw: Draw, persona: Persona, plot: Plot) -> tuple[str, ...]:
    """The six utterances of three exchanges: person, answer, person, answer, person, answer."""
    polite = draw.chance(POLITE_SHARE[persona.age])
    slots = bind_slots(draw, age=persona.age, gender=persona.gender, polite=polite)
    style = frames.JOY if persona.group == JOY else frames.SORROW
    feeling = feelings()[persona.emotion]
    asks = (*plot.topic.asks, *plot.topic.asks, frames.ASK_MORE)

    def say(frame: str, **parts: str) -> str:
        for name, part in parts.items():
            frame = frame.replace("{" + name + "}", part)
        return render(frame, draw, slots, polite=polite)

    return (
        say(tell(draw, plot.event, draw.pick(feeling.told), style)),
        say(draw.pick(style.felt), m=plot.event.mirrored, s=draw.pick(feeling.named)[:-1], q=draw.pick(asks)),
        say(style.telling, d=plot.detail.told),
        say(draw.pick(style.heard), a=plot.detail.answered, q=draw.pick(plot.topic.remedies)),
        say(frames.PLANNING, d=plot.plan.told),
        say(style.cheered, c=plot.plan.answered),
    )


def tell(draw: Draw, event: Event, feeling: str, style: frames.Style) -> str:
    """The template of a first utterance: the event, how it feels, and perhaps when it was."""
    # Choices are settled first: the ending depends on the last syllable of the one that is taken.
    clause = choose(event.told, draw)
    feeling = feeling if feeling.endswith("@") else feeling + "~"
    when = "" if _OWN_TIME.search(clause) else (frames.LATELY if event.lasting else frames.WHEN)
    frame = draw.pick(style.lasting if event.lasting else style.past)
    parts = {"{t}": when, "{e}": clause, "{p}": past_stem(clause), "{f}": feeling}
    for mark, part in parts.items():
        frame = frame.replace(mark, part)
    return frame
