"""Stories of everyday text: what the corpus's people live through, told by a narrator instead of answered.

A narrator knows the words (잠을 못 주무셨다. 어떻게 하면 좋을까? 잠이 올 것이다.); how a counsellor puts them is what
fine-tuning adds.
"""

from __future__ import annotations

import re

from trainer.builtin import frames
from trainer.builtin.content import Topic, feelings, topics
from trainer.builtin.content.things import bind_slots
from trainer.builtin.conversation import JOY, tell
from trainer.builtin.grammar import Draw, choose, render

Turns = tuple[str, ...]

_ELDERS = ("할머니", "할아버지", "선생님", "어머니", "아버지", "사장님", "이웃 어른", "손님", "이모", "고모")
_ASKED_ON = ("이어서 [쓰세요|써 주세요].", "다음에 올 [문장을|이야기를] 쓰세요.", "이야기를 [마저|더] 써 보세요.")
_ASKED_TO_RETELL = ("이야기로 [바꿔 쓰세요|써 주세요].", "소설처럼 써 보세요.", "[짧은 이야기로|이야기로] 옮겨 주세요.")
# Polite endings of the corpus's answers, and what a narrator says instead.
_ENDINGS = (
    (re.compile(r"거예요\."), "것이다."),
    (re.compile(r"(이에요|예요)\."), "이다."),
    (re.compile(r"돼요\."), "된다."),
    (re.compile(r"([줘져해])요\."), ""),
    (re.compile(r"세요\?"), "실까?"),
    (re.compile(r"(까|나|가)요\?"), r"\1?"),
    (re.compile(r"요([.?])"), r"\1"),
)
_PLAIN = {"줘": "준다.", "져": "진다.", "해": "한다."}


def narrated(answer: str) -> str:
    """An answer's sentences as a narrator would have them: 좋을까요? → 좋을까?, 올 거예요. → 올 것이다."""
    for pattern, ending in _ENDINGS:
        answer = pattern.sub(ending or (lambda m: _PLAIN[m[1]]), answer)
    return answer


def story(draw: Draw) -> str:
    """Three to five sentences."""
    lines = _lines(draw)
    return " ".join(lines[: 3 + draw.below(3)])


def going_on(draw: Draw) -> Turns:
    """The beginning of a story, and how it goes on."""
    lines = _lines(draw)
    told = 1 + draw.below(2)
    return f"{choose(draw.pick(_ASKED_ON), draw)} {' '.join(lines[:told])}", " ".join(lines[told : told + 3])


def retelling(draw: Draw) -> Turns:
    """One utterance of a dialogue, and a narrator's words for it."""
    topic = draw.pick(topics())
    polite = draw.chance(0.5)
    slots = bind_slots(draw, age=draw.pick(topic.ages), gender=draw.pick("12"), polite=polite)
    told, retold = draw.pick((_retell_event, _retell_detail, _retell_plan))(draw, topic)
    told = render(told, draw, slots, polite=polite)
    asked = choose(draw.pick(_ASKED_TO_RETELL), draw)
    return draw.pick((f"{asked} {told}", f"{told} {asked}")), " ".join(narrated(render(s, draw, slots)) for s in retold)


def _retell_event(draw: Draw, topic: Topic) -> tuple[str, list[str]]:
    event = draw.pick(topic.events)
    emotion = f"E{draw.pick(event.groups)}{draw.below(10)}"
    feeling = feelings()[emotion]
    told = tell(draw, event, draw.pick(feeling.told), frames.JOY if emotion[1] == JOY else frames.SORROW)
    felt = _felt(draw, draw.pick(feeling.named)[:-1])
    retold = [f"{event.mirrored}다.", felt] if draw.chance(0.8) else [felt, f"{event.mirrored}다."]
    return told, [*retold, draw.pick(topic.asks)]


def _retell_detail(draw: Draw, topic: Topic) -> tuple[str, list[str]]:
    detail = draw.pick(topic.details)
    return detail.told, [f"{detail.answered}다.", draw.pick(topic.remedies)]


def _retell_plan(draw: Draw, topic: Topic) -> tuple[str, list[str]]:
    plan = draw.pick(topic.plans)
    return plan.told, [plan.answered]


def _lines(draw: Draw) -> list[str]:
    topic = draw.pick(topics())
    slots = bind_slots(draw, age=draw.pick(topic.ages), gender=draw.pick("12"), polite=False)
    event, detail, plan = draw.pick(topic.events), draw.pick(topic.details), draw.pick(topic.plans)

    def say(template: str) -> str:
        return narrated(render(template, draw, slots))

    who = f"{draw.pick(_ELDERS)}은/는 " if event.mirrored.endswith("셨") and draw.chance(0.5) else ""
    lines = [
        say(f"{who}{event.mirrored}다."),
        _feeling(draw, event.groups),
        say(draw.pick(topic.asks)),
        say(f"{detail.answered}다."),
        say(draw.pick(topic.remedies)),
        say(plan.answered),
    ]
    # A story leaves some out: no sentence always follows another.
    kept = [line for line in lines[1:] if draw.chance(0.7)]
    return [lines[0], *kept, _title(topic)]


def _feeling(draw: Draw, groups: str) -> str:
    return _felt(draw, draw.pick(feelings()[f"E{draw.pick(groups)}{draw.below(10)}"].named)[:-1])


def _felt(draw: Draw, stem: str) -> str:
    return draw.pick((f"{stem}셨다.", f"얼마나 {stem}셨는지 모른다.", f"그래서 {stem}셨다.", f"{stem}실 때도 있었다."))


def _title(topic: Topic) -> str:
    return f"{topic.title} 이야기다."
