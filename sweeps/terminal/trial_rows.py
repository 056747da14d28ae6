"""A row for each trial that runs or waits, and for those that ended last where there is room."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.progress_bar import ProgressBar
from rich.text import Text

from sweeps.terminal.board import Board
from sweeps.terminal.columns import Column, table
from sweeps.terminal.row import ENDED, Row
from sweeps.terminal.wording import number, plural, setting

STYLES = {
    "running": "cyan",
    "waiting": "dim",
    "complete": "green",
    "pruned": "yellow",
    "failed": "red",
    "stopped": "magenta",
}
WIDEST_BAR = 30
DROP_PARAMETERS = 3  # they go before the epoch and the training loss


def draw_trials(board: Board, width: int, lines: int) -> RenderableType | None:
    """Draw a row for each trial that runs or waits, and for those that ended last where there is room."""
    room = lines - 2  # the header may have two lines
    alive, ended = board.alive, board.ended
    if room < 1 or not (alive or ended):
        return None
    hidden = len(alive) - room
    if hidden > 0:
        alive = alive[: room - 1]
        more = Text(f"   … and {plural(hidden + 1, 'more trial')} under way", style="dim")
        return Group(_table(board, alive, width), more) if alive else more
    return _table(board, alive + ended[: room - len(alive)], width)


def _table(board: Board, rows: Sequence[Row], width: int) -> RenderableType:
    metric = board.outline.metric
    parameters = [
        Column(name, [_cell(_setting(row, name), row) for row in rows], drop=DROP_PARAMETERS + i)
        for i, name in enumerate(board.parameters)
    ]
    labels = [_label(row) for row in rows]
    columns = [
        Column("trial", [_cell(str(row.number), row) for row in rows]),
        *parameters,
        Column("progress", [_progress(row) for row in rows], flexible=8, align="left"),
        Column("", labels, align="left"),
        Column("epoch", [_cell(f"{row.epoch:.1f}" if row.epoch else "", row) for row in rows], drop=2),
        Column("train_loss", [_cell(number(row.train_loss), row) for row in rows], drop=1),
        Column(metric, [_value(board, row) for row in rows]),
    ]
    return Padding(table(columns, width - 1, widest_flexible=WIDEST_BAR), (0, 0, 0, 1))


def _setting(row: Row, name: str) -> str:
    return setting(row.params[name]) if name in row.params else ""


def _progress(row: Row) -> RenderableType:
    style = STYLES[row.state]
    fraction = row.fraction if row.state not in ENDED or row.state == "complete" else row.reached
    return ProgressBar(1.0, fraction, None, complete_style=style, finished_style=style)


def _label(row: Row) -> Text:
    text = f"{row.fraction:4.0%}" if row.state == "running" else row.state
    return Text(text, style=STYLES[row.state])


def _value(board: Board, row: Row) -> Text:
    best = board.best
    is_best = best is not None and best.number == row.number
    return Text(
        number(row.value if row.kept is None else row.kept),
        style="bold green" if is_best else "dim" if row.state in ENDED else "",
    )


def _cell(text: str, row: Row) -> Text:
    return Text(text, style="dim" if row.state in ENDED else "")
