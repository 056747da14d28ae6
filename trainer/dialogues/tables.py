"""Numbered rows of a table: CSV (comma, tab or semicolon) or the first sheet of an Excel workbook."""

from __future__ import annotations

import contextlib
import csv
import io
import re
import threading
import unicodedata
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from trainer.dialogues.drafts import Record, listing
from trainer.errors import DataError

WORKBOOK_MAGIC = b"PK\x03\x04"
OLD_WORKBOOK_MAGIC = b"\xd0\xcf\x11\xe0"
MAX_SHEET_ROWS = 2**20  # Excel's own

_FIELD_LIMIT = threading.Lock()


@dataclass(frozen=True, slots=True)
class Table:
    """A header, and rows of exactly as many texts; rows without any text are not in it."""

    columns: tuple[str, ...]
    rows: list[Record]

    def find(self, *names: str) -> int | None:
        """Position of the column with one of these names; case, spaces and underscores count only where two fit.

        Raises:
            DataError: two columns fit.
        """
        wanted = {plain(name) for name in names}
        found = [index for index, column in enumerate(self.columns) if plain(column) in wanted]
        if len(found) > 1:
            found = [index for index in found if self.columns[index] in names] or found
        if len(found) > 1:
            raise DataError(f"column {names[0]!r} must occur once, but got {listing([self.columns[i] for i in found])}")
        return found[0] if found else None

    def lacks(self, needed: str) -> DataError:
        """The error that the table has not `needed`."""
        return DataError(f"its table must have {needed}, but got the columns {listing(self.columns)}")


def plain(column: str) -> str:
    """A column's name for comparison (NFC: macOS writes Hangul decomposed)."""
    return re.sub(r"[\s_]", "", unicodedata.normalize("NFC", column)).casefold()


def csv_table(text: str) -> Table:
    """Read CSV with a header line; the separator is the one that the header has most of.

    Raises:
        DataError: broken quoting, a row whose number of cells differs from the header's, or no rows.
    """
    header = text.lstrip().partition("\n")[0]
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=max(",\t;", key=header.count), strict=True)
    rows, first_line = [], 1
    try:
        with _fields_of(len(text)):
            for cells in reader:
                rows.append((first_line, cells))
                first_line = reader.line_num + 1
    except csv.Error as error:
        raise DataError(f"its CSV is broken in the row that begins at line {first_line} ({error})") from None
    return _table(rows, "line", exact=True)


@contextlib.contextmanager
def _fields_of(characters: int) -> Iterator[None]:
    """Let the csv module read fields this long; its limit of 131,072 characters belongs to the whole process."""
    with _FIELD_LIMIT:
        before = csv.field_size_limit()
        csv.field_size_limit(max(before, characters))
        try:
            yield
        finally:
            csv.field_size_limit(before)


def workbook_table(data: bytes) -> Table:
    """Read the first sheet of an .xlsx workbook.

    Raises:
        DataError: it is not a workbook, it is damaged, or it has no rows.
    """
    if data.startswith(OLD_WORKBOOK_MAGIC):
        raise DataError("it is an Excel workbook of the old .xls kind; save it as .xlsx")
    if not data.startswith(WORKBOOK_MAGIC):
        raise DataError("it is not an Excel workbook (.xlsx), though it is named or taken as one")
    try:
        rows = list(_sheet_rows(data))
    except DataError:
        raise
    except Exception as error:  # zip, XML and openpyxl raise dozens of types on damage; all mean the same here
        raise DataError(f"its workbook is damaged ({type(error).__name__}: {error!s:.120})") from None
    return _table(rows, "row", exact=False)


def _sheet_rows(data: bytes) -> Iterator[tuple[int, list[str]]]:
    import openpyxl

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # styles and extensions that openpyxl does not know do not matter here
        book = openpyxl.load_workbook(io.BytesIO(data), read_only=True, data_only=True)
        try:
            sheet = book.worksheets[0]
            sheet.reset_dimensions()  # some writers record a wrong size, and rows would be cut to it
            for number, cells in enumerate(sheet.iter_rows(values_only=True), start=1):
                if number > MAX_SHEET_ROWS:  # openpyxl fills gaps between row numbers, however wide damage made them
                    raise DataError(f"its sheet must have at most {MAX_SHEET_ROWS:,} rows")
                if cells:
                    yield number, [cell_text(cell) for cell in cells]
        finally:
            book.close()


def cell_text(cell: Any) -> str:
    """A cell as CSV would have it: Excel keeps 12 as a number, even 12.0."""
    if cell is None:
        return ""
    return str(int(cell)) if isinstance(cell, float) and cell.is_integer() else str(cell)


def _table(rows: list[tuple[int, list[str]]], unit: str, *, exact: bool) -> Table:
    filled = [(number, cells) for number, cells in rows if any(cell.strip() for cell in cells)]
    if not filled:
        raise DataError("its table is empty")
    columns = tuple(cell.strip() for cell in filled[0][1])
    if len(filled) == 1:
        raise DataError(f"its table has a header ({listing(columns)}) but no rows")
    records = []
    for number, cells in filled[1:]:
        extra = any(cell.strip() for cell in cells[len(columns) :])
        if extra or (exact and len(cells) != len(columns)):
            hint = "; put text with separators in quotes" if exact else ""
            raise DataError(f"{unit} {number} must have {len(columns)} cells as the header, but got {len(cells)}{hint}")
        records.append(Record(f"{unit} {number}", (cells + [""] * len(columns))[: len(columns)]))
    return Table(columns, records)
