"""A queue of metrics between training and the tracking store, emptied by one background thread.

`put` returns at once. During an outage the thread repeats the same batch until it is taken, so that order is kept;
what is more than memory should hold waits on disk, and where that is full `put` waits for room: nothing is dropped.
What the store refuses for good is raised by the same run's next `put`, or by `flush`.
"""

from __future__ import annotations

import atexit
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import final

from adapter_registry.errors import MetricsRejectedError, TrackingUnreachableError
from adapter_registry.runs.spool import MetricPoint, Spool
from adapter_registry.store.environment import first_line
from adapter_registry.store.outages import Outage

BATCH_SIZE = 1000  # MLflow refuses more in one call
# Each run needs a call of its own. One call with the points of five seconds takes MLflow's store less than half the
# processor time of five calls (measured with SQLite).
LINGER_S = 5.0
AT_EXIT_S = 10.0
ROOM_S = 1.0  # between two looks whether a full disk has room again


@final
class MetricQueue:
    """Hands batches of one run's metrics to `send`, in order.

    Args:
        send: writes up to 1000 points of one run, may be called twice with the same points, and raises what it likes.
        outage_of: the outage that an error of `send` tells of (try again); None: a refusal (count and go on).
        store: the store's name for error messages, without secrets.
        in_memory: points that wait in memory; those beyond wait on disk.
        linger_s: how long the first point of a batch waits for others; `flush` does not wait.
        max_pause_s: longest pause between two attempts in an outage.
    """

    def __init__(
        self,
        send: Callable[[str, Sequence[MetricPoint]], None],
        *,
        outage_of: Callable[[BaseException], Outage | None],
        store: str,
        in_memory: int = 10_000,
        linger_s: float = LINGER_S,
        max_pause_s: float = 15.0,
    ) -> None:
        self._send = send
        self._outage_of = outage_of
        self._store = store
        self._in_memory = in_memory
        self._linger_s = linger_s
        self._max_pause_s = max_pause_s
        self._points: deque[MetricPoint] = deque()
        self._spool = Spool()
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._taken = 0  # points that were put, ever
        self._done = 0  # points that were sent or refused, ever
        self._urgent = False
        self._closing = False
        self._abandoned = False
        self._outage: Outage | None = None
        self._refusals: dict[str, list[str]] = {}  # by run

    def put(self, points: Sequence[MetricPoint]) -> None:
        """Queue points; waits only while neither memory nor disk has room.

        Raises:
            MetricsRejectedError: earlier points of these runs were refused for good. The new ones are queued all the
                same.
        """
        with self._changed:
            while not self._closing and not self._keep(points):
                self._changed.notify_all()
                self._changed.wait(ROOM_S)
            if self._closing:
                raise MetricsRejectedError("Metrics must be logged before close(), but this queue is closed.")
            self._taken += len(points)
            self._start()
            self._changed.notify_all()
            self._raise_refusals({point.run_id for point in points})

    def flush(self, timeout_s: float = 120.0, *, run_id: str | None = None) -> None:
        """Wait until everything that was put before is sent.

        Raises:
            TrackingUnreachableError: the store did not take it in time; it stays queued and is still being tried.
            MetricsRejectedError: some of the run's points (None: of any run's) were refused for good.
        """
        with self._changed:
            target = self._taken
            self._urgent = True
            self._changed.notify_all()
            arrived = self._changed.wait_for(lambda: self._done >= target, timeout_s)
            if not arrived:
                outage = self._outage or Outage("no answer yet")
                raise TrackingUnreachableError(
                    f"{target - self._done} metrics wait for the tracking store {self._store}, which did not take "
                    f"them within {timeout_s:g} s ({outage.reason}). {outage.remedy} They are kept while this process "
                    "lives."
                )
            self._raise_refusals(set(self._refusals) if run_id is None else {run_id})

    def close(self, timeout_s: float = 120.0) -> None:
        """Send what waits, end the thread; a second call does nothing.

        Raises:
            TrackingUnreachableError: points could not be sent in time, and are lost with this process.
            MetricsRejectedError: some were refused for good.
        """
        if self._closing:
            return
        try:
            self.flush(timeout_s)
        finally:
            with self._changed:
                self._closing = self._abandoned = True
                self._changed.notify_all()
            if self._thread is not None:
                self._thread.join(timeout=AT_EXIT_S)
                atexit.unregister(self._close_at_exit)
            self._spool.close()

    @property
    def waiting(self) -> int:
        """Points that are not yet sent."""
        with self._changed:
            return len(self._points) + len(self._spool)

    def _keep(self, points: Sequence[MetricPoint]) -> bool:
        """Put points behind those that wait; False when there is no room on disk."""
        if len(self._points) < self._in_memory and not self._spool:
            self._points.extend(points)
            return True
        try:
            self._spool.append(points)
        except OSError:
            return False
        return True

    def _start(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="metric-queue", daemon=True)
            self._thread.start()  # it waits for the lock that our caller holds
            atexit.register(self._close_at_exit)

    def _close_at_exit(self) -> None:
        self.close(AT_EXIT_S)

    def _raise_refusals(self, run_ids: set[str]) -> None:
        refusals = [text for run_id in sorted(run_ids) for text in self._refusals.pop(run_id, [])]
        if refusals:
            more = f" (and {len(refusals) - 1} more batches)" if len(refusals) > 1 else ""
            raise MetricsRejectedError(refusals[0] + more)

    def _work(self) -> None:
        while (batch := self._next_batch()) is not None:
            runs: dict[str, list[MetricPoint]] = {}
            for point in batch:
                runs.setdefault(point.run_id, []).append(point)
            for run_id, points in runs.items():
                if not self._deliver(run_id, points):
                    return
            with self._changed:
                for _ in batch:
                    self._points.popleft()
                self._done += len(batch)
                self._points.extend(self._spool.take(self._in_memory - len(self._points)))
                self._urgent = self._urgent and bool(self._points)
                self._changed.notify_all()

    def _next_batch(self) -> list[MetricPoint] | None:
        """The oldest points, still queued; None when closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._points or self._closing)
            ready = lambda: self._urgent or self._closing or len(self._points) >= BATCH_SIZE  # noqa: E731
            self._changed.wait_for(ready, self._linger_s)
            if self._abandoned or not self._points:
                return None
            return [self._points[i] for i in range(min(BATCH_SIZE, len(self._points)))]

    def _deliver(self, run_id: str, points: list[MetricPoint]) -> bool:
        """Send until the store takes or refuses it; False when the queue was closed meanwhile."""
        pause_s = 0.1
        while True:
            try:
                self._send(run_id, points)
            except Exception as error:
                outage = self._outage_of(error)
                with self._changed:
                    if outage is None:
                        self._refusals.setdefault(run_id, []).append(
                            f"The tracking store {self._store} refused {len(points)} metrics of run {run_id}, which "
                            f"are lost: {first_line(error)}"
                        )
                        return True
                    self._outage = outage
                    if self._pause(pause_s):
                        return False
                pause_s = min(2 * pause_s, self._max_pause_s)
            else:
                with self._changed:
                    self._outage = None
                return True

    def _pause(self, pause_s: float) -> bool:
        """Wait before the next attempt; True when the queue was given up meanwhile."""
        deadline = time.monotonic() + pause_s
        self._changed.wait_for(lambda: self._abandoned, max(0.0, deadline - time.monotonic()))
        return self._abandoned
