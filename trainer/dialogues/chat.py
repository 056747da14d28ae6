"""Chat messages: {"messages": [{"role": "user", "content": …}, {"role": "assistant", "content": …}, …]}.

Roles are user, assistant (or model) and system. Gemma 2 has no system role: system text, which must come first, is put
before the first user text with a blank line between. Marks on a message or record (`trainer.dialogues.marks`) say what
is learned. Other text fields of a record become attributes.
"""

from __future__ import annotations

from typing import Any

from trainer.dialogues.drafts import Draft, clean, describe, listing
from trainer.dialogues.marks import is_learned, reason_to_leave_out, refuse_preferences
from trainer.dialogues.values import Role, Turn
from trainer.errors import DataError

_ROLES: dict[str, Role | None] = {"user": "user", "assistant": "model", "model": "model", "system": None}


def from_record(record: Any) -> Draft:
    """Read one record.

    Raises:
        DataError: a key that is missing or of the wrong type, an unknown role, an empty message, or a late system one.
    """
    if not isinstance(record, dict):
        raise DataError(f"it must be an object with `messages`, but got {describe(record)}")
    refuse_preferences(record)
    if "messages" not in record:
        raise DataError(f"`messages` is missing; it has {listing(record) or 'nothing'}")
    messages = record["messages"]
    if not isinstance(messages, list) or not messages:
        raise DataError(f"`messages` must be a list of at least one message, but got {describe(messages)}")
    turns: list[Turn] = []
    system: list[str] = []
    for index, message in enumerate(messages):
        _add(message, f"messages[{index}]", turns, system)
    attributes = {key: text for key, value in record.items() if isinstance(value, str) and (text := value.strip())}
    return Draft(turns, attributes, reason_to_leave_out(record))


def _add(message: Any, path: str, turns: list[Turn], system: list[str]) -> None:
    """Append one message to `turns`, or to `system` until the first turn takes that up."""
    if not isinstance(message, dict):
        raise DataError(f"`{path}` must be an object with role and content, but got {describe(message)}")
    role = message.get("role")
    if not isinstance(role, str) or role not in _ROLES:
        raise DataError(f"`{path}.role` must be one of {', '.join(_ROLES)}, but got {describe(role)}")
    learned = is_learned(message, path)
    if message.get("content") is None:
        raise DataError(f"`{path}.content` must be text, but is {'null' if 'content' in message else 'missing'}")
    text = clean(message["content"], f"{path}.content")
    turn_role = _ROLES[role]
    if turn_role is None:
        if turns:
            raise DataError(f"`{path}` must not be a system message: system text comes before all turns")
        system.append(text)
        return
    if not text:
        raise DataError(f"`{path}.content` must have text, but is empty")
    preface = system if turn_role == "user" and not turns else []
    turns.append(Turn(turn_role, "\n\n".join([*filter(None, preface), text]), learned))
