"""What the workers do at the moment, as a note in the ledger: who watches from another machine sees the same table."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from pydantic import TypeAdapter, ValidationError

from sweeps.progress import WorkerStatus

_WORKERS = TypeAdapter(tuple[WorkerStatus, ...])


def write_workers(workers: Sequence[WorkerStatus]) -> Any:
    """Return plain values that JSON can hold."""
    return json.loads(_WORKERS.dump_json(tuple(workers)))


def read_workers(note: Any) -> tuple[WorkerStatus, ...]:
    """Read what `write_workers` returned; nothing, where it was written by another version."""
    try:
        return _WORKERS.validate_python(note or ())
    except ValidationError:
        return ()
