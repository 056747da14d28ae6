"""The values of this package: a turn, a dialogue, and a set of dialogues with its digest."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal, get_args

from trainer.errors import DataError

Role = Literal["user", "model"]


@dataclass(frozen=True, slots=True)
class Turn:
    """What one side says; not `learned`: it is history of what follows, and never a target.

    Raises:
        DataError: an unknown role, or text that UTF-8 cannot hold.
    """

    role: Role
    text: str
    learned: bool = True

    def __post_init__(self) -> None:
        if self.role not in get_args(Role):
            raise DataError(f"A turn's role must be user or model, but got {self.role!r:.80}.")
        if not isinstance(self.text, str):
            raise DataError(f"A turn's text must be text, but got {type(self.text).__name__}.")
        try:
            self.text.encode()
        except UnicodeEncodeError as error:
            raise DataError(
                f"A turn's text must be valid Unicode, but character {error.start + 1} is the lone surrogate "
                f"{self.text[error.start]!r}; escape characters beyond U+FFFF as a pair."
            ) from None


@dataclass(frozen=True, slots=True)
class Dialogue:
    """Turns that alternate, the user first, as Gemma's template wants them.

    attributes   what a record says about itself, where it does: `id` (not unique in AI Hub's corpus), `emotion`,
                 `emotion_type`, `age_group`, `gender`, `situation`, `illness`, or a table's other columns

    Raises:
        DataError: no turns, or turns that do not alternate beginning with the user's.
    """

    turns: tuple[Turn, ...]
    attributes: Mapping[str, str] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        if not self.turns:
            raise DataError("A dialogue must have at least one turn, but got none.")
        if any(turn.role != ("model" if index % 2 else "user") for index, turn in enumerate(self.turns)):
            roles = ", ".join(turn.role for turn in self.turns[:8])
            raise DataError(f"A dialogue's turns must alternate, the user's first, but got {roles}.")


@dataclass(frozen=True, slots=True)
class DialogueSet:
    """Named dialogues of one source.

    digest    SHA-256, hex, of the turns in order: the same for the same dialogues in another file format or place
    dropped   reason → how many were left out; only reasons that occurred
    """

    name: str
    dialogues: tuple[Dialogue, ...]
    digest: str
    dropped: Mapping[str, int] = field(default_factory=dict, hash=False)


def digest_of(dialogues: Iterable[Dialogue]) -> str:
    """SHA-256, hex, of the turns of all dialogues in order: one JSON list of [role, text] pairs per line.

    Of a turn that is not learned, it is [role, text, false].
    """
    sha = hashlib.sha256()
    for dialogue in dialogues:
        turns = [[turn.role, turn.text, *([] if turn.learned else [False])] for turn in dialogue.turns]
        line = json.dumps(turns, ensure_ascii=False)
        sha.update(line.encode() + b"\n")
    return sha.hexdigest()
