"""Records of AI Hub's emotional-dialogue corpus (감정 대화 말뭉치), JSON form.

{"profile": {"persona": {"human": ["A02", "G02"]}, "emotion": {"type": "E18", "situation": ["S06", "D02"]}},
 "talk": {"id": {"talk-id": "Pro_05349_00053"}, "content": {"HS01": …, "SS01": …, … "HS03": "", "SS03": ""}}}

HSnn is what the human says and SSnn the reply; "" stands for none, and either of a pair may be missing.
`talk` is needed; `profile` may be absent, and dialogues then have no attributes to be filtered by.
"""

from __future__ import annotations

import re
from typing import Any

from trainer.dialogues.drafts import Draft, add_turn, clean, describe, listing
from trainer.dialogues.values import Turn
from trainer.errors import DataError

_UTTERANCE = re.compile(r"([HS])S([0-9]{2})", re.ASCII)


def from_record(record: Any) -> Draft:
    """Read one record.

    Raises:
        DataError: a key that is missing or of the wrong type.
    """
    if not isinstance(record, dict):
        raise DataError(f"it must be an object, but got {describe(record)}")
    content = _object(record, "talk", "content", needed=True)
    spoken = sorted((match[2], match[1], key) for key in content if (match := _UTTERANCE.fullmatch(key)))
    turns: list[Turn] = []
    for _, side, key in spoken:
        add_turn(turns, "user" if side == "H" else "model", clean(content[key], f"talk.content.{key}"))
    if not turns:
        raise DataError(f"`talk.content` must have text in HS01, SS01 and so on, but got {describe(content)}")
    return Draft(turns, _attributes(record))


def _attributes(record: dict[str, Any]) -> dict[str, str]:
    identity = _object(record, "talk", "id")
    emotion = _object(record, "profile", "emotion")
    persona = _codes(_object(record, "profile", "persona"), "human", "profile.persona")
    situation = _codes(emotion, "situation", "profile.emotion")
    found = {
        "id": clean(identity.get("talk-id"), "talk.id.talk-id"),
        "emotion": clean(emotion.get("type"), "profile.emotion.type"),
        "age_group": _beginning_with("A", persona),
        "gender": _beginning_with("G", persona),
        "situation": _beginning_with("S", situation),
        "illness": _beginning_with("D", situation),
    }
    return {key: value for key, value in found.items() if value}


def _object(record: dict[str, Any], *keys: str, needed: bool = False) -> dict[str, Any]:
    """The object at a path of keys; {} where an unneeded one is absent."""
    here = record
    for depth, key in enumerate(keys, start=1):
        path = ".".join(keys[:depth])
        value = here.get(key)
        if value is None and not needed:
            return {}
        if key not in here:
            raise DataError(f"`{path}` is missing; it has {listing(here) or 'nothing'}")
        if not isinstance(value, dict):
            raise DataError(f"`{path}` must be an object, but got {describe(value)}")
        here = value
    return here


def _codes(parent: dict[str, Any], key: str, path: str) -> list[str]:
    codes = parent.get(key)
    if codes is None:
        return []
    if not isinstance(codes, list):
        raise DataError(f"`{path}.{key}` must be a list of codes, but got {describe(codes)}")
    return [clean(code, f"{path}.{key}") for code in codes]


def _beginning_with(letter: str, codes: list[str]) -> str:
    return next((code for code in codes if code.startswith(letter)), "")
