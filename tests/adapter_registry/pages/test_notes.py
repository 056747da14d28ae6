"""The description on a sweep's page."""

import math

from adapter_registry import TrialRun
from adapter_registry.pages.notes import leaderboard, sweep_note
from adapter_registry.runs.tracking import State


def trial(number: int, loss: float, state: State = "complete") -> TrialRun:
    params = {"rank": "8", "learning_rate": "0.0012", "epochs": "2"}
    return TrialRun(number, f"run{number}", state, params, {"val_loss": loss, "val_perplexity": math.exp(loss)})


TRIALS = [trial(0, 2.5), trial(1, 2.1), trial(2, 1.0, "pruned"), trial(3, math.nan), trial(4, math.inf), trial(5, 2.1)]


def test_the_leaderboard_holds_finite_complete_trials_the_best_first() -> None:
    """A pruned trial's low value was measured on less training: it does not win. Equal values: the earlier trial."""
    assert [t.number for t in leaderboard(TRIALS, "val_loss", "minimize")] == [1, 5, 0]
    assert [t.number for t in leaderboard(TRIALS, "val_loss", "maximize")] == [0, 1, 5]


def test_the_note_begins_with_the_winner_and_ends_with_what_to_type() -> None:
    note = sweep_note("quickstart", TRIALS, planned=6, base_value=4.2, champion="quickstart")
    first, last = note.splitlines()[0], note.splitlines()[-4:]
    assert first.startswith("**Best: trial 1, val_loss 2.1** (rank 8, learning_rate 1.2e-3, epochs 2).")
    assert "6 of 6 trials: 5 complete, 1 pruned." in first
    assert last == [
        'sweeps generate --model quickstart "요즘 잠을 못 자요"',
        "sweeps status quickstart",
        "sweeps resume quickstart",
        "```",
    ]
    assert "val_loss 4.2" in note


def test_a_sweep_without_results_has_a_note() -> None:
    note = sweep_note("new", [], planned=12)
    assert note.startswith("0 of 12 trials: none yet.")
    assert "generate" not in note


def test_every_row_of_the_table_has_the_same_columns() -> None:
    table = [line for line in sweep_note("q", TRIALS).splitlines() if line.startswith("|")]
    assert len(table) == 5
    assert len({line.count("|") for line in table}) == 1
