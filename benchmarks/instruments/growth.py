"""Whether a driver grows with the number of its trials: its memory, sampled while they end."""

from __future__ import annotations

import threading


class MemoryOverTrials:
    """Samples this process's memory in a thread while trials end; use it as a context.

    Args:
        interval_s: between two samples.
    """

    def __init__(self, interval_s: float = 0.25) -> None:
        self.ended = 0
        self._interval_s = interval_s
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._work, name="memory", daemon=True)
        self.samples: list[tuple[int, int]] = []

    def __enter__(self) -> MemoryOverTrials:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def resident_bytes(self, trials: int) -> int:
        """Resident bytes when so many trials had ended; the last sample if the process noticed fewer."""
        at = next((resident for ended, resident in self.samples if ended >= trials), None)
        return self.samples[-1][1] if at is None else at

    def _work(self) -> None:
        import psutil

        process = psutil.Process()
        while not self._over.wait(self._interval_s):
            self.samples.append((self.ended, process.memory_info().rss))
