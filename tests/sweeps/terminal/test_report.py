"""The account at the end of a sweep, and how numbers are written."""

from __future__ import annotations

import dataclasses
import io
from pathlib import Path
from typing import Any

import pytest
from rich.cells import cell_len
from rich.console import Console

from adapter_registry.models.champions import Champion
from adapter_registry.models.promotion import Promotion
from sweeps.cli.shared.program import program
from sweeps.cli.shared.summary import print_account, promoted
from sweeps.driver.driver import SweepResult
from sweeps.finish import Launched
from sweeps.home import find_home
from sweeps.ledger.by_hand import BY_HAND
from sweeps.ledger.trial_record import TrialRecord
from sweeps.spec import load_spec
from sweeps.terminal.board import Board
from sweeps.terminal.endings import print_endings
from sweeps.terminal.outline import Outline
from sweeps.terminal.report import print_gain, print_leaderboard, ranked
from sweeps.terminal.wording import change, duration, number, one_line, plural, setting

RUN = "0123456789abcdef0123456789abcdef"


def trial(n: int, state: Any, values: list[float], because: str = "", **params: Any) -> TrialRecord:
    return TrialRecord(
        number=n,
        state=state,
        params={"rank": 8, "learning_rate": 1e-3, "epochs": 2, **params},
        value=values[-1] if values and state in {"complete", "pruned"} else None,
        evaluations=dict(enumerate(values, 1)),
        ended_because=because,
        run_id=f"run{n}",
    )


TRIALS = [
    trial(0, "pruned", [3.5], "val_loss 3.5 at evaluation 1 of 4 was not among the best"),
    trial(1, "complete", [3.0, 2.5, 2.2, 2.1]),
    trial(2, "failed", [], "diverged at step 5: train_loss is nan", learning_rate=0.09),
    trial(3, "complete", [2.9, 2.0, 1.8, 1.5]),
    trial(4, "pruned", [3.1], "val_loss 3.1 at evaluation 1 of 4 was not among the best"),
    trial(5, "stopped", [2.7], "the sweep was stopped"),
]


def outline(metric: str = "val_loss", direction: Any = "minimize") -> Outline:
    return Outline(name="quickstart", metric=metric, direction=direction, trials=6, evaluations_per_epoch=2)


def recorded(width: int = 80, *, terminal: bool = True) -> Console:
    return Console(width=width, file=io.StringIO(), force_terminal=terminal, record=True, highlight=False)


def champion(**changes: Any) -> Champion:
    values: dict[str, Any] = {
        "model": "quickstart", "version": 2, "run_id": "run3", "sweep": "quickstart", "trial": 3, "epoch": 2,
        "metric": "val_loss", "direction": "minimize", "value": 1.5, "base_name": "builtin", "base_digest": "d",
        "validation": "v", "adapter_sha256": "a", "since_ms": 0, "engine": "gemma", "replaced": 1, "data": {},
    }  # fmt: skip
    return Champion(**{**values, **changes})


def account(state: Any = "complete", *, width: int = 80, terminal: bool = True, **changes: Any) -> str:
    result = SweepResult(
        name="quickstart",
        state=state,
        run_id=RUN,
        trials=tuple(TRIALS),
        best=changes.pop("best", TRIALS[3]),
        seconds=95.0,
        occupancy=changes.pop("occupancy", 0.97),
        warnings=("MLflow did not answer for 3 s",),
    )
    values: dict[str, Any] = {
        "spec": load_spec("quickstart"),
        "result": result,
        "metric": "val_loss",
        "base_metrics": {"val_loss": 3.0, "val_perplexity": 20.0},
        "promotion": Promotion(champion(), champion(version=1, trial=7, value=1.9), moved=True),
        "not_promoted": "",
        "prompt": "Ich kann nicht schlafen",
        "remarks": ("train: left out 2 × longer than 256 tokens",),
    }
    board = Board(Outline.of_spec(values["spec"]))
    board.remember([(trial, 4) for trial in TRIALS])
    board.rows[3].metrics = {"val_loss": 1.5, "val_perplexity": 4.5, "val_accuracy": 0.5}
    console = recorded(width, terminal=terminal)
    print_account(console, Launched(**{**values, **changes}), board, find_home({"SWEEPS_HOME": "/data/sweeps"}))
    return console.export_text()


