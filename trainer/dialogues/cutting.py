"""Where a dialogue that is longer than the limit is cut: windows over its exchanges, each a user's turn and its reply.

Every reply that is to be learned is learned in exactly one window, and each window begins with a user's turn. A window
takes as history as many exchanges as fit into half the limit, then as many exchanges to learn as fit, then as much more
history as is left room for: so no reply lacks a history that would fit into half the limit, and all windows of a
dialogue together are at most about twice as long as the dialogue. An exchange that fits into no window is lost.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

HISTORY_SHARE = 2  # a window's history is at least what fits into one part of so many
RULE = "cut 1"  # part of the digests of data that is cut: a new rule makes other examples of the same dialogues


class Window(NamedTuple):
    """Exchanges `first` to `last` make up an example; those before `learned` are history, learned elsewhere."""

    first: int
    learned: int
    last: int


def windows(sizes: Sequence[int], wanted: Sequence[bool], limit: int) -> tuple[list[Window], list[int]]:
    """Cut a dialogue.

    Args:
        sizes: tokens of each exchange, with the line break before it.
        wanted: whether an exchange holds anything to learn.
        limit: the most tokens of a window, counted the same way.

    Returns:
        The windows in order, and the exchanges that are lost.
    """
    found: list[Window] = []
    lost: list[int] = []
    next_one = 0
    for index, is_wanted in enumerate(wanted):
        if not is_wanted or index < next_one:
            continue
        if sizes[index] > limit:
            lost.append(index)
            continue
        history = _first(sizes, index, min(limit - sizes[index], limit // HISTORY_SHARE))
        last = _last(sizes, wanted, index, limit - sum(sizes[history : index + 1]))
        first = _first(sizes, index, limit - sum(sizes[index : last + 1]))
        found.append(Window(first, index, last))
        next_one = last + 1
    return found, lost


def _first(sizes: Sequence[int], index: int, room: int) -> int:
    """The earliest exchange from which on all before `index` fit into so many tokens."""
    while index and sizes[index - 1] <= room:
        index -= 1
        room -= sizes[index]
    return index


def _last(sizes: Sequence[int], wanted: Sequence[bool], index: int, room: int) -> int:
    """The last wanted exchange up to which all after `index` fit into so many tokens."""
    last = index
    for later in range(index + 1, len(sizes)):
        room -= sizes[later]
        if room < 0:
            break
        last = later if wanted[later] else last
    return last
