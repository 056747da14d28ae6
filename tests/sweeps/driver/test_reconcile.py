"""After any death, every trial that was handed out has exactly one run, in its state."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from adapter_registry.names import SWEEP_ID
from adapter_registry.runs.memory_tracker import MemoryTracker
from adapter_registry.runs.mlflow_tracker import MlflowTracker
from adapter_registry.runs.tracking import Tracker
from search_spaces import SearchSpace
from sweeps.driver.reconcile import reconcile
from sweeps.ledger.by_hand import BY_HAND
from sweeps.ledger.ledger import Ledger
from sweeps.settings import SearchSettings


class Table:
    """A ledger of four trials, as many runs as were opened, and a sweep's run."""

    def __init__(self, url: str, space: SearchSpace, tracker: Tracker) -> None:
        self.ledger = Ledger.create(url, "s", SearchSettings(trials=4), space)
        self.tracker = tracker
        self.sweep = tracker.open_sweep("s", spec_yaml="", tags={}, params={})

    def hand_out(self, *, note: bool = True) -> tuple[int, str]:
        trial = self.ledger.next_trial()
        assert trial is not None
        run_id = self.tracker.open_trial(self.sweep, "s", trial.number, trial.params, sweep_id=self.ledger.id)
        self.tracker.set_state(run_id, "running")
        if note:
            self.ledger.note(trial.number, run_id=run_id)
        return trial.number, run_id

    def states(self) -> list[tuple[int, str, str, bool]]:
        """Number, state in the ledger, state in the tracker, and whether they name the same run."""
        runs = {run.number: run for run in self.tracker.trials(self.sweep)}
        trials = self.ledger.trials()
        assert sorted(runs) == [t.number for t in trials if t.run_id is not None]
        return [
            (t.number, t.state, runs[t.number].state, t.run_id == runs[t.number].run_id)
            for t in trials
            if t.number in runs
        ]


@pytest.fixture
def table(ledger_url: str, space: SearchSpace) -> Table:
    return Table(ledger_url, space, MemoryTracker())


def test_what_a_killed_driver_left_running_is_stopped_in_both(table: Table) -> None:
    table.hand_out()
    table.hand_out()
    table.ledger.tell(0, "complete", value=0.5)
    assert reconcile(table.ledger, table.tracker, table.sweep) == []
    assert table.states() == [(0, "complete", "complete", True), (1, "stopped", "stopped", True)]


def test_a_run_that_the_ledger_did_not_get_to_know_is_adopted(table: Table) -> None:
    """Killed between opening the run and noting it."""
    _, run_id = table.hand_out(note=False)
    assert table.ledger.trial(0).run_id is None
    reconcile(table.ledger, table.tracker, table.sweep)
    assert table.ledger.trial(0).run_id == run_id
    assert table.states() == [(0, "stopped", "stopped", True)]


def test_a_trial_that_has_no_run_yet_gets_none(table: Table) -> None:
    table.ledger.next_trial()
    assert reconcile(table.ledger, table.tracker, table.sweep) == []
    assert table.tracker.trials(table.sweep) == []


def test_runs_of_no_trial_are_closed_and_keep_what_they_hold(table: Table) -> None:
    _, own = table.hand_out()
    tracker: Any = table.tracker
    extra = tracker.open_trial(table.sweep, "s", 99, {"rank": 2}, sweep_id=table.ledger.id)
    twin = tracker._create("twin", dict(tracker.runs[own].tags), "running")
    tracker.log_metrics(twin, {"val_loss": 1.0}, 3)
    mended = reconcile(table.ledger, tracker, table.sweep)
    assert mended == [
        f"the run {twin} is no longer counted as trial 0",
        f"the run {extra} is no longer counted as trial 99",
    ]
    assert [run.run_id for run in tracker.trials(table.sweep)] == [own]
    assert {tracker.runs[run].status for run in (twin, extra)} == {"KILLED"}
    assert "the ledger knows no such trial" in tracker.runs[extra].tags["mlflow.note.content"]
    assert tracker.history(twin, "val_loss") == [(3, 1.0)]
    assert reconcile(table.ledger, tracker, table.sweep) == []


def test_runs_of_another_ledgers_sweep_are_left_alone(table: Table) -> None:
    """Two homes recorded sweeps of one name, before names were looked for: the other's may still train."""
    table.hand_out()
    others = {
        table.tracker.open_trial(table.sweep, "s", number, {}, state="running", sweep_id=sweep_id)
        for number, sweep_id in ((0, "other"), (1, "other"), (2, ""))
    }
    assert reconcile(table.ledger, table.tracker, table.sweep) == []
    runs = {run.run_id: run for run in table.tracker.trials(table.sweep)}
    assert {runs[run].state for run in others} == {"running"}
    assert table.ledger.trial(0).run_id not in others


