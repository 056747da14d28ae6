"""From what a record says to a dialogue: text cleaned, neighbours of one role joined, the unanswered left out."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from trainer.dialogues.codes import with_names
from trainer.dialogues.values import Dialogue, Role, Turn
from trainer.errors import DataError

NO_REPLY = "dialogue without a reply"
NOT_LEARNED = "dialogue without a reply that is to be learned"
UNANSWERED = "last user turn without a reply (the turn only, its dialogue is kept)"


class Record(NamedTuple):
    """A raw record and where it is ("record 3", "line 12", "row 40")."""

    where: str
    content: Any


@dataclass(frozen=True, slots=True)
class Draft:
    """Turns as a record gives them (texts already cleaned, none empty), and its attributes, in codes or names.

    left_out   why its own marks leave the record out; "" where they do not
    """

    turns: list[Turn]
    attributes: dict[str, str] = field(default_factory=dict)
    left_out: str = ""


def finish(draft: Draft, dropped: Counter[str]) -> Dialogue | None:
    """Make a dialogue that ends with a reply; None, counted in `dropped`, where there is none to learn.

    Turns of one role in a row become one turn, joined by a line break. A last user turn that nobody answered
    is left out, because nothing is learned from it.

    Raises:
        DataError: no turns, a reply comes first, or replies in a row of which only some are learned.
    """
    if draft.left_out:
        dropped[draft.left_out] += 1
        return None
    if not draft.turns:
        raise DataError("it has no turns; give each record at least a user's text and a reply")
    turns = [_joined(list(group)) for _, group in itertools.groupby(draft.turns, key=lambda turn: turn.role)]
    if turns[0].role == "model":
        raise DataError("its first turn is a reply, but Gemma's template begins with the user's turn")
    if len(turns) == 1:
        dropped[NO_REPLY] += 1
        return None
    if turns[-1].role == "user":
        dropped[UNANSWERED] += 1
        turns.pop()
    if not any(turn.learned for turn in turns[1::2]):
        dropped[NOT_LEARNED] += 1
        return None
    return Dialogue(tuple(turns), with_names(draft.attributes))


def _joined(turns: list[Turn]) -> Turn:
    role, learned = turns[0].role, all(turn.learned for turn in turns)
    if role == "model" and learned != any(turn.learned for turn in turns):
        raise DataError("replies in a row are one turn, learned or not, but only some of them are to be learned")
    return turns[0] if len(turns) == 1 else Turn(role, "\n".join(turn.text for turn in turns), learned)


def clean(value: Any, key: str) -> str:
    """Strip a text and make its line breaks `\\n`; null is "" (an absent field).

    Raises:
        DataError: the value of `key` is not text.
    """
    if value is None:
        return ""
    if not isinstance(value, str):
        raise DataError(f"`{key}` must be text, but got {describe(value)}")
    return value.replace("\r\n", "\n").replace("\r", "\n").strip()


def add_turn(turns: list[Turn], role: Role, text: str, *, learned: bool = True) -> None:
    """Append a turn unless its text is empty."""
    if text:
        turns.append(Turn(role, text, learned))


def describe(value: Any) -> str:
    """A short name of a JSON value for messages; never its whole content, which may be huge or deep."""
    match value:
        case None:
            return "null"
        case list():
            return f"a list of {len(value)}"
        case dict():
            return f"an object with {listing(value)}" if value else "an empty object"
        case int() if not isinstance(value, bool) and abs(value) >= 10**30:
            return "a huge number"  # printing one of more than 4,300 digits is an error in Python
        case _:
            return f"{value!r:.60}"


def listing(names: Collection[Any]) -> str:
    """Names for a message, at most twelve."""
    shown = [f"{name!r:.40}" for name in itertools.islice(names, 12)]
    rest = len(names) - len(shown)
    return ", ".join(shown) + (f" and {rest} more" if rest > 0 else "")
