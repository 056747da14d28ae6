"""The codes and Korean words of AI Hub's emotional-dialogue corpus, and the names that stand for them here."""

from __future__ import annotations

import re
from collections.abc import Mapping

EMOTIONS: Mapping[str, str] = {
    "E1": "anger",
    "E2": "sadness",
    "E3": "anxiety",
    "E4": "hurt",
    "E5": "embarrassment",
    "E6": "joy",
}
AGE_GROUPS: Mapping[str, str] = {"A01": "youth", "A02": "young_adult", "A03": "middle_aged", "A04": "old"}
GENDERS: Mapping[str, str] = {"G01": "male", "G02": "female"}
ILLNESSES: Mapping[str, str] = {"D01": "chronic", "D02": "none"}

# The table form spells the codes out.
_KOREAN: Mapping[str, str] = {
    "분노": "anger",
    "슬픔": "sadness",
    "불안": "anxiety",
    "상처": "hurt",
    "당황": "embarrassment",
    "기쁨": "joy",
    "청소년": "youth",
    "청년": "young_adult",
    "중년": "middle_aged",
    "노년": "old",
    "남성": "male",
    "남자": "male",
    "여성": "female",
    "여자": "female",
    "만성질환 있음": "chronic",
    "만성질환 없음": "none",
}


def emotion_name(value: str) -> str | None:
    """The group of an emotion (`E18`, `E1`, `분노` or `anger` → `anger`); None for an unknown one."""
    code = value.strip().upper()
    if re.fullmatch(r"E[1-6][0-9X]?", code, re.ASCII):
        return EMOTIONS[code[:2]]
    return _named(value, EMOTIONS)


def emotion_type(value: str) -> str | None:
    """The code of a single emotion (`e18` → `E18`); None for a group or another word."""
    code = value.strip().upper()
    return code if re.fullmatch(r"E[1-6][0-9]", code, re.ASCII) else None


def age_group_name(value: str) -> str | None:
    """The name of an age group (`A02`, `청년`, `young adult` → `young_adult`); None for an unknown one."""
    return _named(value, AGE_GROUPS)


def with_names(attributes: Mapping[str, str]) -> dict[str, str]:
    """Attributes in which codes and Korean words are names; an unknown value stays as it is.

    A single emotion's code (`E18`) is kept as `emotion_type`.
    """
    named = dict(attributes)
    if single := emotion_type(named.get("emotion", "")):
        named["emotion_type"] = single
    readers = {"emotion": emotion_name, "emotion_type": emotion_type, "age_group": age_group_name}
    for key, read in readers.items():
        if key in named:
            named[key] = read(named[key]) or named[key]
    for key, codes in (("gender", GENDERS), ("illness", ILLNESSES)):
        if key in named:
            named[key] = _named(named[key], codes) or named[key]
    return named


def _named(value: str, codes: Mapping[str, str]) -> str | None:
    plain = value.strip()
    name = codes.get(plain.upper()) or _KOREAN.get(plain) or re.sub(r"[\s-]+", "_", plain.lower())
    return name if name in codes.values() else None
