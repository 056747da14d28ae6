"""Metrics that wait on disk, in order, while the tracking store is away for longer than memory should hold them."""

from __future__ import annotations

import json
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
            self._file = tempfile.TemporaryFile(prefix="metrics-")  # noqa: SIM115 - it lives as long as the queue
        end = self._file.seek(0, 2)
        try:
            self._file.write(b"".join(json.dumps(astuple(point)).encode() + b"\n" for point in points))
            self._file.flush()
        except OSError:
            self._file.truncate(end)
            raise
        self._waiting += len(points)

    def take(self, most: int) -> list[MetricPoint]:
        """Take the oldest points out."""
        if self._file is None or not self._waiting:
            return []
        self._file.seek(self._read_at)
        points = [MetricPoint(*json.loads(self._file.readline())) for _ in range(min(most, self._waiting))]
        self._read_at = self._file.tell()
        self._waiting -= len(points)
        if not self._waiting:
            self._file.truncate(0)
            self._read_at = 0
        return points

    def close(self) -> None:
        """Give up what waits."""
        if self._file is not None:
            self._file.close()
            self._file, self._waiting = None, 0
