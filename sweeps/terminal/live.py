"""Shows a sweep while it runs: a picture that is redrawn where there is a terminal, lines where there is none.

with show_progress(board, console, plain=False) as hear:
    run_sweep(..., on_event=hear)
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console, RenderableType
from rich.live import Live

from sweeps.progress import ProgressEvent
from sweeps.terminal.board import Board
from sweeps.terminal.drawing import draw
from sweeps.terminal.plain import PlainLines

REDRAWN_PER_SECOND = 4

Hear = Callable[[ProgressEvent], None]


@contextmanager
def show_progress(board: Board, console: Console, *, plain: bool) -> Iterator[Hear]:
    """Show the board until the block ends; yields what takes the events, from any thread.

    The picture is gone afterwards, so that the account of the sweep begins where it was; lines stay.
    """
    if plain:
        yield PlainLines(board, console).hear
        return
    picture = _Picture(board, console)
    with Live(get_renderable=picture.draw, console=console, refresh_per_second=REDRAWN_PER_SECOND, transient=True):
        yield picture.hear


class _Picture:
    """A board behind a lock: events come from the driver's threads, drawing happens in another."""

    def __init__(self, board: Board, console: Console) -> None:
        self._board = board
        self._console = console
        self._lock = threading.Lock()

    def hear(self, event: ProgressEvent) -> None:
        with self._lock:
            self._board.hear(event)

    def draw(self) -> RenderableType:
        width, height = self._console.size
        with self._lock:
            return draw(self._board, width, height)
