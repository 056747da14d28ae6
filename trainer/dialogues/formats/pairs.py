"""Who asks and who replies: by which names data has the two sides, and two columns of a table that are an exchange."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

from trainer.dialogues.drafts import Draft, add_turn, clean, describe
from trainer.dialogues.marks import ON_RECORDS, reason_to_leave_out, refuse_preferences
from trainer.dialogues.tables import Table, plain
from trainer.dialogues.values import Turn
from trainer.errors import DataError

KNOWN_PAIRS = (
    ("Q", "A"),
    ("question", "answer"),
    ("prompt", "response"),
    ("prompt", "completion"),
    ("instruction", "output"),
    ("input", "output"),
    ("질문", "답변"),
    ("instruction", "response"),
    ("question", "response"),
    ("query", "response"),
    ("query", "answer"),
    ("context", "response"),
)
_PAIRS = [[(word, plain(word)) for word in words] for words in KNOWN_PAIRS]
SIDES = ("user", "model", "system")
_NAMES = {
    "user": "user, human, client, customer, patient, student, visitor, seeker, prompter, person, "
    "사용자, 내담자, 고객, 환자, 손님, 사람, 학생, 질문자",
    "model": "model, assistant, gpt, chatgpt, bot, chatbot, ai, agent, counselor, counsellor, therapist, supporter, "
    "doctor, teacher, tutor, advisor, operator, 상담사, 상담자, 상담원, 챗봇, 치료사, 의사, 선생님, 답변자",
    "system": "system, developer",
}
ROLES: Mapping[str, str] = {plain(name): side for side, names in _NAMES.items() for name in names.split(", ")}


def roles_of(given: Mapping[str, str] | None) -> Mapping[str, str]:
    """The known names, with those that a person has given before them: name → user, model or system.

    Raises:
        DataError: another side.
    """
    for name, side in (given or {}).items():
        if side not in SIDES:
            raise DataError(f"`roles` must map names to {', '.join(SIDES)}, but {name!r:.60} is {side!r:.60}.")
    return {**ROLES, **{plain(name): side for name, side in (given or {}).items()}}


def role_of(name: Any, path: str, roles: Mapping[str, str]) -> str:
    """The side of a speaker.

    Raises:
        DataError: an unknown name.
    """
    if not isinstance(name, str) or (side := roles.get(plain(name))) is None:
        raise DataError(
            f"`{path}` must be a known role (user, assistant, model, system, human, gpt, client, counselor, …) or be "
            f"mapped beside the source (`roles: {{NAME: user, OTHER: model}}`), but got {describe(name)}"
        )
    return side


def pair_in(names: Collection[str], roles: Mapping[str, str] = ROLES) -> tuple[str, str] | None:
    """Those of the names that are of what is asked and of the reply: a known pair, or one of each side."""
    plains: dict[str, str] = {}
    for name in names:
        plains.setdefault(plain(name), name)
    for words in _PAIRS:
        asked, replied = (word if word in names else plains.get(plain_word) for word, plain_word in words)
        if asked is not None and replied is not None:
            return asked, replied
    users, models = ([plains[word] for word in plains if roles.get(word) == side] for side in ("user", "model"))
    replies = models or [name for word, name in plains.items() if word == "system"]  # some call the bot so
    return (users[0], replies[0]) if len(users) == len(replies) == 1 else None


def row_reader(
    table: Table, columns: tuple[str, str] | None, roles: Mapping[str, str] = ROLES
) -> Callable[[list[Any]], Draft]:
    """A function that reads one row; columns besides the pair become attributes.

    `columns` names prompt and response; None recognises a known pair. What belongs to the prompt is put into it then: a
    column `system` before, and beside `instruction` the text of `input` or `context` behind (the Alpaca form).

    Raises:
        DataError: a column is missing; the columns found are named.
    """
    if not columns:
        refuse_preferences(dict.fromkeys((column.casefold() for column in table.columns), "a column"))
    prompt, response = _given(table, columns) if columns else _recognised(table, roles)
    around = {} if columns else _around(table, prompt, response)
    asking = [index for index in (around.get("system"), prompt, around.get("context")) if index is not None]
    pair = {*asking, response}
    marks = {name: index for name in ON_RECORDS if (index := table.find(name)) is not None and index not in pair}

    def read(cells: list[Any]) -> Draft:
        texts = {index: _text(cells[index], table.columns[index]) for index in (*asking, response)}
        if not any(texts[index] for index in asking if index != around.get("system")):
            raise DataError(f"`{table.columns[prompt]}` must have text, but is empty")
        if "history" in around and cells[around["history"]] not in ("", "[]", []):
            raise DataError("`history` has turns that would be passed over; write all turns of a record as `messages`")
        turns: list[Turn] = []
        add_turn(turns, "user", "\n\n".join(texts[index] for index in asking if texts[index]))
        add_turn(turns, "model", texts[response])
        others = {column: cells[index] for index, column in enumerate(table.columns) if index not in pair and column}
        attributes = {column: text.strip() for column, text in others.items() if isinstance(text, str) and text.strip()}
        return Draft(turns, attributes, reason_to_leave_out({name: cells[index] for name, index in marks.items()}))

    return read


def _text(cell: Any, column: str) -> str:
    if isinstance(cell, list | dict):
        hint = "; write all turns of a record as `messages`"
        raise DataError(f"`{column}` must be text, but got {describe(cell)}{hint}")
    return clean(cell, column)


def _around(table: Table, prompt: int, response: int) -> dict[str, int]:
    """The columns that belong to the prompt of a known pair."""
    names = {"system": ("system", "system_prompt"), "history": ("history",)}
    if plain(table.columns[prompt]) == "instruction":
        names["context"] = ("input",) if table.find("input") is not None else ("context",)
    found = {what: table.find(*words) for what, words in names.items()}
    return {what: index for what, index in found.items() if index is not None and index not in (prompt, response)}


def _given(table: Table, columns: tuple[str, str]) -> tuple[int, int]:
    prompt, response = (table.find(column) for column in columns)
    if prompt is None or response is None:
        raise table.lacks("the columns " + " and ".join(repr(column) for column in columns))
    if prompt == response:
        raise DataError(f"prompt and response must be two columns, but both are {table.columns[prompt]!r}")
    return prompt, response


def _recognised(table: Table, roles: Mapping[str, str]) -> tuple[int, int]:
    names = pair_in(table.columns, roles)
    if names is None:
        known = ", ".join("/".join(pair) for pair in KNOWN_PAIRS)
        raise table.lacks(
            f"a known pair of columns ({known}, user/assistant and the like), or `prompt_column` and `response_column` "
            "that name two of its own"
        )
    return _given(table, names)
