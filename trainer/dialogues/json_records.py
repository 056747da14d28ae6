"""Numbered records of a JSON document (a list, or {"data": [...]}) or of JSON lines."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from trainer.dialogues.drafts import Record, describe
from trainer.errors import DataError

LINE_SUFFIXES = frozenset({".jsonl", ".ndjson"})
RECORD_KEYS = frozenset({"messages", "talk"})  # by which a single object is known as a record


def records_of(text: str, suffix: str) -> list[Record]:
    """All records of a JSON text.

    A text that begins with `[` is a document. Otherwise it is JSON lines if its suffix says so or its first line is
    a complete object that others follow.

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
    if isinstance(document, dict) and RECORD_KEYS & document.keys():
        document = [document]
    if not isinstance(document, list):
        raise DataError(f'its JSON must be a list of records or {{"data": [...]}}, but got {describe(document)}')
    if not document:
        raise DataError("its list of records is empty")
    return [Record(f"record {number}", content) for number, content in enumerate(document, start=1)]


def _is_json_lines(text: str, suffix: str) -> bool:
    body = text.strip()
    if body.startswith("["):
        return False
    if suffix in LINE_SUFFIXES:
        return True
    first, _, rest = body.partition("\n")
    if not rest:
        return False
    try:
        return isinstance(_parse(first, first_line=1), dict)
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
