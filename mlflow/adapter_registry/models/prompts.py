"""What a registered model is asked: prompts and conversations out of the tables that MLflow hands over.

And what a person may ask it to begin with, typed into a shell.
"""

from __future__ import annotations

import shlex
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from adapter_registry.errors import PromptError

PROMPT_COLUMN = "prompt"
MESSAGES_COLUMN = "messages"
ANY_PROMPT = "…"
LONGEST_PROMPT = 40  # of those that are suggested
_ROLES = {"user": "user", "assistant": "model", "model": "model"}
_FORMS = (
    f"a table, dict or list of records with the column `{PROMPT_COLUMN}` (text) or `{MESSAGES_COLUMN}` "
    "(lists of {role, content}), or a list of texts"
)


@dataclass(frozen=True)
class Conversation:
    """Turns as (role, text), role `user` or `model`; the last one is the user's."""

    turns: tuple[tuple[str, str], ...]


def conversations(column: str | int, cells: Sequence[Any]) -> list[Conversation]:
    """Read one column of a table.

    Args:
        column: its name; a number for a table made of a plain list.
        cells: its values.

    Raises:
        PromptError: another column, or a value that is not a prompt or conversation.
    """
    if column == MESSAGES_COLUMN:
        if cells and all(isinstance(cell, Mapping) for cell in cells):
            return [_conversation(cells)]  # {"messages": […]}: one conversation, spread over the rows
        return [_conversation(cell) for cell in cells]
    if column == PROMPT_COLUMN or isinstance(column, int):
        return [Conversation((("user", _text(text, "user")),)) for cell in cells for text in _flat(cell)]
    raise PromptError(f"The model takes {_FORMS}, but got the column {column!r} first.")


def short_prompt(text: str) -> str:
    """The beginning of a prompt, on one line: enough to type; '' where nothing of it can be shown."""
    line = "".join(c if c.isprintable() else " " for c in text).lstrip(" -")  # a command would take -x for an option
    return next(iter(textwrap.wrap(line, LONGEST_PROMPT, break_on_hyphens=False)), "")


def asking(model: str, prompt: str, program: str = "sweeps") -> str:
    """The command that asks a model's champion, quoted for a POSIX shell; without a prompt it stands for any."""
    prompt = prompt or ANY_PROMPT
    said = f'"{prompt}"' if set(prompt).isdisjoint('"$`\\!') else shlex.quote(prompt)
    return f"{program} generate --model {shlex.quote(model)} {said}"


def _flat(cell: Any) -> Sequence[Any]:
    if isinstance(cell, str) or not hasattr(cell, "__iter__"):
        return [cell]
    if isinstance(cell, Mapping):
        raise PromptError(f"The model takes {_FORMS}, but got an object with the keys: {', '.join(map(str, cell))}.")
    return list(cell)


def _conversation(messages: Any) -> Conversation:
    if isinstance(messages, str) or not hasattr(messages, "__iter__"):
        raise PromptError(f"`{MESSAGES_COLUMN}` must hold lists of {{role, content}}, but got {messages!r:.80}.")
    system: list[str] = []
    turns: list[tuple[str, str]] = []
    for message in messages:
        role = message.get("role") if isinstance(message, Mapping) else None
        if role == "system":
            system.append(_text(message.get("content"), role))
        elif role in _ROLES:
            turns.append((_ROLES[role], _text(message.get("content"), role)))
        else:
            raise PromptError(f"A message's role must be system, user or assistant, but got {role!r}.")
    if not turns or turns[-1][0] != "user":
        raise PromptError("A conversation must end with a message of the user, but it does not.")
    if system and turns[0][0] == "user":  # Gemma has no system turn: what it says begins the first user turn
        turns[0] = ("user", "\n\n".join([*system, turns[0][1]]))
    return Conversation(tuple(turns))


def _text(value: Any, role: str) -> str:
    if not isinstance(value, str) or not value.strip():
        raise PromptError(f"The text of a {role} message must be a string that is not empty, but got {value!r:.80}.")
    return value
