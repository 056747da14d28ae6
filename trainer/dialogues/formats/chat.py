"""Chat messages: {"messages": [{"role": "user", "content": …}, {"role": "assistant", "content": …}, …]}.

The list may have another name (`KEYS`), or be the whole record; a message may be of ShareGPT's form ({"from": …,
"value": …}), have its text in parts, or be an exchange: {"question": …, "answer": …} or [what is said, the reply].
`pairs` knows who speaks by which name. Gemma 2 has no system role: system text, which must come
first, is put before the first user text with a blank line between. Marks on a message or record say what is learned
(`trainer.dialogues.marks`). Other text fields of a record become attributes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, get_args

from trainer.dialogues.drafts import Draft, add_turn, clean, describe, listing
from trainer.dialogues.formats.pairs import ROLES, pair_in, role_of
from trainer.dialogues.marks import ON_MESSAGES, is_learned, reason_to_leave_out, refuse_preferences
from trainer.dialogues.values import Role, Turn
from trainer.errors import DataError

KEYS = ("messages", "conversations", "conversation", "dialogue", "dialog", "turns", "contents", "대화")
_SPEAKER = ("role", "from", "speaker")
_TEXT = ("content", "value", "text", "utterance", "parts")
_SYSTEM = ("system", "system_prompt", "systemInstruction", "system_instruction")
_PART_TYPES = ("text", "input_text", "output_text")
_DEEPEST = 3  # content → parts → the text of a part


def is_chat(record: Any) -> bool:
    """Whether a JSON value looks like a record of messages."""
    if isinstance(record, dict):
        return "messages" in record or any(isinstance(record.get(key), list) for key in KEYS)
    return isinstance(record, list)


def is_message(value: Any) -> bool:
    """Whether a JSON value is a message and nothing else."""
    known = {*_SPEAKER, *_TEXT, *ON_MESSAGES, "name", "type"}
    return isinstance(value, dict) and value.keys() <= known and any(key in value for key in _SPEAKER)


def from_record(record: Any, roles: Mapping[str, str] = ROLES) -> Draft:
    """Read one record; `roles` says who speaks by which name, as `trainer.dialogues.formats.pairs.roles_of` makes it.

    Raises:
        DataError: a key that is missing or of the wrong type, an unknown role, an empty message, or a late system one.
    """
    if isinstance(record, list):
        record = {"messages": record}
    if not isinstance(record, dict):
        raise DataError(f"it must be an object with `messages`, but got {describe(record)}")
    refuse_preferences(record)
    key = _key(record)
    turns: list[Turn] = []
    system = [_text(record[name], name) for name in _SYSTEM if record.get(name)]
    for index, message in enumerate(record[key]):
        path = f"{key}[{index}]"
        if exchange := _exchange(message, roles):
            for side, (name, text) in zip(get_args(Role), exchange, strict=True):
                _speak(side, _text(text, f"{path}.{name}"), turns, system, learned=_is_learned(message, path))
        else:
            _add(message, path, turns, system, roles)
    others = {name: text for name, text in record.items() if name not in _SYSTEM and isinstance(text, str)}
    attributes = {name: text.strip() for name, text in others.items() if text.strip()}
    return Draft(turns, attributes, reason_to_leave_out(record))


def _key(record: Mapping[str, Any]) -> str:
    """The key of the list of messages."""
    key = next((key for key in KEYS if isinstance(record.get(key), list)), "messages")
    if key not in record:
        raise DataError(f"`messages` is missing; it has {listing(record) or 'nothing'}")
    if not isinstance(record[key], list) or not record[key]:
        raise DataError(f"`{key}` must be a list of at least one message, but got {describe(record[key])}")
    return key


def _exchange(message: Any, roles: Mapping[str, str]) -> list[tuple[str, Any]] | None:
    """What is said and the reply, each with its name, of a message that holds both; None for any other."""
    if isinstance(message, list) and len(message) == 2 and all(isinstance(text, str) for text in message):
        return [("0", message[0]), ("1", message[1])]
    if not isinstance(message, dict) or any(key in message for key in _SPEAKER):
        return None
    pair = pair_in(message, roles)
    return [(name, message[name]) for name in pair] if pair else None


def _is_learned(message: Any, path: str) -> bool:
    return not isinstance(message, dict) or is_learned(message, path)


def _add(message: Any, path: str, turns: list[Turn], system: list[str], roles: Mapping[str, str]) -> None:
    """Append one message to `turns`, or to `system` until the first turn takes that up."""
    if not isinstance(message, dict):
        raise DataError(f"`{path}` must be an object with role and content, but got {describe(message)}")
    speaker = next((key for key in _SPEAKER if key in message), "role")
    role = role_of(message.get(speaker), f"{path}.{speaker}", roles)
    learned = is_learned(message, path)
    key = next((key for key in _TEXT if message.get(key) is not None), "content")
    if message.get(key) is None:
        raise DataError(f"`{path}.{key}` must be text, but is {'null' if key in message else 'missing'}")
    text = _text(message[key], f"{path}.{key}")
    if role == "system" and turns:
        raise DataError(
            f"`{path}` must not be a system message: system text comes before all turns. If {message[speaker]!r} is "
            f"who replies, say so beside the source: `roles: {{{message[speaker]}: model}}`"
        )
    if role != "system" and not text:
        raise DataError(f"`{path}.{key}` must have text, but is empty")
    _speak(role, text, turns, system, learned=learned)


def _speak(role: str, text: str, turns: list[Turn], system: list[str], *, learned: bool) -> None:
    if role == "system":
        system.append(text)
    elif role == "model":
        add_turn(turns, "model", text, learned=learned)
    elif text:
        preface = [] if turns else filter(None, system)
        add_turn(turns, "user", "\n\n".join([*preface, text]), learned=learned)


def _text(value: Any, path: str, depth: int = 0) -> str:
    """A text, or its parts joined by line breaks."""
    if isinstance(value, list) and depth < _DEEPEST:
        parts = [_text(part, f"{path}[{index}]", depth + 1) for index, part in enumerate(value)]
        return "\n".join(part for part in parts if part)
    if isinstance(value, dict) and depth < _DEEPEST and value.get("type", "text") in _PART_TYPES:
        key = next((key for key in _TEXT if value.get(key) is not None), None)
        if key is not None:
            return _text(value[key], f"{path}.{key}", depth + 1)
    return clean(value, path)
