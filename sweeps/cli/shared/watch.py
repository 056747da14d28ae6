"""`sweeps status --watch`: the live table of a sweep that another process runs, drawn from the ledger alone."""

from __future__ import annotations

import contextlib
import time
from datetime import datetime
from typing import TYPE_CHECKING

from sweeps.cli.shared.ledgers import Opened, is_driven, standing
from sweeps.ledger.live_note import read_workers
from sweeps.progress import WorkersSeen

if TYPE_CHECKING:
    from rich.console import Console

    from sweeps.ledger.trial_record import SweepRecord, TrialRecord
    from sweeps.terminal.board import Board

POLL_S = 1.0
BEGIN_S = 180.0  # for a driver to begin after its sweep was entered into the ledger


def watch_sweep(console: Console, opened: Opened, *, plain: bool) -> None:
    """Draw the sweep until nobody runs it any more, or Ctrl-C; one that was just submitted is waited for."""
    from sweeps.terminal.board import Board
    from sweeps.terminal.drawing import draw
    from sweeps.terminal.live import whole_screen

    board = Board(opened.outline)
    driver = opened.ledger.record.driver or {}
    board.began_at -= max(0.0, time.time() - driver.get("started", time.time()))
    _look(board, opened)
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
    record = opened.ledger.record
    trials = opened.ledger.trials()
    board.remember(trials)
    board.asked = opened.ledger.trials_asked
    now = board.clock()
    board.training_since = now if board.training_since is None else board.training_since
    for trial in trials:
        row = board.rows[trial.number]
        is_new = row.evaluation > row.step
        row.step, row.steps_total = row.evaluation, _evaluations_total(opened, trial)  # the ledger knows of no steps
        row.epoch = row.evaluation / (opened.outline.evaluations_per_epoch or 1)
        if row.seen_at is None:
            row.seen_at, row.first_step = now, row.step
        elif is_new:
            board.measure(row)
    board.hear(WorkersSeen(workers=read_workers(record.workers)))
    holder = record.driver or {}
    where = f"process {holder.get('pid')} on {holder.get('host')}"
    state = standing(record)
    board.preparing = f"run by {where}" if is_driven(record) and state != "finishing" else state
    board.draining = record.draining


def _evaluations_total(opened: Opened, trial: TrialRecord) -> int | None:
    if opened.spec is None or not trial.params:
        return None
    from search_spaces.errors import SearchSpaceError
    from trainer.errors import TrainerError

    try:
        epochs = trial.config(opened.spec.trial_config).epochs
    except (SearchSpaceError, TrainerError):  # it is told as failed when it is handed out
        return None
    return epochs * opened.spec.training.evaluations_per_epoch
