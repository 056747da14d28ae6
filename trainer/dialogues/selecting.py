"""Which dialogues are used: by emotion, by age group, and at most so many; what is left out is counted."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from trainer.dialogues.codes import AGE_GROUPS, EMOTIONS, age_group_name, emotion_name, emotion_type
from trainer.dialogues.values import Dialogue
from trainer.errors import DataError


@dataclass(frozen=True, slots=True)
class DialogueFilter:
    """What to keep; None keeps all.

    emotions     groups (`anger`, `E1`, `분노`) or single emotions (`E18`)
    age_groups   `youth`, `young_adult`, `middle_aged`, `old`, or `A01` to `A04`
    part         share of the dialogues, as (from, to) with 0 ≤ from < to ≤ 1: one file becomes training and validation
                 set. It is decided by a hash of the first thing that the user says, so that no question is in two parts
    limit        at most so many, applied last: dialogue ⌊i·n/limit⌋ of the n that are left, for i = 0 … limit - 1,
                 so that the subset is spread evenly over the file, in its order, and the same every time
    limit_key    what whoever set the limit calls it

    Raises:
        DataError: an unknown name, an empty list, an impossible part, or a limit below 1.
    """

    emotions: tuple[str, ...] | None = None
    age_groups: tuple[str, ...] | None = None
    limit: int | None = None
    part: tuple[float, float] | None = None
    limit_key: str = "limit"

    def __post_init__(self) -> None:
        emotions = _names("emotions", self.emotions, emotion_name, EMOTIONS, ", or a single emotion such as E18")
        object.__setattr__(self, "emotions", emotions)
        object.__setattr__(self, "age_groups", _names("age_groups", self.age_groups, age_group_name, AGE_GROUPS))
        if self.limit is not None and (
            isinstance(self.limit, bool) or not isinstance(self.limit, int) or self.limit < 1
        ):
            raise DataError(f"`limit` must be a whole number from 1 or null, but got {self.limit!r:.60}.")
        if self.part is not None and not 0 <= self.part[0] < self.part[1] <= 1:
            raise DataError(f"`part` must be two numbers with 0 ≤ from < to ≤ 1, but got {list(self.part)!r:.60}.")

    def apply(self, dialogues: Sequence[Dialogue], dropped: Counter[str]) -> tuple[Dialogue, ...]:
        """The dialogues that are kept, in order; the others are counted in `dropped` by reason."""
        kept = []
        for dialogue in dialogues:
            reason = self._reason_against(dialogue.attributes) or self._not_in_part(dialogue)
            if reason is None:
                kept.append(dialogue)
            else:
                dropped[reason] += 1
        if self.limit is None or len(kept) <= self.limit:
            return tuple(kept)
        dropped[f"over the limit of {self.limit:,} dialogues (`{self.limit_key}`)"] += len(kept) - self.limit
        return tuple(kept[index * len(kept) // self.limit] for index in range(self.limit))

    def _not_in_part(self, dialogue: Dialogue) -> str | None:
        if self.part is None:
            return None
        hashed = hashlib.sha256(" ".join(dialogue.turns[0].text.split()).encode()).digest()
        inside = self.part[0] <= int.from_bytes(hashed[:6]) / 2**48 < self.part[1]
        return None if inside else f"outside the part from {self.part[0]:g} to {self.part[1]:g}"

    def _reason_against(self, attributes: Mapping[str, str]) -> str | None:
        if self.emotions is not None and not _emotion_matches(attributes, self.emotions):
            return f"emotion other than {', '.join(self.emotions)}"
        if self.age_groups is not None:
            age_group = attributes.get("age_group")
            if age_group is None or age_group not in [age_group_name(wanted) for wanted in self.age_groups]:
                return f"age group other than {', '.join(self.age_groups)}"
        return None


def _emotion_matches(attributes: Mapping[str, str], emotions: tuple[str, ...]) -> bool:
    for wanted in emotions:
        single = emotion_type(wanted)
        if single is not None and attributes.get("emotion_type") == single:
            return True
        if single is None and attributes.get("emotion") == emotion_name(wanted):
            return True
    return False


def _names(
    key: str, names: Any, known: Callable[[str], str | None], codes: Mapping[str, str], also: str = ""
) -> tuple[str, ...] | None:
    if names is None:
        return None
    if not isinstance(names, tuple | list) or not names:
        raise DataError(f"`{key}` must be a list of at least one name or null, but got {names!r:.60}.")
    for name in names:
        if not isinstance(name, str) or known(name) is None:
            choices = ", ".join(f"{choice} ({code})" for code, choice in codes.items())
            raise DataError(f"Unknown name {name!r:.60} in `{key}`. Choose from: {choices}{also}.")
    return tuple(names)
