"""The table of sample generations, in the form of `MlflowClient.log_table` (pandas' `split`), which the UI shows.

Not `log_table` itself: it appends the same epoch twice when a trial is repeated.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from adapter_registry.runs.tracking import Sample

COLUMNS = ("epoch", "prompt", "reply", "tokens", "seconds")


def with_epoch(table: bytes | None, epoch: int, samples: Sequence[Sample]) -> bytes:
    """The table with one epoch's samples; rows of the same epoch are replaced, and rows are in the order of epochs."""
    rows = [row for row in json.loads(table)["data"] if row[0] != epoch] if table else []
    rows += [[epoch, s.prompt, s.reply, s.tokens, round(s.seconds, 3)] for s in samples]
    rows.sort(key=lambda row: int(row[0]))
    return json.dumps({"columns": COLUMNS, "data": rows}, ensure_ascii=False).encode()
