"""The board as a picture: what is done and left, the best so far, the workers, and a row for each trial.

`draw(board, width, height)` never takes more lines than `height` nor more columns than `width`.
"""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Console, Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.text import Text

from sweeps.terminal.board import Board
from sweeps.terminal.time_left import time_left
from sweeps.terminal.trial_rows import STYLES, draw_trials
from sweeps.terminal.wording import duration, number, one_line, plural, setting

MOST_LINES = 3  # of one sentence: a worker's warning may be long


def draw(board: Board, width: int, height: int) -> RenderableType:
    """Draw the board."""
    sentences = [_counts(board), *_notices(board), _best(board, width), *_workers(board)]
    head = [_title(board, width), _bar(board, width), *(line for each in sentences for line in _lines(each, width))]
    head = head[: max(1, height - 1)]
    body = draw_trials(board, width, height - len(head) - 1)
    return Group(*head, *([Text(), body] if body else []))


# ------------------------------------------------------------------------------------------------------------ above


def _lines(sentence: Text, width: int) -> Iterator[Text]:
    """Break a sentence between words, every line with the space that it begins with."""
    lines = sentence[1:].wrap(Console(width=width), max(1, width - 1))
    for i, line in enumerate(lines[:MOST_LINES]):
        line.rstrip()
        if i == MOST_LINES - 1 < len(lines) - 1:
            line.append(" …")
            line.truncate(width - 1, overflow="ellipsis")
        yield _unbroken(Text(" ").append_text(line))


def _unbroken(line: Text) -> Text:
    line.no_wrap, line.overflow = True, "ellipsis"
    return line


def _title(board: Board, width: int) -> Text:
    name = Text(f" {board.outline.name}", style="bold")
    times = f"{duration(board.clock() - board.began_at)} elapsed"
    left = time_left(board)
    if left is not None and not _is_over(board):
        times += f" · {duration(left)} left"
    gap = width - name.cell_len - len(times) - 1
    return _unbroken(Text.assemble(name, " " * max(2, gap), (times, "dim" if left is None else "")))


def _bar(board: Board, width: int) -> RenderableType:
    label = f"{board.finished}/{board.asked} trials"
    style = "green" if _is_over(board) else "cyan"
    size = max(4, width - len(label) - 4)
    return _beside(ProgressBar(1.0, board.fraction, size, complete_style=style, finished_style="green"), size, label)


def _beside(bar: ProgressBar, size: int, label: str) -> RenderableType:
    from rich.table import Table

    line = Table.grid(padding=0)
    line.add_column(width=1)
    line.add_column(width=size)
    line.add_column(no_wrap=True)
    line.add_row("", bar, f"  {label}")
    return line


def _counts(board: Board) -> Text:
    counts = board.counts
    to_come = board.asked - board.finished - counts["running"] - counts["waiting"] - counts["stopped"]
    parts: list[tuple[int, str, str]] = [
        (counts[state], state, STYLES[state]) for state in ("complete", "pruned", "failed", "stopped", "running")
    ]
    parts.append((counts["waiting"] + max(0, to_come), "to come", "dim"))
    shown = [(f"{count} {what}", style) for count, what, style in parts if count or what in {"complete", "running"}]
    return Text(" ") + Text(" · ", style="dim").join(Text(text, style=style) for text, style in shown)


def _notices(board: Board) -> list[Text]:
    notices = []
    if board.outage:
        text = f" The ledger does not answer ({one_line(board.outage)}); training goes on."
        notices.append(Text(text, style="bold yellow"))
    if not board.draining:
        return notices
    again = " Ctrl-C again: at once." if board.draining == "Ctrl-C" else ""
    text = f" Stopping ({one_line(board.draining)}): trials end when their checkpoints are stored.{again}"
    return [*notices, Text(text, style="bold magenta")]


def _best(board: Board, width: int) -> Text:
    best = board.best
    if best is None or best.score is None:
        return Text(" best   none evaluated yet", style="dim")
    metric = board.outline.metric
    line = Text.assemble((" best   ", "dim"), (f"trial {best.number}", "bold"), f"  {metric} ")
    line.append(number(best.score), style="bold green")
    for name, value in best.params.items():
        line.append(f"  {name} ", style="dim").append(setting(value))
    base = next((worker.base_metrics.get(metric) for worker in board.workers if worker.base_metrics), None)
    more = "" if base is None else f"  · base model {number(base)}"
    return line.append(more, style="dim") if line.cell_len + len(more) <= width else line


def _workers(board: Board) -> list[Text]:
    warnings = [one_line(worker.error) for worker in board.workers if worker.error]
    warnings += [one_line(worker.warnings[-1]) for worker in board.workers if worker.warnings]
    doing = board.preparing or ("starting Ray" if not board.workers else "finishing" if _is_over(board) else "")
    if doing:  # which no worker does
        line = Text.assemble((" now    ", "dim"), (f"{doing} …", "cyan"))
    else:
        line = Text.assemble((" worker " if len(board.workers) == 1 else f" {len(board.workers)} workers ", "dim"))
        line.append(_work(board))
    return [line, *(Text(f" ! {text}", style="yellow") for text in warnings[:1])]


def _is_over(board: Board) -> bool:
    return board.finished >= board.asked


def _work(board: Board) -> Text:
    states = [worker.state for worker in board.workers]
    loading, gone = states.count("loading"), len(states) - states.count("loading") - states.count("ready")
    slots = sum(worker.slots for worker in board.workers)
    parts: list[tuple[str, str]] = []
    if loading:
        parts.append((f"{'' if len(states) == 1 else f'{loading} '}loading the base model and compiling …", "cyan"))
    if gone:
        parts.append((f"{'' if len(states) == 1 else f'{gone} '}lost, starting another …", "yellow"))
    if slots:
        parts.append((f"{sum(len(worker.taken) for worker in board.workers)} of {plural(slots, 'slot')} taken", ""))
    speed = board.tokens_per_second
    if speed is not None:
        parts.append((f"{speed:,.0f} tokens/s", ""))
    return Text(" · ", style="dim").join(Text(text, style=style) for text, style in parts)
