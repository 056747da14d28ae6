"""`sweeps status --watch`: the live table of a sweep that another process runs, drawn from the ledger alone."""

from __future__ import annotations

import contextlib
import time
from datetime import datetime
from typing import TYPE_CHECKING

from sweeps.cli.shared.boards import board_of, bring_up_to_date
from sweeps.ledger.live_note import read_workers
from sweeps.opening import Opened, is_driven, standing
from sweeps.progress import WorkersSeen

if TYPE_CHECKING:
    from rich.console import Console

    from sweeps.ledger.trial_record import SweepRecord
    from sweeps.terminal.board import Board

POLL_S = 1.0
BEGIN_S = 180.0  # for a driver to begin after its sweep was entered into the ledger


def watch_sweep(console: Console, opened: Opened, *, plain: bool) -> None:
    """Draw the sweep until nobody runs it any more, or Ctrl-C; one that was just submitted is waited for."""
    from sweeps.terminal.drawing import draw
    from sweeps.terminal.live import whole_screen

    board = board_of(opened)
    if plain or not _goes_on(opened.ledger.record):  # without a terminal there is nothing to draw on: wait for the end
        with contextlib.suppress(KeyboardInterrupt):
            while _goes_on(opened.ledger.record):
                time.sleep(POLL_S)
        return
    with contextlib.suppress(KeyboardInterrupt), whole_screen(console, auto_refresh=False) as live:
        while _goes_on(opened.ledger.record):
            _look(board, opened)
            live.update(draw(board, *console.size), refresh=True)
            time.sleep(POLL_S)


def _goes_on(record: SweepRecord) -> bool:
    """Whether somebody runs it, or is about to."""
    begins = record.state == "created" and time.time() - datetime.fromisoformat(record.created).timestamp() < BEGIN_S
    return is_driven(record) or begins


def _look(board: Board, opened: Opened) -> None:
    """Bring the board up to date."""
    bring_up_to_date(board, opened)
    record = opened.ledger.record
    board.hear(WorkersSeen(workers=read_workers(record.workers)))
    holder = record.driver or {}
    where = f"process {holder.get('pid')} on {holder.get('host')}"
    state = standing(record)
    board.preparing = f"run by {where}" if is_driven(record) and state != "finishing" else state
    board.draining = record.draining
