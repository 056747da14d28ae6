"""Reads small JSON files of folders that somebody else made: only ordinary files, of a size that is worth reading."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

MOST_BYTES = 64 * 2**20  # the longest index of weights has one


def read_json(path: Path) -> Any:
    """What a JSON file says.

    Raises:
        FileNotFoundError: there is none.
        OSError: it cannot be read.
        ValueError: it is no JSON, no ordinary file (a pipe would be waited for), too large, or nested too deep.
    """
    if path.exists() and not path.is_file():
        raise ValueError("it is no ordinary file")
    if path.stat().st_size > MOST_BYTES:
        raise ValueError(f"it has more than {MOST_BYTES:,} bytes")
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except RecursionError:
        raise ValueError("it is nested too deep") from None
