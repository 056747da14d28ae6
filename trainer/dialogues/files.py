"""A file's bytes, and its text in whatever encoding Korean data comes in."""

from __future__ import annotations

import codecs
import contextlib
import difflib
import re
import shlex
from pathlib import Path

from trainer.errors import DataError

_UTF8_HANGUL = re.compile(rb"[\xea-\xed][\x80-\xbf][\x80-\xbf]")
_MOST_BYTES = 2 * 2**30  # all of it is held in memory, several times over; AI Hub's whole corpus is 100 MB
_NOT_ASCII = re.compile(rb"[\x80-\xff]")


def read_bytes(path: Path) -> bytes:
    """All bytes of a file.

    Raises:
        DataError: it is missing (near-by names are suggested), not a file, empty, too large, or not readable.
    """
    try:
        path = path.expanduser()
        problem = _problem_with(path)
        data = b"" if problem else path.read_bytes()
    except (OSError, ValueError, RuntimeError) as error:  # also a NUL in the name, or `~` of nobody
        problem = f"{str(path)!r:.300} cannot be read: {getattr(error, 'strerror', None) or error}."
    if problem:
        raise DataError(problem)
    if not data.strip(b"\0 \t\r\n\xef\xbb\xbf"):
        raise DataError(f"{str(path)!r} is empty.")
    return data


def decode(data: bytes) -> str:
    """Text from UTF-8 (with or without a signature), UTF-16 with a signature, or cp949.

    Raises:
        DataError: none of them fits; UTF-8 with damage is told apart from cp949, which would take it as gibberish.
    """
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        try:
            return data.decode("utf-16")
        except UnicodeDecodeError as error:
            raise DataError(f"its bytes are not valid UTF-16 at byte {error.start}; save it as UTF-8") from None
    data = data.removeprefix(codecs.BOM_UTF8)
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        end = error.start
    if not _is_mostly_utf8(data):
        with contextlib.suppress(UnicodeDecodeError):
            return data.decode("cp949")
    before = data[:end].decode().split("\n")
    raise DataError(
        f"its text is neither UTF-8 nor cp949: byte 0x{data[end]:02X} at line {len(before)}, column "
        f"{len(before[-1]) + 1} does not fit; is it damaged or cut off? Save it as UTF-8"
    )


def _is_mostly_utf8(data: bytes) -> bool:
    """Whether most bytes beyond ASCII belong to Hangul in UTF-8 (in cp949 about one in a hundred does by chance)."""
    return 2 * 3 * len(_UTF8_HANGUL.findall(data)) > len(_NOT_ASCII.findall(data))


def _problem_with(path: Path) -> str | None:
    if not path.exists():
        return f"There is no file {str(path)!r:.300}.{_suggestion(path)}"
    if path.is_dir():
        return f"{str(path)!r} is a folder, but a data file is needed.{_files_in(path)} {how_to_join(path)}"
    if not path.is_file():
        return f"{str(path)!r} must be an ordinary file."
    size = path.stat().st_size
    if size == 0:  # also what the kernel only calls a file, and what may be read for ever
        return f"{str(path)!r} is empty."
    return f"{str(path)!r} must be at most {_MOST_BYTES:,} bytes, but has {size:,}." if size > _MOST_BYTES else None


def how_to_join(folder: Path) -> str:
    """How the files of a folder, a record each, become one that is read."""
    return f"Put records of a file each into one file: jq -c . {shlex.quote(str(folder))}/*.json > dialogues.jsonl"


def _suggestion(path: Path) -> str:
    parent = path.parent
    if not parent.is_dir():
        return f" Its folder {str(parent)!r:.300} does not exist either."
    near = difflib.get_close_matches(path.name, [entry.name for entry in parent.iterdir()], n=3, cutoff=0.6)
    return f" Did you mean {' or '.join(repr(str(parent / name)) for name in near)}?" if near else ""


def _files_in(folder: Path) -> str:
    suffixes = {".json", ".jsonl", ".ndjson", ".csv", ".tsv", ".xlsx"}
    names = sorted(entry.name for entry in folder.iterdir() if entry.suffix.lower() in suffixes)[:5]
    return f" It holds {', '.join(names)}." if names else ""
