"""Counts the calls that a sweep makes to MLflow, in all its processes, by the name of the client's method."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from adapter_registry.runs.mlflow_tracker import MlflowTracker


@dataclass(frozen=True)
class CountingFactory:
    """Builds trackers whose clients note every call as a line of the file `log`; it can be pickled.

    make   builds the tracker
    """

    make: Callable[[], MlflowTracker]
    log: str

    def __call__(self) -> MlflowTracker:
        """Build a tracker."""
        tracker = self.make()
        # The one place through which all that a tracker does reaches MLflow; it opens its client when first asked.
        tracker._opened = _CountedClient(tracker.client, self.log)
        return tracker


class _CountedClient:
    """Stands in for an `MlflowClient`: notes the name of each method that is called, and passes the call on."""

    def __init__(self, client: Any, log: str) -> None:
        self._client = client
        self._file = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._client, name)
        if not callable(found):
            return found

        def call(*arguments: Any, **named: Any) -> Any:
            # Appended in one piece, so that processes and threads may share the file; a killed one loses nothing.
            os.write(self._file, f"{name}\n".encode())
            return found(*arguments, **named)

        return call


def counted_calls(log: Path) -> Counter[str]:
    """Read how often each method was called."""
    return Counter(log.read_text().split())
