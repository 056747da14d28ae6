"""Metrics that wait on disk, in order, while the tracking store is away for longer than memory should hold them."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Sequence
from dataclasses import astuple, dataclass
from typing import IO, final


@dataclass(frozen=True, slots=True)
class MetricPoint:
    """One value of one metric of one run; `timestamp_ms` (since 1970) is when it was measured, not when it is sent."""

    run_id: str
    key: str
    value: float
    step: int
    timestamp_ms: int


@final
class Spool:
    """A queue in a temporary file without a name, which is gone with the process; a line for each point.

    What is lost with it is not lost to a trial: its checkpoints are stored behind its metrics, so that whoever goes on
    with the trial measures these again.
    """

    def __init__(self) -> None:
        self._file: IO[bytes] | None = None
        self._end = 0  # of the last point that was added whole
        self._read_at = 0
        self._waiting = 0

    def __len__(self) -> int:
        return self._waiting

    def append(self, points: Sequence[MetricPoint]) -> None:
        """Add points behind those that wait.

        Raises:
            OSError: the disk is full; nothing was added.
        """
        if self._file is None:
            # A buffer would keep what the disk does not take, and write it at the next attempt, besides the same again.
            self._file = tempfile.TemporaryFile(prefix="metrics-", buffering=0)  # noqa: SIM115 - it lives with the queue
        lines = memoryview(b"".join(json.dumps(astuple(point)).encode() + b"\n" for point in points))
        written = 0
        while written < len(lines):
            written += os.pwrite(self._file.fileno(), lines[written:], self._end + written)
        self._end += written
        self._waiting += len(points)

    def take(self, most: int) -> list[MetricPoint]:
        """Take the oldest points out."""
        if self._file is None or not self._waiting:
            return []
        # A new reader each time: an older one may hold a part of what an attempt left behind the end.
        with open(self._file.fileno(), "rb", closefd=False) as reader:
            reader.seek(self._read_at)
            points = [MetricPoint(*json.loads(reader.readline())) for _ in range(min(most, self._waiting))]
            self._read_at = reader.tell()
        self._waiting -= len(points)
        if not self._waiting:
            self._file.truncate(0)
            self._end = self._read_at = 0
        return points

    def close(self) -> None:
        """Give up what waits."""
        if self._file is not None:
            self._file.close()
            self._file, self._end, self._read_at, self._waiting = None, 0, 0, 0
