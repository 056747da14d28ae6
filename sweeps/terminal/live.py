"""Shows a sweep while it runs: a picture that is redrawn where there is a terminal, lines where there is none.

with show_progress(board, console, plain=False) as hear:
    run_sweep(..., on_event=hear)
"""

from __future__ import annotations

import os
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, suppress
from typing import Any

from rich.console import Console, RenderableType
from rich.live import Live
from rich.text import Text

from sweeps.progress import ProgressEvent
from sweeps.terminal.board import Board
from sweeps.terminal.drawing import draw
from sweeps.terminal.plain import PlainLines

REDRAWN_PER_SECOND = 2  # as often as the driver looks at its workers; drawing takes about 10 ms

Hear = Callable[[ProgressEvent], None]


@contextmanager
def show_progress(board: Board, console: Console, *, plain: bool) -> Iterator[Hear]:
    """Show the board until the block ends; yields what takes the events, from any thread.

    The picture is gone afterwards, so that the account of the sweep begins where it was launched; lines stay.
    """
    if plain:
        yield PlainLines(board, console).hear
        return
    picture = _Picture(board, console)
    with whole_screen(console, get_renderable=picture.draw, refresh_per_second=REDRAWN_PER_SECOND) as live:
        live.refresh()
        yield picture.hear


@contextmanager
def whole_screen(console: Console, **options: Any) -> Iterator[Live]:
    """Draw on the terminal's second screen, as `top` does, until the block ends; `options` are those of rich's Live.

    There a picture is redrawn whole, whatever was resized. On the first one the terminal itself breaks what no longer
    fits, and keeps lines that have left it: parts of former pictures would stay. What anybody writes to the standard
    error meanwhile is written when the first screen is back.
    """
    kept: Any = _Kept(sys.stderr)
    try:
        with (
            quiet_keyboard(),
            Live(console=console, screen=True, redirect_stderr=False, **options) as live,
            redirect_stderr(kept),
        ):
            yield live
    finally:
        with suppress(OSError):
            kept.stream.write("".join(kept.texts))


@contextmanager
def quiet_keyboard() -> Iterator[None]:
    """Keep what is typed, Ctrl-C's `^C` too, from being written into the picture."""
    before = None
    with suppress(ImportError, OSError, ValueError):  # no POSIX terminal
        import termios

        keyboard = sys.stdin.fileno()
        # A process in the background would be stopped for touching the terminal.
        if sys.stdin.isatty() and os.tcgetpgrp(keyboard) == os.getpgrp():
            before = termios.tcgetattr(keyboard)
            silent = [*before[:3], before[3] & ~termios.ECHO, *before[4:]]
            termios.tcsetattr(keyboard, termios.TCSADRAIN, silent)
    try:
        yield
    finally:
        if before is not None:
            with suppress(termios.error):  # it was closed meanwhile
                termios.tcsetattr(keyboard, termios.TCSADRAIN, before)


class _Kept:
    """A stream whose text waits; everything else about it is the stream's own."""

    def __init__(self, stream: Any) -> None:
        self.stream = stream
        self.texts: deque[str] = deque(maxlen=10_000)

    def write(self, text: str) -> int:
        self.texts.append(text)
        return len(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)


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
        try:
            with self._lock:
                return draw(self._board, width, height)
        except Exception as error:  # a sweep must not end because its picture cannot be drawn
            return Text(f"The table cannot be drawn ({type(error).__name__}); the sweep goes on.", style="yellow")
