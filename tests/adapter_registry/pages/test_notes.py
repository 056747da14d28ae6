"""The description on a sweep's page."""

import math

from adapter_registry import TrialRun
from adapter_registry.pages.notes import leaderboard, sweep_note
from adapter_registry.runs.tracking import State


def trial(number: int, loss: float, state: State = "complete") -> TrialRun:
    params = {"rank": "8", "learning_rate": "0.0012", "epochs": "2"}
    return TrialRun(number, f"run{number}", state, params, {"val_loss": loss, "val_perplexity": math.exp(loss)})


TRIALS = [trial(0, 2.5), trial(1, 2.1), trial(2, 1.0, "pruned"), trial(3, math.nan), trial(5, 2.1)]
VALUES = {0: 2.5, 1: 2.1, 5: 2.1}


def test_the_leaderboard_holds_the_trials_that_compete_the_best_first() -> None:
    """Equal values: the earlier trial."""
    assert [t.number for t in leaderboard(TRIALS, VALUES, "minimize")] == [1, 5, 0]
    assert [t.number for t in leaderboard(TRIALS, VALUES, "maximize")] == [0, 1, 5]


def test_a_trial_stopped_by_hand_is_in_the_note_with_the_value_that_counts() -> None:
    """What was measured after its best epoch belongs to no adapter that would be promoted."""
    stopped = trial(6, 2.2, "pruned")
    lines = sweep_note("q", [*TRIALS, stopped], values={**VALUES, 6: 2.0}).splitlines()
    assert lines[0].startswith("**Best: trial 6, val_loss 2** (")
    rows = [[cell.strip("\u00a0 ") for cell in line.split("|")] for line in lines if line.startswith("|")]
    assert rows[2][1:5] == ["1", "6", "2", ""]
    assert rows[3][1:5] == ["2", "1", "2.1", "8.166"]


def test_the_note_begins_with_the_winner_and_ends_with_what_to_type() -> None:
    note = sweep_note(
        "quickstart", TRIALS, values=VALUES, planned=5, base_value=4.2, champion="quickstart", prompt="Was nun?"
    )
    first, last = note.splitlines()[0], note.splitlines()[-4:]
    assert first.startswith("**Best: trial 1, val_loss 2.1** (rank 8, learning_rate 1.2e-3, epochs 2).")
    assert "5 of 5 trials: 4 complete, 1 pruned." in first
    assert last == [
        'sweeps generate --model quickstart "Was nun?"',
        "sweeps status quickstart",
        "sweeps resume quickstart",
        "```",
    ]
    assert "val_loss 4.2" in note


def test_the_first_validation_sets_own_name_is_told() -> None:
    told = "val (semi): the first validation set is called val in metrics."
    assert told in sweep_note("q", TRIALS, values=VALUES, first_set="semi")
    assert "validation set" not in sweep_note("q", TRIALS, values=VALUES)


def test_a_sweep_without_results_has_a_note() -> None:
    note = sweep_note("new", [], values={}, planned=12)
    assert note.startswith("0 of 12 trials: none yet.")
    assert "generate" not in note


def test_every_row_of_the_table_has_the_same_columns() -> None:
    table = [line for line in sweep_note("q", TRIALS, values=VALUES).splitlines() if line.startswith("|")]
    assert len(table) == 5
    assert len({line.count("|") for line in table}) == 1
