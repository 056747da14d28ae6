"""A background thread that does slow writes (adapters, run states) one after the other, so that nobody waits for them.

Urgent ones go before those that wait, in their own order. An error ends the thread; it is kept, and raised by the next
call. Nothing that was put is dropped in silence.
"""

from __future__ import annotations

import itertools
import queue
import threading
from collections.abc import Callable
from enum import IntEnum
from typing import final

Write = Callable[[], object]


class _Turn(IntEnum):
    URGENT = 0
    USUAL = 1
    LAST = 2


@final
class Outbox:
    """Runs writes in the order in which they were put, the urgent ones first.

    Args:
        name: of the thread.
        prepare: the first write, before any other (it builds what they need); `flush` waits for it, too.
        capacity: writes that may wait; `put` blocks beyond it, so that memory stays bounded.
    """

    def __init__(self, name: str, *, prepare: Write | None = None, capacity: int = 1000) -> None:
        self._writes: queue.PriorityQueue[tuple[_Turn, int, Write | None]] = queue.PriorityQueue(capacity)
        self._numbers = itertools.count()
        self._changed = threading.Condition()
        self._unwritten: set[int] = set()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)
        self._thread.start()
        if prepare is not None:
            self.put(prepare)

    @property
    def error(self) -> BaseException | None:
        """What a write raised."""
        return self._error

    def put(self, write: Write, *, urgent: bool = False) -> None:
        """Queue a write; an urgent one before all that are not.

        Raises:
            BaseException: what an earlier write raised.
        """
        self.check()
        with self._changed:
            number = next(self._numbers)
            self._unwritten.add(number)
        self._writes.put((_Turn.URGENT if urgent else _Turn.USUAL, number, write))

    def check(self) -> None:
        """Raise what an earlier write raised."""
        if self._error is not None:
            raise self._error

    def flush(self, timeout_s: float = 120.0) -> bool:
        """Wait until all that was put is written; False when it took too long.

        Raises:
            BaseException: what a write raised.
        """
        with self._changed:
            due = set(self._unwritten)
            arrived = self._changed.wait_for(
                lambda: due.isdisjoint(self._unwritten) or self._error is not None, timeout_s
            )
        self.check()
        return arrived

    def close(self, timeout_s: float = 120.0) -> None:
        """Write what waits and end the thread; errors are not raised here."""
        self._writes.put((_Turn.LAST, next(self._numbers), None))
        self._thread.join(timeout_s)

    def _work(self) -> None:
        while True:
            _, number, write = self._writes.get()
            if write is None:
                return
            self._run(write)
            with self._changed:
                self._unwritten.remove(number)
                self._changed.notify_all()

    def _run(self, write: Write) -> None:
        """Run a write, unless one failed before: what follows an error may build on what is missing."""
        if self._error is not None:
            return
        try:
            write()
        except BaseException as error:
            with self._changed:
                self._error = error
                self._changed.notify_all()
