"""Reads dialogues from a source: finds its form, reads every record, filters, and gives the digest.

read_dialogues("감성대화말뭉치_Training.json", name="train", select=DialogueFilter(emotions=("sadness",)))
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Literal, cast

from trainer.dialogues.drafts import Draft, Record, describe, finish
from trainer.dialogues.files import decode, read_bytes
from trainer.dialogues.formats import aihub, aihub_table, chat, pairs
from trainer.dialogues.json_records import LINE_SUFFIXES, records_of, table_of
from trainer.dialogues.marks import refuse_preferences
from trainer.dialogues.selecting import DialogueFilter
from trainer.dialogues.tables import OLD_WORKBOOK_MAGIC, WORKBOOK_MAGIC, Table, csv_table, workbook_table
from trainer.dialogues.values import Dialogue, DialogueSet, digest_of
from trainer.errors import DataError

FORMATS = ("auto", "aihub", "chat", "csv")
BUILTIN_SPLITS = ("train", "validation", "test")

_BUILTIN = "builtin:"
_JSON_SUFFIXES = LINE_SUFFIXES | {".json"}
_TABLE_SUFFIXES = frozenset({".csv", ".tsv"})
_WORKBOOK_SUFFIXES = frozenset({".xlsx", ".xlsm", ".xls"})

_Columns = tuple[str, str] | None
_Roles = Mapping[str, str]
_Reader = Callable[[Any], Draft]


def read_dialogues(
    source: str,
    *,
    name: str,
    format: str = "auto",
    prompt_column: str | None = None,
    response_column: str | None = None,
    roles: Mapping[str, str] | None = None,
    select: DialogueFilter | None = None,
) -> DialogueSet:
    """Read all dialogues of a source.

    source            a path, or `builtin:train`, `builtin:validation`, `builtin:test`
    format            `aihub` (AI Hub's corpus: JSON, .xlsx or a CSV export), `chat` (`messages`, as JSON lines or a
                      JSON list), `csv` (two columns, also of an .xlsx), or `auto`: by suffix, then by content, where
                      flat JSON records are the rows of a table
    prompt_column,    the two columns of a table; without them well-known pairs such as Q and A are recognised
    response_column
    roles             who speaks by which name, where it is not well known: name → user, model or system
    select            what to keep

    Raises:
        DataError: the source cannot be read as dialogues, or none is left.
    """
    columns = _check_options(format, prompt_column, response_column)
    records, read = _open(source, format, columns, pairs.roles_of(roles))
    dropped: Counter[str] = Counter()
    found = _read_all(source, records, read, dropped)
    kept = select.apply(found, dropped) if select else tuple(found)
    if not kept:
        reasons = ", ".join(f"{count} × {reason}" for reason, count in dropped.items())
        raise DataError(
            f"{source}: no dialogue is left of {len(records)} ({reasons}); widen the filter or mend the data."
        )
    return DialogueSet(name, kept, digest_of(kept), dict(dropped))


def _check_options(format: str, prompt_column: str | None, response_column: str | None) -> _Columns:
    if format not in FORMATS:
        raise DataError(f"Unknown format {format!r:.60}. Choose from: {', '.join(FORMATS)}.")
    if prompt_column is None and response_column is None:
        return None
    if not prompt_column or not response_column:
        raise DataError(
            "`prompt_column` and `response_column` must be given together, "
            f"but got {prompt_column!r:.60} and {response_column!r:.60}."
        )
    if format not in ("auto", "csv"):
        raise DataError(f"`prompt_column` and `response_column` need format csv, but got {format!r}.")
    return prompt_column, response_column


def _open(source: str, format: str, columns: _Columns, roles: _Roles) -> tuple[list[Record], _Reader]:
    """All raw records of a source, and the function that reads one of them."""
    if source.startswith(_BUILTIN):
        return _builtin_records(source.removeprefix(_BUILTIN)), aihub.from_record
    path = Path(source)
    data = read_bytes(path)
    try:
        return _parse(data, path.suffix.lower(), format, columns, roles)
    except DataError as error:
        raise DataError(f"{source}: {str(error).rstrip('.')}.") from None


def _builtin_records(split: str) -> list[Record]:
    if split not in BUILTIN_SPLITS:
        choices = ", ".join(_BUILTIN + name for name in BUILTIN_SPLITS)
        raise DataError(f"Unknown built-in data {_BUILTIN + split!r:.60}. Choose from: {choices}.")
    from trainer.builtin.corpus import dialogue_records

    records = dialogue_records(cast(Literal["train", "validation", "test"], split))
    return [Record(f"record {number}", record) for number, record in enumerate(records, start=1)]


def _parse(data: bytes, suffix: str, format: str, columns: _Columns, roles: _Roles) -> tuple[list[Record], _Reader]:
    if suffix in _WORKBOOK_SUFFIXES or data.startswith((WORKBOOK_MAGIC, OLD_WORKBOOK_MAGIC)):
        return _table_parts(workbook_table(data), format, columns, roles)
    text = decode(data)
    if _is_json(text, suffix, format):
        return _record_parts(records_of(text, suffix), format, columns, roles)
    return _table_parts(csv_table(text), format, columns, roles)


def _is_json(text: str, suffix: str, format: str) -> bool:
    if format in ("chat", "csv"):
        return format == "chat"
    if suffix in _JSON_SUFFIXES | _TABLE_SUFFIXES:
        return suffix in _JSON_SUFFIXES
    return text.lstrip().startswith(("{", "["))


def _table_parts(table: Table, format: str, columns: _Columns, roles: _Roles) -> tuple[list[Record], _Reader]:
    if format == "chat":
        raise DataError("format chat needs JSON, but it is a table")
    if format == "aihub" or (format == "auto" and not columns and aihub_table.is_aihub(table)):
        return table.rows, aihub_table.row_reader(table)
    return table.rows, pairs.row_reader(table, columns, roles)


def _record_parts(records: list[Record], format: str, columns: _Columns, roles: _Roles) -> tuple[list[Record], _Reader]:
    first = records[0]
    keys = first.content if isinstance(first.content, dict) else {}
    if format == "chat" or (format == "auto" and not columns and chat.is_chat(first.content)):
        return records, partial(chat.from_record, roles=roles)
    if format == "aihub" or (not columns and "talk" in keys):
        return records, aihub.from_record
    if not columns:
        refuse_preferences(keys)
        if pairs.pair_in(keys, roles) is None:
            raise DataError(
                f"{first.where} must be an object with `talk` (AI Hub's corpus), `messages` (chat) or a known pair, "
                "as `question` and `answer`, or `prompt_column` and `response_column` must name two of its keys, but "
                f"got {describe(first.content)}"
            )
    table = table_of(records)
    return table.rows, pairs.row_reader(table, columns, roles)


def _read_all(source: str, records: list[Record], read: _Reader, dropped: Counter[str]) -> list[Dialogue]:
    found = []
    for record in records:
        try:
            dialogue = finish(read(record.content), dropped)
        except DataError as error:
            raise DataError(f"{source}, {record.where}: {str(error).rstrip('.')}.") from None
        if dialogue is not None:
            found.append(dialogue)
    return found
