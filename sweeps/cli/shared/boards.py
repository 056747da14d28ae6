"""The board of a sweep that has begun, from its ledger: for the driver that goes on with it, and for who watches."""

from __future__ import annotations

import dataclasses
import time
from typing import TYPE_CHECKING

from sweeps.opening import Opened, is_driven

if TYPE_CHECKING:
    from sweeps.ledger.trial_record import SweepRecord, TrialRecord
    from sweeps.terminal.board import Board


def board_of(opened: Opened) -> Board:
    """Build it; a first run begins with an empty one of the same kind."""
    from sweeps.terminal.board import Board

    board = Board(opened.outline)
    board.began_at -= elapsed_s(opened.ledger.record)
    bring_up_to_date(board, opened)
    return board


def bring_up_to_date(board: Board, opened: Opened) -> None:
    """Let a board know what the ledger knows now."""
    trials = opened.ledger.trials()
    if not is_driven(opened.ledger.record):  # what a driver that died had in its slots waits for a resume
        trials = [dataclasses.replace(t, state="stopped") if t.state == "running" else t for t in trials]
    board.remember([(trial, _evaluations_total(opened, trial)) for trial in trials])
    board.asked = opened.ledger.trials_asked


def elapsed_s(record: SweepRecord) -> float:
    """Return the seconds that a sweep was run, by all its drivers together."""
    used = 3600 * record.hours
    if not is_driven(record) or record.driver is None:
        return used
    counted_until = max(record.hours_at, float(record.driver["started"]))
    return used + max(0.0, time.time() - counted_until)


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
