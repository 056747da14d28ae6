"""A background thread that does slow writes (adapters, run states) one after the other, so that nobody waits for them.

An error ends the thread; it is kept, and raised by the next call. Nothing that was put is dropped in silence.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from typing import final

Write = Callable[[], object]


@final
class Outbox:
    """Runs writes in the order in which they were put.

    Args:
        name: of the thread.
        prepare: the first write, before any other (it builds what they need); `flush` waits for it, too.
        capacity: writes that may wait; `put` blocks beyond it, so that memory stays bounded.
    """

    def __init__(self, name: str, *, prepare: Write | None = None, capacity: int = 1000) -> None:
        self._writes: queue.Queue[Write | None] = queue.Queue(capacity)
        self._idle = threading.Condition()
        self._put = 0
        self._done = 0
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)
        self._thread.start()
        if prepare is not None:
            self.put(prepare)

    @property
    def error(self) -> BaseException | None:
        """What a write raised."""
        return self._error

    def put(self, write: Write) -> None:
        """Queue a write.

        Raises:
            BaseException: what an earlier write raised.
        """
        self.check()
        with self._idle:
            self._put += 1
        self._writes.put(write)

    def check(self) -> None:
        """Raise what an earlier write raised."""
        if self._error is not None:
            raise self._error

    def flush(self, timeout_s: float = 120.0) -> bool:
        """Wait until all that was put is written; False when it took too long.

        Raises:
            BaseException: what a write raised.
        """
        with self._idle:
            target = self._put
            arrived = self._idle.wait_for(lambda: self._done >= target or self._error is not None, timeout_s)
        self.check()
        return arrived

    def close(self, timeout_s: float = 120.0) -> None:
        """Write what waits and end the thread; errors are not raised here."""
        self._writes.put(None)
        self._thread.join(timeout_s)

    def _work(self) -> None:
        while (write := self._writes.get()) is not None:
            self._run(write)
            with self._idle:
                self._done += 1
                self._idle.notify_all()

    def _run(self, write: Write) -> None:
        """Run a write, unless one failed before: what follows an error may build on what is missing."""
        if self._error is not None:
            return
        try:
            write()
        except BaseException as error:
            with self._idle:
                self._error = error
                self._idle.notify_all()
