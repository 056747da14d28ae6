"""How long a sweep still takes, from the steps that its trials have done and have before them.

Pruned trials end early, so a trial to come is expected to be as long as those that ended, mixed with a few that run
to their end: robust while hardly any has ended.
"""

from __future__ import annotations

from sweeps.terminal.board import Board
from sweeps.terminal.row import ENDED, Row

EVIDENCE_S = 3.0  # the first steps tell nothing: they compile
PRIOR_TRIALS = 2.0


def time_left(board: Board) -> float | None:
    """Estimate the seconds until the last trial ends; None while nothing can be said."""
    if board.training_since is None or board.draining:
        return None
    training_s = board.clock() - board.training_since
    done = sum(row.step - row.first_step for row in board.rows.values() if row.seen_at is not None)
    remaining = _remaining_steps(board)
    if remaining is None or done <= 0 or training_s < EVIDENCE_S:
        return None
    together = remaining * training_s / done
    return max([together, *(_alone(row, board.clock()) for row in board.alive)])


def _remaining_steps(board: Board) -> float | None:
    expected = _expected_steps(board)
    if expected is None:
        return None
    to_come = max(0, board.asked - board.finished - len(board.alive))
    under_way = sum(row.steps_total - row.step if row.steps_total else expected for row in board.alive)
    return under_way + to_come * expected


def _expected_steps(board: Board) -> float | None:
    """Steps of a trial that has not begun."""
    full = [row.steps_total for row in board.rows.values() if row.steps_total]
    if not full:
        return None
    ended = [row.step for row in board.rows.values() if row.state in ENDED and row.step]
    return (PRIOR_TRIALS * sum(full) / len(full) + sum(ended)) / (PRIOR_TRIALS + len(ended))


def _alone(row: Row, now: float) -> float:
    """Seconds that a trial takes for the rest of its steps at its own pace."""
    steps = row.step - row.first_step
    if not row.steps_total or row.seen_at is None or steps <= 0:
        return 0.0
    return (row.steps_total - row.step) * (now - row.seen_at) / steps
