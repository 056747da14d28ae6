"""How long a sweep still takes, from the steps that its trials have done and have before them.

Pruned trials end early, so a trial to come is expected to be as long as those that ended, mixed with a few that run
to their end: robust while hardly any has ended. The pace is that of the last evaluation of this run, counted from the
first steps on; before there is one, nothing is said.
"""

from __future__ import annotations

from sweeps.terminal.board import Board
from sweeps.terminal.row import ENDED, Row

PRIOR_TRIALS = 2.0


def time_left(board: Board) -> float | None:
    """Estimate the seconds until the last trial ends; None while nothing can be said."""
    remaining = _remaining_steps(board)
    if board.step_seconds is None or remaining is None or board.draining:
        return None
    return max([remaining * board.step_seconds, *(_alone(row) for row in board.alive)])


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
    mean = sum(full) / len(full)
    # Of trials that ended before this run it is known how far they came, but not in how many steps.
    ended = [row.step or row.reached * mean for row in board.rows.values() if row.state in ENDED]
    ended = [steps for steps in ended if steps]
    return (PRIOR_TRIALS * mean + sum(ended)) / (PRIOR_TRIALS + len(ended))


def _alone(row: Row) -> float:
    """Seconds that a trial takes for the rest of its steps at its own pace."""
    if not row.steps_total or row.step_seconds is None:
        return 0.0
    return (row.steps_total - row.step) * row.step_seconds
