"""Where commands write: a console that knows whether it may redraw and colour, and how wide it is."""

from __future__ import annotations

import os
import re
import sys
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from typing import TextIO

    from rich.console import Console

WIDTH_OF_A_LOG = 120


def is_plain(asked: bool = False) -> bool:
    """Tell whether to write plain lines: no terminal, a dumb one, or somebody does not want more."""
    return asked or not sys.stdout.isatty() or bool(os.environ.get("NO_COLOR")) or os.environ.get("TERM") == "dumb"


def open_console(*, plain: bool = False) -> Console:
    """Open the standard output; plain, it is free of control characters and of spaces at the ends of lines."""
    from rich.console import Console

    if not is_plain(plain):
        return Console(markup=False, highlight=False, emoji=False)
    columns = os.environ.get("COLUMNS", "")
    width = int(columns) if columns.isdecimal() and int(columns) else None if sys.stdout.isatty() else WIDTH_OF_A_LOG
    return Console(
        file=cast("TextIO", _Trimmed()),
        markup=False,
        highlight=False,
        emoji=False,
        force_terminal=False,
        color_system=None,
        no_color=True,
        width=width,
    )


class _Trimmed:
    """The standard output without the spaces that rich pads every line of a table or a paragraph with."""

    def write(self, text: str) -> int:
        sys.stdout.write(re.sub(r" +(?=\n)", "", text))
        return len(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(sys.stdout, name)
