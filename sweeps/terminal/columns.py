"""Tables that fit: as many columns as the console is wide, long names on two lines, no cell cut in the middle."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rich.cells import cell_len
from rich.table import Table
from rich.text import Text

NARROWEST_HEADER = 8


@dataclass(frozen=True)
class Column:
    """A column of cells, all as tall as the table.

    widest     cells are cut there
    drop       where the table would be too wide, columns of the highest `drop` go first; those of 0 stay
    flexible   the least width of a column that takes what is left; its cells may be any renderable
    """

    name: str
    cells: Sequence[Any]
    align: Any = "right"
    style: str = ""
    widest: int = 24
    drop: int = 0
    flexible: int = 0

    @property
    def header(self) -> str:
        """The name, on two lines where it is wider than what is below it."""
        widest = max([NARROWEST_HEADER, *(cell_len(str(cell)) for cell in self.cells)]) if not self.flexible else 99
        parts = self.name.split("_")
        if cell_len(self.name) <= widest or len(parts) == 1:
            return self.name
        halves = [("_".join(parts[:i]), "_".join(parts[i:])) for i in range(1, len(parts))]
        return "\n".join(min(halves, key=lambda pair: max(map(cell_len, pair))))

    @property
    def width(self) -> int:
        """Cells of the terminal that it takes."""
        if self.flexible:
            return self.flexible
        texts = [*self.header.split("\n"), *(str(cell) for cell in self.cells)]
        return min(self.widest, max(cell_len(text) for text in texts))


def fitting(columns: Sequence[Column], width: int, gap: int = 2) -> list[Column]:
    """Return the columns that fit into `width`."""
    kept = list(columns)
    while _width(kept, gap) > width and any(column.drop for column in kept):
        kept.remove(max(kept, key=lambda column: column.drop))
    return kept


def table(columns: Sequence[Column], width: int, *, gap: int = 2, widest_flexible: int = 0) -> Table:
    """Build a table that is not wider than `width`, as far as columns may be dropped."""
    kept = fitting(columns, width, gap)
    drawn = Table(box=None, padding=(0, gap, 0, 0), pad_edge=False, header_style="dim", show_edge=False)
    spare = width - _width(kept, gap)
    for column in kept:
        size = min(column.width + max(0, spare), widest_flexible) if column.flexible else column.width
        header = Text(column.header, justify=column.align)
        drawn.add_column(
            header,
            justify=column.align,
            style=column.style,
            width=size,
            no_wrap=True,
            overflow="ellipsis",
            vertical="bottom",
        )
    for cells in zip(*(column.cells for column in kept), strict=True):
        drawn.add_row(*cells)
    return drawn


def _width(columns: Sequence[Column], gap: int) -> int:
    return sum(column.width for column in columns) + gap * max(0, len(columns) - 1)
