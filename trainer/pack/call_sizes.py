"""How many slots a compiled call covers: a trade between idle slots in a call and another compilation."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable

PATIENCE_CALLS = 24


class CallSizes:
    """Chooses among 1, 2, 4, … and all slots.

    A program for fewer slots saves time in each call but costs a compilation once. As with renting skis, the larger
    program serves until the smaller one would have been worth it, here after 24 calls of a program.
    """

    def __init__(self, slots: int) -> None:
        powers = (1 << power for power in range(slots.bit_length()))
        self._sizes = (*(size for size in powers if size < slots), slots)
        self._compiled: dict[Hashable, set[int]] = {}
        self._wanted: Counter[tuple[Hashable, int]] = Counter()

    def choose(self, count: int, program: Hashable) -> int:
        """The size of the next call of `program` for `count` slots.

        Args:
            count: slots that have work, at least 1.
            program: what is compiled for each size.
        """
        best = next(size for size in self._sizes if size >= count)
        compiled = self._compiled.setdefault(program, {self._sizes[-1]})
        self._wanted[program, best] += 1
        if best not in compiled and self._wanted[program, best] > PATIENCE_CALLS:
            compiled.add(best)
        return min(size for size in compiled if size >= count)