def test_runs_of_an_older_ledger_get_its_id(table: Table) -> None:
    tracker: Any = table.tracker
    _, run_id = table.hand_out()
    del tracker.runs[run_id].tags[SWEEP_ID]
    assert reconcile(table.ledger, tracker, table.sweep) == []
    assert [run.run_id for run in tracker.trials(table.sweep, table.ledger.id)] == [run_id]


def test_a_trial_that_ended_before_it_began_gets_one_run(table: Table) -> None:
    """As `sweeps trial stop` ends one that waits while nobody runs the sweep."""
    trial = table.ledger.next_trial()
    assert trial is not None
    table.ledger.tell(trial.number, "pruned", because="stopped by hand")
    for _ in range(2):
        assert reconcile(table.ledger, table.tracker, table.sweep) == []
        assert [(run.number, run.state) for run in table.tracker.trials(table.sweep)] == [(trial.number, "pruned")]


def test_a_finished_trial_whose_run_was_deleted_for_good_gets_another(table: Table) -> None:
    number, run_id = table.hand_out()
    table.ledger.tell(number, "complete", value=0.5)
    tracker: Any = table.tracker
    del tracker.runs[run_id]
    mended = reconcile(table.ledger, tracker, table.sweep)
    (again,) = tracker.trials(table.sweep)
    assert mended == [f"trial 0 has a new run, {again.run_id}: its own was deleted for good"]
    assert (again.number, again.state) == (0, "complete")
    assert reconcile(table.ledger, tracker, table.sweep) == []
    assert tracker.trials(table.sweep) == [again]


def test_what_a_trial_stopped_by_hand_counts_with_is_in_its_run(table: Table) -> None:
    """Its worker was killed after the second epoch was evaluated, and before its adapter was stored."""
    number, run_id = table.hand_out()
    for evaluation, value in ((1, 0.5), (2, 0.4)):
        table.ledger.report(number, evaluation, value)
    table.tracker.log_adapter(run_id, 1, {"adapter.lora.h5": b"1"}, step=10)
    table.tracker.log_file(run_id, "adapters/epoch_0002/adapter.lora.h5", b"cut off")
    table.ledger.tell(number, "pruned", because=BY_HAND)
    assert table.ledger.trial(number).score == 0.4
    reconcile(table.ledger, table.tracker, table.sweep)
    assert table.ledger.trial(number).score == 0.5


@pytest.fixture
def real_table(ledger_url: str, space: SearchSpace, tracker_factory: Callable[[], MlflowTracker]) -> Table:
    return Table(ledger_url, space, tracker_factory())


@pytest.mark.slow
def test_mlflow_and_ledger_agree_whatever_was_done_to_the_runs(real_table: Table) -> None:
    """One was deleted in the UI, one is there twice, one belongs to no trial, one was left running."""
    table, tracker = real_table, real_table.tracker
    assert isinstance(tracker, MlflowTracker)
    runs = [table.hand_out()[1] for _ in range(3)]
    tracker.log_metrics(runs[0], {"val_loss": 0.5}, 1)
    tracker.flush()
    table.ledger.tell(0, "complete", value=0.5)
    tracker.client.delete_run(runs[0])
    tags = {k: v for k, v in tracker.client.get_run(runs[1]).data.tags.items() if k.startswith(("sweep.", "mlflow.pa"))}
    twin = tracker.client.create_run(tracker.experiment_id, tags=tags).info.run_id
    extra = tracker.open_trial(table.sweep, "s", 99, {}, sweep_id=table.ledger.id)
    mended = reconcile(table.ledger, tracker, table.sweep)
    assert sorted(mended) == sorted(
        [f"the run {twin} is no longer counted as trial 1", f"the run {extra} is no longer counted as trial 99"]
    )
    assert [run.run_id for run in tracker.trials(table.sweep)] == runs
    assert [state for _, *state in table.states()] == [
        ["complete", "complete", True],
        ["stopped", "stopped", True],
        ["stopped", "stopped", True],
    ]
    assert tracker.history(runs[0], "val_loss") == [(1, 0.5)]
    statuses = [tracker.client.get_run(run).info.status for run in (*runs, twin, extra)]
    assert statuses == ["FINISHED", "KILLED", "KILLED", "KILLED", "KILLED"]
    assert reconcile(table.ledger, tracker, table.sweep) == []
