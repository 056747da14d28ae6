"""Two columns of a table: what is asked and what is answered."""

from __future__ import annotations

from collections.abc import Callable

from trainer.dialogues.drafts import Draft, add_turn, clean
from trainer.dialogues.marks import ON_RECORDS, reason_to_leave_out, refuse_preferences
from trainer.dialogues.tables import Table
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
)


def row_reader(table: Table, columns: tuple[str, str] | None) -> Callable[[list[str]], Draft]:
    """A function that reads one row; columns besides the pair become attributes.

    `columns` names prompt and response; None recognises the pairs above. Beside `instruction`, the text of a column
    `input`, where there is any, is part of the prompt (the Alpaca form).

    Raises:
        DataError: a column is missing; the columns found are named.
    """
    if not columns:
        refuse_preferences(dict.fromkeys((column.casefold() for column in table.columns), "a column"))
    prompt, response = _given(table, columns) if columns else _recognised(table)
    context = table.find("input") if not columns and table.columns[prompt].casefold() == "instruction" else None
    pair = {prompt, response, context}
    marks = {name: index for name in ON_RECORDS if (index := table.find(name)) is not None and index not in pair}

    def read(cells: list[str]) -> Draft:
        asked = [clean(cells[index], table.columns[index]) for index in (prompt, context) if index is not None]
        turns: list[Turn] = []
        add_turn(turns, "user", "\n\n".join(text for text in asked if text))
        if not turns:
            raise DataError(f"`{table.columns[prompt]}` must have text, but is empty")
        add_turn(turns, "model", clean(cells[response], table.columns[response]))
        others = ((column, cells[index].strip()) for index, column in enumerate(table.columns) if index not in pair)
        left_out = reason_to_leave_out({name: cells[index] for name, index in marks.items()})
        return Draft(turns, {column: text for column, text in others if column and text}, left_out)

    return read


def _given(table: Table, columns: tuple[str, str]) -> tuple[int, int]:
    prompt, response = (table.find(column) for column in columns)
    if prompt is None or response is None:
        raise table.lacks("the columns " + " and ".join(repr(column) for column in columns))
    if prompt == response:
        raise DataError(f"prompt and response must be two columns, but both are {table.columns[prompt]!r}")
    return prompt, response


def _recognised(table: Table) -> tuple[int, int]:
    for names in KNOWN_PAIRS:
        prompt, response = (table.find(name) for name in names)
        if prompt is not None and response is not None:
            return prompt, response
    known = ", ".join("/".join(names) for names in KNOWN_PAIRS)
    raise table.lacks(
        f"a known pair of columns ({known}), or `prompt_column` and `response_column` that name two of its own"
    )
