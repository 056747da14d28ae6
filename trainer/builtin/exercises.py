"""Small exercises of everyday text: sums, reading, repeating, naming a topic, saying a thing politely; and diaries."""

from __future__ import annotations

from trainer.builtin.content import Event, Topic, topics
from trainer.builtin.content.things import bind_slots
from trainer.builtin.grammar import Draw, choose, render
from trainer.builtin.josa import past_stem, resolve

Turns = tuple[str, ...]

_ONES = ("영", "일", "이", "삼", "사", "오", "육", "칠", "팔", "구")
_PEOPLE = ("민수", "지영", "철수", "영희", "준호", "수진", "하늘", "동현", "미나", "은경", "서연", "현우")
_PLACES = ("학교", "회사", "병원", "시장", "공원", "도서관", "우체국", "극장", "약국", "서점", "역", "은행")
_THINGS = ("책", "빵", "우산", "사과", "편지", "모자", "시계", "꽃", "신문", "가방", "물", "연필")
_DONE = ("샀다", "가져갔다", "찾았다", "잃어버렸다", "보았다", "받았다")
_ASKED_TOPIC = ("무엇에 대한 [글|말]이에요?", "다음 [글|말]의 주제는 무엇입니까?", "이것은 무슨 이야기예요?")
_ASKED_POLITELY = ("높임말로 [바꿔|써] 주세요.", "다음 말을 [공손하게|높여서] 쓰세요.", "웃어른의 일로 바꿔 쓰세요.")
_ASKED_AGAIN = ("따라 [말해|써] 보세요.", "[그대로|똑같이] [쓰세요|말하세요].", "다음 문장을 옮겨 쓰세요.")
_DAYS = ("월요일", "화요일", "수요일", "목요일", "금요일", "토요일", "일요일")


def number(value: int) -> str:
    """A number from 0 to 9999 in Sino-Korean words."""
    if value == 0:
        return _ONES[0]
    words = ""
    for unit, name in ((1000, "천"), (100, "백"), (10, "십"), (1, "")):
        digit = value // unit % 10
        if digit:
            words += ("" if digit == 1 and name else _ONES[digit]) + name
    return words


def sums(draw: Draw) -> Turns:
    """A sum or a difference, in words or digits."""
    a, b = draw.below(100), draw.below(20)
    write = number if draw.chance(0.5) else str
    if draw.chance(0.5):
        return resolve(f"{write(a)} 더하기 {write(b)}은/는 얼마예요?"), resolve(f"{write(a + b)}이에요/예요.")
    return resolve(f"{write(a + b)} 빼기 {write(b)}은/는 얼마예요?"), resolve(f"{write(a)}이에요/예요.")


def reading(draw: Draw) -> Turns:
    """Two sentences and a question that one of them answers."""
    people, places, things = (draw.shuffled(words)[:2] for words in (_PEOPLE, _PLACES, _THINGS))
    done = [draw.pick(_DONE) for _ in people]
    story = " ".join(
        f"{who}은/는 {where}에서 {what}을/를 {did}."
        for who, where, what, did in zip(people, places, things, done, strict=True)
    )
    i = draw.below(2)
    who, where, what, past = people[i], places[i], things[i], done[i].removesuffix("다")
    question, answer = draw.pick(
        (
            (f"{who}은/는 어디에 있었나요?", f"{who}은/는 {where}에 있었어요."),
            (f"누가 {what}을/를 {past}나요?", f"{who}이/가 {what}을/를 {past}어요."),
            (f"{who}은/는 무엇을 {past}나요?", f"{what}을/를 {past}어요."),
        )
    )
    return resolve(f"{story} {question}"), resolve(answer)


def repeating(draw: Draw) -> Turns:
    """A sentence to be said again."""
    topic, event, slots = _event(draw)
    text = _happened(draw, event, slots)
    if draw.chance(0.5):
        text = render(draw.pick(topic.details).told, draw, slots, polite=False)
    return f"{choose(draw.pick(_ASKED_AGAIN), draw)} {text}", text


def spelling(draw: Draw) -> Turns:
    """Syllables of no word, to be said again: most have no piece in the vocabulary, so they train its bytes."""
    text = "".join(chr(ord("가") + draw.below(11172)) for _ in range(1 + draw.below(4)))
    return f"{choose(draw.pick(_ASKED_AGAIN), draw)} {text}", text


def naming_the_topic(draw: Draw) -> Turns:
    """What a sentence is about."""
    topic, event, slots = _event(draw)
    text = _happened(draw, event, slots)
    if draw.chance(0.5):
        text = f"{text} {render(draw.pick(topic.details).told, draw, slots, polite=False)}"
    answer = draw.pick(("{}에 대한 글이에요.", "{}에 대한 이야기예요.", "{}이에요/예요."))
    return f"{choose(draw.pick(_ASKED_TOPIC), draw)} {text}", resolve(answer.format(topic.title))


def saying_politely(draw: Draw) -> Turns:
    """An event, told of somebody to be respected."""
    _, event, slots = _event(draw)
    asked = f"{choose(draw.pick(_ASKED_POLITELY), draw)} {_happened(draw, event, slots)}"
    return asked, f"{render(event.mirrored, draw, slots)}습니다."


def diary(draw: Draw) -> str:
    """A day in two or three plain sentences."""
    topic, event, slots = _event(draw)
    lines = [f"{draw.pick(_DAYS)} 일기.", _happened(draw, event, slots)]
    if draw.chance(0.6):
        lines.append(render(draw.pick(topic.details).told, draw, slots, polite=False))
    if draw.chance(0.4):
        lines.append(render(draw.pick(topic.plans).told, draw, slots, polite=False))
    return " ".join(lines)


def _event(draw: Draw) -> tuple[Topic, Event, dict[str, str]]:
    topic = draw.pick(topics())
    slots = bind_slots(draw, age=draw.pick(topic.ages), gender=draw.pick("12"), polite=False)
    return topic, draw.pick(topic.events), slots


def _happened(draw: Draw, event: Event, slots: dict[str, str]) -> str:
    clause = choose(event.told, draw)
    return render(f"{clause}." if event.lasting else f"{past_stem(clause)}다.", draw, slots, polite=False)
