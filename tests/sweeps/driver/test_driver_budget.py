"""Whole sweeps that reach a limit: drained, not cut, and resumed with another limit."""

from __future__ import annotations

from pathlib import Path

import pytest

from sweeps.progress import Draining
from sweeps.settings import BudgetSettings, PrunerSettings
from tests.sweeps.whole_sweeps import GOOD, MARKS, Begin, Held, assert_ledger_and_mlflow_agree

pytestmark = [*MARKS, pytest.mark.usefixtures("local_ray")]


def test_no_more_trials_are_begun_than_the_budget_has(begin: Begin) -> None:
    sweep = begin(trials=5, enqueue=[GOOD] * 5, pruner=PrunerSettings(kind="none"))
    first = sweep.run(budget=BudgetSettings(max_trials=3))
    assert first.state == "stopped"
    assert [t.state for t in first.trials] == ["complete"] * 3 + ["waiting"] * 2
    assert first.warnings == ("the sweep was stopped because its budget of 3 trials is used up",)
    assert sweep.run(budget=BudgetSettings(max_trials=3)).trials == first.trials
    assert sweep.run().state == "complete"
    assert_ledger_and_mlflow_agree(sweep)


def test_a_sweep_that_has_used_up_its_hours_is_drained_and_goes_on_with_more(begin: Begin, tmp_path: Path) -> None:
    sweep = begin(trials=4, enqueue=[GOOD] * 4, pruner=PrunerSettings(kind="none"))
    first = sweep.run(Held(gate=tmp_path / "gate"), budget=BudgetSettings(max_hours=4 / 3600))
    assert first.state == "stopped"
    assert [event.because for event in sweep.told(Draining)] == ["its budget of 0.00111111 hours is used up"]
    assert {t.state for t in first.trials} <= {"stopped", "waiting", "complete"}
    assert any(t.state == "stopped" for t in first.trials)
    assert sweep.run(budget=BudgetSettings(max_hours=1)).state == "complete"
    assert_ledger_and_mlflow_agree(sweep)
    for run in sweep.runs():
        steps = [step for step, _ in sweep.tracker.history(run.run_id, "train_loss")]
        assert steps == list(range(5, 31, 5))