def test_the_leaderboard_has_complete_trials_from_the_best_then_the_others() -> None:
    assert [t.number for t in ranked(outline(), TRIALS)] == [3, 1, 5, 4, 0, 2]


BY_HAND_TRIAL = dataclasses.replace(trial(6, "pruned", [1.9, 1.2, 1.3], BY_HAND), kept=1.2)


def test_a_trial_stopped_by_hand_has_its_place_with_the_epoch_that_counts() -> None:
    console = recorded()
    print_leaderboard(console, outline(), [*TRIALS, BY_HAND_TRIAL])
    rows = [line.split() for line in console.export_text().splitlines()]
    assert ["1", "6", "1.2000", "8", "1e-3", "2", "1.5", "pruned"] in rows
    assert [t.number for t in ranked(outline(), [*TRIALS, BY_HAND_TRIAL])] == [6, 3, 1, 5, 4, 0, 2]
    print_endings(console, [BY_HAND_TRIAL])
    assert "trial 6: stopped by hand; its best epoch counts, 1.2000" in console.export_text()


def test_beside_the_base_model_stands_only_what_was_measured_where_the_winner_was_best() -> None:
    rows = [line.split() for line in account(best=BY_HAND_TRIAL).splitlines()]
    assert ["val_loss", "3.0000", "1.2000", "−60.0", "%"] in rows
    assert not any(row[:1] == ["val_perplexity"] for row in rows)


def test_an_accuracy_is_ranked_from_the_highest() -> None:
    assert [t.number for t in ranked(outline("val_accuracy", "maximize"), TRIALS)] == [1, 3, 5, 0, 4, 2]


def test_a_row_has_place_trial_metric_parameters_epochs_and_state() -> None:
    console = recorded()
    print_leaderboard(console, outline(), TRIALS)
    rows = [line.split() for line in console.export_text().splitlines()]
    assert ["1", "3", "1.5000", "8", "1e-3", "2", "2", "complete"] in rows
    assert ["4", "3.1000", "8", "1e-3", "2", "0.5", "pruned"] in rows
    assert ["2", "8", "0.09", "2", "0", "failed"] in rows


def test_a_long_leaderboard_says_how_to_see_the_rest() -> None:
    console = recorded()
    print_leaderboard(console, outline(), TRIALS, rows=4)
    assert "… and 2 more trials: sweeps status quickstart --all" in console.export_text()


def test_the_leaderboard_says_which_validation_set_is_called_val() -> None:
    named = Outline.of_spec(load_spec("quickstart", ["data.validation={semi: 'builtin:validation'}"]))
    for each, told in ((named, True), (Outline.of_spec(load_spec("quickstart")), False)):
        console = recorded()
        print_leaderboard(console, each, TRIALS)
        assert (" val (semi): the first validation set is called val in metrics" in console.export_text()) is told


@pytest.mark.parametrize("width", [40, 80, 120])
def test_the_leaderboard_is_not_wider_than_the_console(width: int) -> None:
    """Parameters with long or Korean values are left out before anything else is."""
    console = recorded(width)
    print_leaderboard(
        console, outline(), [trial(0, "complete", [1.5], 말투="아주 다정하고 공손한 말투로", other_one="x" * 40)]
    )
    lines = console.export_text().splitlines()
    assert max(map(cell_len, lines)) <= width
    assert "complete" in lines[-1]


def test_the_account_tells_everything_and_what_to_type_next() -> None:
    text = account()
    for expected in (
        "quickstart is complete: 5 of 12 trials finished in 1:35 (2 complete, 2 pruned, 1 failed, 1 stopped)",
        "pruned  2 trials: val_loss 3.1 to 3.5 at evaluation 1 of 4 was not among the best (trials 0, 4)",
        "failed  trial 2: diverged at step 5: train_loss is nan",
        "train: left out 2 × longer than 256 tokens",
        "MLflow did not answer for 3 s",
        "Trial 3 of quickstart (epoch 2, val_loss 1.5000) is now the champion of the model quickstart: version 2",
        RUN,
        "gemma-sweeps",
        "/data/sweeps",
        'sweeps generate --model quickstart "Ich kann nicht schlafen"',
        "sweeps ui",
        "sweeps status quickstart",
    ):
        assert " ".join(expected.split()) in " ".join(text.split())


