"""What is drawn and written while a sweep runs, from scripted events on a clock of our own."""

from __future__ import annotations

import io
import re
import sys
import threading
from collections.abc import Iterable
from datetime import datetime
from typing import Any

import pytest
from rich.cells import cell_len
from rich.console import Console, ConsoleDimensions

from sweeps.ledger.by_hand import BY_HAND
from sweeps.ledger.trial_record import TrialRecord
from sweeps.progress import (
    Draining,
    Outage,
    Preparing,
    ProgressEvent,
    SlotStatus,
    SweepStarted,
    TrialEnded,
    TrialEvaluated,
    TrialRetried,
    TrialStarted,
    WorkersSeen,
    WorkerStatus,
)
from sweeps.terminal.board import Board
from sweeps.terminal.drawing import draw
from sweeps.terminal.live import show_progress, whole_screen
from sweeps.terminal.outline import Outline
from sweeps.terminal.time_left import time_left

STEPS = 100
PARAMS = {"rank": 8, "learning_rate": 1.234e-3, "epochs": 2}


class Clock:
    """Seconds that pass when the test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def board_of(events: Iterable[ProgressEvent] = (), *, trials: int = 12, metric: str = "val_loss", **more: Any) -> Board:
    direction: Any = "maximize" if metric.endswith("accuracy") else "minimize"
    parameters = tuple(PARAMS)
    outline = Outline(
        name="quickstart", metric=metric, direction=direction, trials=trials, parameters=parameters, **more
    )
    board = Board(outline, Clock())
    for event in events:
        board.hear(event)
    return board


def started(number: int, **params: Any) -> TrialStarted:
    return TrialStarted(number=number, params={**PARAMS, **params}, attempt=1, run_id=f"run{number}")


def evaluated(number: int, value: float, step: int = 50) -> TrialEvaluated:
    metrics = {"val_loss": value}
    return TrialEvaluated(
        number=number, evaluation=1, evaluations_total=2, step=step, epoch=step / 50, value=value, metrics=metrics
    )


def ended(number: int, state: Any, value: float | None = None, because: str = "") -> TrialEnded:
    return TrialEnded(number=number, state=state, value=value, because=because)


def seen(steps: dict[int, int], *, state: Any = "ready", **more: Any) -> WorkersSeen:
    taken = tuple(
        SlotStatus(
            key=f"{n}/1", number=n, step=s, steps_total=STEPS, epoch=s / 50, train_loss=2.5, tokens_per_second=500.0
        )
        for n, s in steps.items()
    )
    return WorkersSeen(workers=(WorkerStatus(worker="sweep-worker-0", state=state, slots=8, taken=taken, **more),))


def begun(trials: int = 12, finished: int = 0) -> SweepStarted:
    return SweepStarted(name="quickstart", trials=trials, finished=finished, workers=1, slots=8, run_id="run")


def picture(board: Board, width: int = 80, height: int = 24) -> list[str]:
    console = Console(width=width, height=height, record=True, file=io.StringIO(), force_terminal=True)
    console.print(draw(board, width, height))
    return console.export_text().splitlines()


def row_of(lines: list[str], number: int) -> str:
    rows = [line for line in lines if re.match(rf" +{number} +\d+ +1.23e-3", line)]
    assert len(rows) == 1, lines
    return rows[0]


# ---------------------------------------------------------------------------------------------------------- the picture


def test_every_trial_that_runs_or_waits_has_a_row_with_its_parameters_progress_and_losses() -> None:
    events = [
        begun(),
        *(started(n, rank=2**n) for n in range(5)),
        seen({0: 10, 1: 20, 2: 30}),
        evaluated(1, 1.9876, 20),
    ]
    lines = picture(board_of(events))
    for number, percent in ((0, "10%"), (1, "20%"), (2, "30%")):
        row = row_of(lines, number)
        assert percent in row
        assert f" {2**number} " in row
        assert "1.23e-3" in row
        assert "2.5000" in row
    assert "1.9876" in row_of(lines, 1)
    assert all("waiting" in row_of(lines, number) for number in (3, 4))


def test_the_best_so_far_is_shown_with_its_parameters_and_the_base_models_value() -> None:
    events = [begun(), *(started(n, rank=n + 2) for n in range(4)), seen(dict.fromkeys(range(4), 50))]
    events += [evaluated(0, 2.0), evaluated(1, 1.0), evaluated(2, 1.5), evaluated(3, 1.2)]
    events += [ended(1, "pruned", 1.0), ended(2, "complete", 1.5), seen({3: 60}, base_metrics={"val_loss": 4.0})]
    best = next(line for line in picture(board_of(events), width=120) if line.startswith(" best"))
    assert "trial 3  val_loss 1.2000  rank 5  learning_rate 1.23e-3  epochs 2  · base model 4.0000" in best


def test_the_best_of_an_accuracy_is_the_highest() -> None:
    board = board_of([begun(), started(0), started(1), evaluated(0, 0.4), evaluated(1, 0.6)], metric="val_accuracy")
    assert board.best is not None
    assert board.best.number == 1


def test_counts_add_up_to_the_trials_that_were_asked_for() -> None:
    events = [begun(), *(started(n) for n in range(7)), seen(dict.fromkeys(range(7), 5))]
    events += [ended(0, "complete", 1.0), ended(1, "pruned"), ended(2, "pruned"), ended(3, "failed")]
    lines = picture(board_of(events))
    assert " 1 complete · 2 pruned · 1 failed · 3 running · 5 to come" in lines
    assert "4/12 trials" in lines[1]


@pytest.mark.parametrize("width", [20, 40, 60, 80, 120, 200])
@pytest.mark.parametrize("height", [5, 10, 24, 50])
def test_nothing_is_wider_or_taller_than_the_console(width: int, height: int) -> None:
    """Neither many trials, nor long or Korean values (two columns a character), nor long warnings."""
    events: list[ProgressEvent] = [begun(100)]
    for number in range(30):
        events.append(started(number, 말투="공손하고 따뜻한 상담사의 말투로" * 2, another_long_parameter_name=1 / 3))
    events += [
        seen(dict.fromkeys(range(20), 50), warnings=("경고 " * 100,)),
        evaluated(0, 1.0),
        Draining(because="Ctrl-C"),
    ]
    lines = picture(board_of(events), width, height)
    assert len(lines) <= height
    assert max(map(cell_len, lines)) <= width


def test_running_trials_that_do_not_fit_are_counted() -> None:
    events = [begun(40), *(started(n) for n in range(30)), seen(dict.fromkeys(range(30), 5))]
    lines = picture(board_of(events), height=20)
    shown = sum(bool(re.match(r" +\d+ +8 ", line)) for line in lines)
    assert 5 < shown < 20
    assert f"… and {30 - shown} more trials under way" in lines[-1]


def test_what_ended_last_fills_the_room_below_the_running_trials() -> None:
    events = [begun(), *(started(n) for n in range(4)), seen(dict.fromkeys(range(4), 50))]
    events += [ended(2, "complete", 1.0), ended(0, "pruned", 3.0)]
    rows = [line.split()[0] for line in picture(board_of(events)) if re.match(r" +\d+ +8 ", line)]
    assert rows == ["1", "3", "0", "2"]


@pytest.mark.parametrize(
    ("events", "told"),
    [
        ([], " now    starting Ray …"),
        ([Preparing(what="checking the data")], " now    checking the data …"),
        ([begun(), seen({}, state="loading")], " worker loading the base model"),
        ([begun(), started(0), seen({0: 5})], "1 of 8 slots taken · 500 tokens/s"),
        ([begun(), seen({}, state="lost", error="its process died")], "lost, starting another …"),
        ([begun(), seen({}, warnings=("MLflow does not answer",))], "! MLflow does not answer"),
        ([begun(1), started(0), seen({0: 5}), ended(0, "complete", 1.0)], "finishing …"),
        ([begun(), Draining(because="Ctrl-C")], "Stopping (Ctrl-C): trials end when their checkpoints are stored."),
        ([begun(), Outage(because="refused")], "The ledger does not answer (refused); training goes on."),
    ],
)
def test_what_goes_on_is_told(events: list[ProgressEvent], told: str) -> None:
    assert told in "\n".join(picture(board_of(events)))


@pytest.mark.parametrize("width", [40, 60, 80, 100, 120])
def test_a_notice_is_told_whole_however_narrow_the_terminal(width: int) -> None:
    board = board_of([begun(), started(0), seen({0: 5}, warnings=("MLflow does not answer; metrics wait on disk",))])
    board.hear(Outage(because="connection refused"))
    board.hear(Draining(because="Ctrl-C"))
    lines = picture(board, width)
    told = " ".join(" ".join(lines).split())
    for notice in (
        "Stopping (Ctrl-C): trials end when their checkpoints are stored. Ctrl-C again: at once.",
        "The ledger does not answer (connection refused); training goes on.",
        "! MLflow does not answer; metrics wait on disk",
        "0 complete · 1 running · 11 to come",
    ):
        assert notice in told
    assert all(line.startswith(" ") for line in lines if line)


def test_of_a_warning_that_would_fill_the_screen_three_lines_are_shown() -> None:
    board = board_of([begun(), started(0), seen({0: 5}, warnings=("a long story " * 30,))])
    lines = picture(board)
    assert sum("long story" in line for line in lines) == 3
    assert next(line for line in reversed(lines) if "long story" in line).rstrip().endswith("…")


def test_control_characters_of_a_parameter_do_not_reach_the_terminal() -> None:
    board = board_of([begun(), started(0, rank="\x1b[31mred\x07")])
    console = Console(width=80, file=io.StringIO(), force_terminal=False)
    console.print(draw(board, 80, 24))
    written = console.file.getvalue()  # type: ignore[attr-defined]
    assert "?[31mred?" in written
    assert "\x1b" not in written


# ------------------------------------------------------------------------------------------------------- board and time


def test_a_trial_that_lost_its_worker_waits_again() -> None:
    events = [begun(), started(0), seen({0: 60}), TrialRetried(number=0, because="its worker was lost"), seen({})]
    row = board_of(events).rows[0]
    assert (row.state, row.step, row.attempt) == ("waiting", 0, 2)


def test_a_late_look_at_the_workers_does_not_revive_a_trial() -> None:
    board = board_of([begun(), started(0), seen({0: 60}), ended(0, "pruned"), seen({0: 61})])
    assert board.rows[0].state == "pruned"
    assert not board.alive


def record(number: int, state: Any, values: list[float], *, minute: int = 0, **more: Any) -> TrialRecord:
    ended_at = datetime(2026, 1, 1, 12, minute) if minute else None
    evaluations = dict(enumerate(values, 1))
    value = values[-1] if state in {"complete", "pruned"} else None
    return TrialRecord(
        number=number, state=state, params=PARAMS, value=value, evaluations=evaluations, ended=ended_at, **more
    )


def test_a_board_from_the_ledger_has_bars_epochs_losses_and_the_order_in_which_trials_ended() -> None:
    """As the first run of the driver has shown them."""
    measured = {"val_loss": 1.25, "val_perplexity": 3.49, "train_loss": 1.1}
    board = board_of(evaluations_per_epoch=2)
    known = [
        (record(0, "complete", [2.0, 1.8, 1.5, 1.25], minute=9, metrics=measured), 4),
        (record(1, "pruned", [3.0], minute=5, ended_because="not among the best"), 4),
        (record(2, "stopped", [2.5, 2.2], attempts=1), 4),
        (record(3, "waiting", []), None),
    ]
    board.remember(known)
    assert [row.number for row in board.ended] == [2, 0, 1]
    assert [(row.reached, row.epoch) for row in board.ended] == [(0.5, 1.0), (1.0, 2.0), (0.25, 0.5)]
    assert (board.rows[0].train_loss, board.rows[0].value, board.rows[0].metrics["val_perplexity"]) == (1.1, 1.25, 3.49)
    assert board.best is board.rows[0]
    assert "1.1000" in row_of(picture(board), 0)
    board.hear(begun(finished=2))
    assert (board.finished, board.fraction) == (2, pytest.approx((2 + 0.5) / 12))
    board.hear(TrialStarted(number=2, params=PARAMS, attempt=2, run_id="run2"))
    row = board.rows[2]
    assert (row.state, row.value, row.fraction) == ("waiting", 2.2, 0.5)  # it goes on from there


def test_a_board_that_is_brought_up_to_date_takes_the_pace_from_what_the_workers_tell() -> None:
    board = board_of()
    trials = [record(0, "running", [], attempts=1)]
    board.remember([(trial, 2) for trial in trials])
    assert board.rows[0].state == "waiting"  # the ledger does not know of slots
    for step in (0, 10, 50):
        board.hear(seen({0: step}))
        let_pass(board, 10.0)
    assert board.rows[0].state == "running"
    board.remember([(record(0, "running", [2.0], attempts=1), 2)])
    assert (board.rows[0].state, board.rows[0].value) == ("running", 2.0)
    assert board.step_seconds == pytest.approx(20 / 40)
    board.remember([(record(0, "running", [2.0], attempts=2), 2)])  # its worker was lost
    assert (board.rows[0].state, board.rows[0].attempt, board.rows[0].step) == ("waiting", 2, 0)


def test_the_best_is_also_one_that_was_stopped_by_hand() -> None:
    by_hand = TrialEnded(number=0, state="pruned", value=1.3, because=BY_HAND, kept=1.2)
    events = [begun(), *map(started, range(3)), evaluated(1, 1.25), by_hand, ended(1, "complete", 1.25)]
    board = board_of([*events, ended(2, "pruned", 1.0)])
    assert board.best is not None
    assert (board.best.number, board.best.score) == (0, 1.2)
    assert " trial 0  val_loss 1.2000" in "\n".join(picture(board))
    console = Console(width=80, file=io.StringIO(), record=True, force_terminal=False)
    with show_progress(board_of(events[:-2]), console, plain=True) as hear:
        hear(by_hand)
    assert (
        "trial 0 pruned: stopped by hand: val_loss 1.2000, the best so far (1 of 12 finished)" in console.export_text()
    )


def run_at_constant_pace(board: Board, seconds: int, *, slots: int = 4, steps_per_s: float = 5.0) -> None:
    """Four slots from step 0, five steps a second each, looked at every second, and evaluated at the end."""
    for number in range(slots):
        board.hear(started(number))
    for second in range(seconds + 1):
        if second:
            let_pass(board, 1.0)
        board.hear(seen({n: int(second * steps_per_s) for n in range(slots)}))
    for number in range(slots):
        board.hear(evaluated(number, 2.0, int(seconds * steps_per_s)))


def let_pass(board: Board, seconds: float) -> None:
    board.clock.now += seconds  # type: ignore[attr-defined]


def test_nothing_is_said_about_the_time_left_before_a_trial_was_evaluated_behind_its_first_steps() -> None:
    board = board_of([begun()])
    assert time_left(board) is None
    run_at_constant_pace(board, 1)
    assert time_left(board) is None
    let_pass(board, 60.0)
    board.hear(seen({0: 60}))
    assert time_left(board) is None
    board.hear(evaluated(0, 1.9, 60))
    assert time_left(board) is not None


def test_first_steps_that_compile_and_trials_that_have_just_begun_say_nothing_about_the_pace() -> None:
    board = board_of([begun(2), started(0), seen({0: 0})], trials=2)
    let_pass(board, 600.0)
    board.hear(seen({0: 10}))
    let_pass(board, 10.0)
    board.hear(evaluated(0, 2.0, 20))
    assert time_left(board) == pytest.approx(80 + 100)
    board.hear(started(1))
    board.hear(seen({0: 20, 1: 0}))
    let_pass(board, 30.0)
    board.hear(seen({0: 20, 1: 1}))
    assert time_left(board) == pytest.approx(80 + 99)


def test_the_time_left_of_a_constant_pace_is_exact() -> None:
    """12 trials of 100 steps at 4 × 5 steps a second take 60 s; after 10 s and 200 steps, 50 s are left."""
    board = board_of([begun()])
    run_at_constant_pace(board, 10)
    left = time_left(board)
    assert left is not None
    assert left == pytest.approx(50, rel=0.15)


def test_trials_that_were_pruned_shorten_the_time_left() -> None:
    board, pruning = board_of([begun(40)], trials=40), board_of([begun(40)], trials=40)
    for each in (board, pruning):
        run_at_constant_pace(each, 10)
    for number in range(3):
        pruning.hear(ended(number, "pruned"))
    before, after = time_left(board), time_left(pruning)
    assert before is not None
    assert after is not None
    assert after < 0.9 * before


def test_the_last_trial_takes_as_long_as_its_own_pace_says() -> None:
    """Three of four slots are idle at the end: the pace of all slots together would promise too much."""
    board = board_of([begun(4)], trials=4)
    run_at_constant_pace(board, 10)
    for number in range(3):
        board.hear(ended(number, "pruned"))
    left = time_left(board)
    assert left is not None
    assert left >= 50 / 5 * 0.9


def test_steps_from_before_a_checkpoint_do_not_count_as_speed() -> None:
    board = board_of([begun(1), started(0), seen({0: 80})], trials=1)
    for step in (85, 90):
        let_pass(board, 10.0)
        board.hear(seen({0: step}))
    board.hear(evaluated(0, 2.0, 90))
    assert time_left(board) == pytest.approx(10 * 2)


# --------------------------------------------------------------------------------------------------------- plain lines


def written_plainly(events: Iterable[ProgressEvent]) -> list[str]:
    console = Console(file=io.StringIO(), force_terminal=False, width=40)
    with show_progress(board_of(), console, plain=True) as hear:
        for event in events:
            hear(event)
    return console.file.getvalue().splitlines()  # type: ignore[attr-defined]


def test_each_event_worth_reading_is_one_line_without_control_characters() -> None:
    lines = written_plainly(
        [
            Preparing(what="checking the data"),
            begun(3),
            seen({}, state="loading"),
            seen({}, state="loading"),
            started(0),
            started(1, rank="\x1b[1mbold"),
            seen({0: 5}, load_seconds=2.5),
            evaluated(0, 2.0),
            ended(0, "complete", 1.5),
            ended(1, "pruned", 2.5, "val_loss 2.5 was not\namong the best"),
            TrialRetried(number=2, because="its worker was lost"),
            Draining(because="Ctrl-C"),
        ]
    )
    assert lines == [
        "[0:00] checking the data …",
        "[0:00] sweep quickstart: 3 trials; 1 worker with 8 slots",
        "[0:00] worker loading the base model and compiling",
        "[0:00] trial 0 started: rank 8, learning_rate 1.23e-3, epochs 2",
        "[0:00] trial 1 started: rank ?[1mbold, learning_rate 1.23e-3, epochs 2",
        "[0:00] worker ready after 2.5 s, 8 slots",
        "[0:00] trial 0 evaluated (1 of 2, epoch 1): val_loss 2.0000",
        "[0:00] trial 0 complete: val_loss 1.5000, the best so far (1 of 3 finished)",
        "[0:00] trial 1 pruned: val_loss 2.5 was not among the best (2 of 3 finished)",
        "[0:00] trial 2 will be trained again: its worker was lost",
        "[0:00] stopping (Ctrl-C); the sweep can be resumed",
    ]


def test_a_log_that_cannot_be_written_does_not_end_the_sweep() -> None:
    class Full(io.StringIO):
        def write(self, text: str) -> int:
            raise OSError(28, "No space left on device")

    board = board_of()
    with show_progress(board, Console(file=Full(), force_terminal=False), plain=True) as hear:
        hear(begun(3))
        hear(started(0))
    assert list(board.rows) == [0]


# ---------------------------------------------------------------------------------------------------------------- live


def test_a_picture_that_cannot_be_drawn_does_not_end_the_sweep() -> None:
    board = board_of()
    console = Console(file=io.StringIO(), force_terminal=True, width=80, height=24)
    board.asked = "three"  # type: ignore[assignment]
    with show_progress(board, console, plain=False) as hear:
        hear(started(0))
    assert list(board.rows) == [0]
    assert "The table cannot be drawn (TypeError)" in console.file.getvalue()  # type: ignore[attr-defined]


def test_events_come_from_any_thread() -> None:
    board, console = board_of(), Console(file=io.StringIO(), force_terminal=True, width=80, height=24)
    with show_progress(board, console, plain=False) as hear:
        threads = [threading.Thread(target=hear, args=(started(number),)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert set(board.rows) == set(range(8))


def test_the_live_picture_is_drawn_at_once_and_gone_at_the_end() -> None:
    console = Console(file=io.StringIO(), force_terminal=True, width=80, height=24)
    with show_progress(board_of([begun(), started(0), seen({0: 33})]), console, plain=False):
        pass
    written = console.file.getvalue()  # type: ignore[attr-defined]
    assert "33%" in written
    assert written.startswith("\x1b[?1049h")  # the second screen
    behind = written[written.rindex("33%") :]
    assert "\x1b[?1049l" in behind
    assert "\x1b[?25h" in behind  # the cursor is back


def test_after_a_resize_every_cell_of_the_screen_is_drawn_again() -> None:
    console = Console(file=io.StringIO(), force_terminal=True, color_system=None, width=80, height=24)
    board = board_of([begun(), *(started(n) for n in range(4)), seen(dict.fromkeys(range(4), 50))])
    with whole_screen(console, auto_refresh=False) as live:
        for width, height in ((80, 24), (60, 20), (120, 40), (100, 12)):
            console.size = ConsoleDimensions(width, height)
            before = len(console.file.getvalue())  # type: ignore[attr-defined]
            live.update(draw(board, width, height), refresh=True)
            frame = console.file.getvalue()[before:]  # type: ignore[attr-defined]
            assert frame.startswith("\x1b[H")
            lines = frame.removeprefix("\x1b[H").split("\n")
            assert [cell_len(line) for line in lines] == [width] * height
            assert "quickstart" in lines[0]


def test_what_is_written_while_the_picture_is_shown_is_read_behind_it(capsys: pytest.CaptureFixture[str]) -> None:
    console = Console(force_terminal=True, width=80, height=24)
    with show_progress(board_of(), console, plain=False) as hear:
        hear(begun(3))
        print("a library warns", file=sys.stderr)
        assert capsys.readouterr().err == ""
    assert capsys.readouterr().err == "a library warns\n"
