"""Numbered records of a JSON document (a list, or {"data": [...]}) or of JSON lines; and flat ones as a table."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from trainer.dialogues.drafts import Record, describe
from trainer.dialogues.formats.chat import is_chat, is_message
from trainer.dialogues.tables import Table, cell_text
from trainer.errors import DataError

LINE_SUFFIXES = frozenset({".jsonl", ".ndjson"})
_MOST_KEYS = 200  # of all flat records together: each is a column


def records_of(text: str, suffix: str) -> list[Record]:
    """All records of a JSON text.

    It is JSON lines if its suffix says so, unless it begins with `[`, or if its first line is a complete object or list
    that others follow. A document that is a list of messages is one record.

    Raises:
        DataError: JSON that is broken or cut off (with line and column), the wrong type on top, or no records.
    """
    if not text.strip():
        raise DataError("it has no records")
    if _is_json_lines(text, suffix):
        return list(_lines(text))
    document = _parse(text, first_line=1)
    if isinstance(document, dict) and isinstance(document.get("data"), list):
        document = document["data"]
    if isinstance(document, dict) and ("talk" in document or is_chat(document)):
        document = [document]
    if isinstance(document, list) and document and all(map(is_message, document)):
        document = [document]
    if not isinstance(document, list):
        raise DataError(f'its JSON must be a list of records or {{"data": [...]}}, but got {describe(document)}')
    if not document:
        raise DataError("its list of records is empty")
    return [Record(f"record {number}", content) for number, content in enumerate(document, start=1)]


def _is_json_lines(text: str, suffix: str) -> bool:
    body = text.strip()
    if suffix in LINE_SUFFIXES and not body.startswith("["):
        return True
    first, _, rest = body.partition("\n")
    if not rest:
        return False
    try:
        return isinstance(_parse(first, first_line=1), dict | list)
    except DataError:
        return False


def _lines(text: str) -> Iterator[Record]:
    # str.splitlines would also break inside strings, at U+2028 and its like.
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            yield Record(f"line {number}", _parse(line, first_line=number))


def _parse(text: str, first_line: int) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        line = error.lineno + first_line - 1
        cut = error.pos >= len(text.rstrip()) or error.msg.startswith("Unterminated string")
        hint = "; it looks cut off" if cut else ""
        raise DataError(f"its JSON is broken at line {line}, column {error.colno} ({error.msg}){hint}") from None
    except RecursionError:
        raise DataError(f"its JSON from line {first_line} is nested too deep to be a dialogue") from None
    except ValueError as error:  # a number of more than 4,300 digits
        raise DataError(f"its JSON from line {first_line} cannot be read ({error})") from None


def table_of(records: list[Record]) -> Table:
    """Flat records as the rows of a table, whose columns are all keys; lists and objects stay as they are.

    Raises:
        DataError: a record is no object, or there are too many keys.
    """
    columns: dict[str, None] = {}
    for where, content in records:
        if not isinstance(content, dict):
            raise DataError(f"{where} must be a flat object, but got {describe(content)}")
        columns |= dict.fromkeys(content)
        if len(columns) > _MOST_KEYS:
            raise DataError(f"its records must have at most {_MOST_KEYS} different keys, but {where} goes beyond")
    rows = [Record(where, [_cell(content.get(column)) for column in columns]) for where, content in records]
    return Table(tuple(columns), rows)


def _cell(value: Any) -> Any:
    if isinstance(value, bool):
        return str(value).lower()
    return cell_text(value) if value is None or isinstance(value, int | float) else value