@pytest.mark.parametrize(
    ("started", "on_path", "typed"),
    [
        (".venv/bin/sweeps", "", ".venv/bin/sweeps"),
        (".venv/bin/sweeps", "other", ".venv/bin/sweeps"),
        (".venv/bin/sweeps", ".venv/bin", "sweeps"),
        (".venv/bin/sweeps", "linked", "sweeps"),
        ("{folder}/.venv/bin/sweeps", "", ".venv/bin/sweeps"),
        ("/opt/sweeps/bin/sweeps", "", "/opt/sweeps/bin/sweeps"),
        ("sweeps", "", "{folder}/sweeps"),
        ("a b/sweeps", "", "'a b/sweeps'"),
        (".venv/bin/python3", "", "sweeps"),
    ],
)
def test_what_to_type_next_is_found_by_this_shell(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, started: str, on_path: str, typed: str
) -> None:
    for folder in (".venv/bin", "other", "linked", "a b"):
        (tmp_path / folder).mkdir(parents=True)
    for place in (tmp_path / ".venv/bin/sweeps", tmp_path / "other/sweeps"):
        place.write_text("#!/bin/sh\n")
        place.chmod(0o700)
    (tmp_path / "linked/sweeps").symlink_to(tmp_path / ".venv/bin/sweeps")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path / on_path) if on_path else "")
    monkeypatch.setattr("sys.argv", [started.format(folder=tmp_path), "launch"])
    typed = typed.format(folder=tmp_path)
    assert program() == typed
    assert f"   {typed} status quickstart " in account(terminal=False)


def test_the_winner_stands_beside_the_base_model_with_the_change() -> None:
    rows = [line.split() for line in account().splitlines()]
    assert ["val_loss", "3.0000", "1.5000", "−50.0", "%"] in rows
    assert ["val_perplexity", "20.0000", "4.5000", "−77.5", "%"] in rows
    assert not any(row[:1] == ["val_accuracy"] for row in rows)  # never measured for the base model
    rows = [line.split() for line in account(base_metrics={"val_accuracy": 0.25}).splitlines()]
    assert ["val_accuracy", "0.2500", "0.5000", "+25.0", "points"] in rows


def test_nothing_of_the_account_is_wider_than_a_narrow_terminal() -> None:
    assert max(map(cell_len, account().splitlines())) <= 80


def test_a_stopped_sweep_is_resumed_next_and_says_why_nothing_was_promoted() -> None:
    text = account("stopped", promotion=None, not_promoted="the sweep is not complete")
    assert "Not promoted: the sweep is not complete" in text
    assert "sweeps resume quickstart" in text
    assert "sweeps generate" not in text


def test_a_sweep_of_which_nothing_was_left_to_train_took_no_time() -> None:
    assert "quickstart is complete: 5 of 12 trials finished (2 complete," in " ".join(account(occupancy=None).split())


def test_a_sweep_without_a_complete_trial_has_an_account_too() -> None:
    text = account(best=None, promotion=None, not_promoted="no trial is complete")
    assert "Not promoted: no trial is complete" in text
    assert "base model" not in text


def test_in_a_log_every_sentence_is_one_line_without_control_characters() -> None:
    text = account(width=40, terminal=False)
    assert "\x1b" not in text
    assert any(
        line.strip()
        == "pruned  2 trials: val_loss 3.1 to 3.5 at evaluation 1 of 4 was not among the best (trials 0, 4)"
        for line in text.splitlines()
    )


def endings(*trials: TrialRecord, rows: int = 40) -> list[str]:
    console = recorded(width=200, terminal=False)
    print_endings(console, trials, rows=rows)
    return [line.strip() for line in console.export_text().splitlines() if line.strip()][1:]


def test_trials_that_ended_for_the_same_reason_share_a_line() -> None:
    missed = "val_loss {} at evaluation {} of {} was not among the best"
    pruned = {0: (2.719, 1, 4), 1: (4.18, 1, 2), 3: (3, 1, 4), 4: (3, 1, 4), 5: (3, 1, 4), 7: (2.5, 2, 4)}
    records = [trial(n, "pruned", [3.0], missed.format(*values)) for n, values in pruned.items()]
    records += [trial(8, "pruned", [3.0], "stopped by hand"), trial(9, "pruned", [3.0], "stopped by hand")]
    records += [trial(n, "failed", [], f"diverged at step {n}: train_loss is nan") for n in (20, 11)]
    records += [trial(n, "failed", [], f"its worker sweep-worker-{n} was lost 3 times") for n in (12, 13)]
    assert endings(*records, trial(14, "failed", []), trial(15, "complete", [1.0])) == [
        "pruned  5 trials: val_loss 2.719 to 4.18 at evaluation 1 of 2 to 4 was not among the best (trials 0, 1, 3–5)",
        "pruned  trial 7: val_loss 2.5 at evaluation 2 of 4 was not among the best",
        "pruned  2 trials: stopped by hand (trials 8, 9)",
        "failed  2 trials: diverged at step 11 to 20: train_loss is nan (trials 11, 20)",
        "failed  trial 12: its worker sweep-worker-12 was lost 3 times",
        "failed  trial 13: its worker sweep-worker-13 was lost 3 times",
        "failed  trial 14: no reason is known",
    ]


def test_a_long_list_of_trials_or_reasons_is_cut() -> None:
    scattered = endings(*(trial(n, "pruned", [3.0], "stopped by hand") for n in range(0, 100, 2)))
    assert scattered == ["pruned  50 trials: stopped by hand (trials 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, …)"]
    reasons = endings(*(trial(n, "failed", [], f"no {chr(65 + n)}") for n in range(5)), rows=3)
    assert reasons[-1] == "… and 2 more reasons"
    assert len(reasons) == 4


def test_what_the_champion_replaced_is_named() -> None:
    before = champion(version=1, trial=7, value=1.9)
    assert promoted(Promotion(champion(), before, moved=True)).plain == (
        "Trial 3 of quickstart (epoch 2, val_loss 1.5000) is now the champion of the model quickstart: version 2, "
        "after version 1 (val_loss 1.9000)."
    )
    assert "is already the champion" in promoted(Promotion(champion(), None, moved=False)).plain


def test_nothing_is_compared_where_the_base_model_was_not_measured() -> None:
    console = recorded()
    print_gain(console, {}, {"val_loss": 1.0}, 0)
    assert console.export_text() == ""


# ------------------------------------------------------------------------------------------------------------ wording


@pytest.mark.parametrize(
    ("value", "written"),
    [(1.23456, "1.2346"), (54.59817, "54.5982"), (123456.0, "1.235e5"), (0.0, "0"), (1e-5, "1e-5"), (None, "")],
)
def test_metrics_have_digits_to_compare(value: float | None, written: str) -> None:
    assert number(value) == written


@pytest.mark.parametrize(
    ("value", "written"),
    [(8, "8"), (1e-3, "1e-3"), (0.00123456, "1.23e-3"), (0.5, "0.5"), (0.0, "0"), (2e10, "2e10"), ("한국어", "한국어"),
     (True, "True"), ("a\x1b[0m\nb", "a?[0m b")],
)  # fmt: skip
def test_settings_are_short_and_printable(value: Any, written: str) -> None:
    assert setting(value) == written


@pytest.mark.parametrize(
    ("seconds", "written"), [(7.9, "0:07"), (750, "12:30"), (11100, "3:05:00"), (190_000, "2d 04h")]
)
def test_durations_are_short(seconds: float, written: str) -> None:
    assert duration(seconds) == written


@pytest.mark.parametrize(
    ("metric", "before", "after", "written"),
    [
        ("val_loss", 4.0, 3.0, "−25.0 %"),
        ("val_loss", 1.0, 1.2, "+20.0 %"),
        ("val_loss", 1.0, 0.9999, "+0.0 %"),
        ("val_loss", 0.0, 1.0, ""),
        ("val_accuracy", 0.035, 0.555, "+52.0 points"),
        ("val_chat_accuracy", 0.6, 0.55, "−5.0 points"),
        ("val_accuracy", 0.0, 0.25, "+25.0 points"),
        ("val_perplexity", 20.0, 4.5, "−77.5 %"),
        ("val_perplexity", 260_000.0, 13.0, "÷ 20,000"),
        ("val_perplexity", 13.0, 260.0, "× 20"),
    ],
)
def test_a_change_is_written_so_that_it_says_something(metric: str, before: float, after: float, written: str) -> None:
    assert change(metric, before, after) == written


def test_counts_and_lines() -> None:
    assert (plural(1, "trial"), plural(1200, "trial")) == ("1 trial", "1,200 trials")
    assert one_line(" a\n\tb\x07 ") == "a b?"
