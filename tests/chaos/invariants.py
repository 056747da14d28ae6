"""What must be true of a sweep that has ended, whatever was killed on the way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from adapter_registry.runs.tracking import Tracker, TrialRun
from sweeps.ledger.ledger import Ledger
from sweeps.ledger.trial_record import TrialRecord
from tests.chaos.driver import ENGINE

FINAL = {"complete", "pruned", "failed"}


@dataclass(frozen=True)
class Undisturbed:
    """What a trial is when nothing is killed and nothing pruned."""

    params: Mapping[str, Any]
    state: str
    evaluations: Mapping[int, float]
    adapter: bytes | None


def undisturbed(ledger: Ledger, tracker: Tracker, sweep_run_id: str) -> list[Undisturbed]:
    """Read the trials of a sweep that ran in peace."""
    runs = {run.number: run for run in tracker.trials(sweep_run_id)}
    return [Undisturbed(t.params, t.state, t.evaluations, _adapter(tracker, t, runs)) for t in ledger.trials()]


def broken(ledger: Ledger, tracker: Tracker, asked: int, truth: Sequence[Undisturbed]) -> list[str]:
    """List what is not as it must be; nothing, when all is well."""
    sweep_run_id = tracker.find_sweep(ledger.name)
    if sweep_run_id is None:
        return ["the sweep has no run"]
    trials, runs = ledger.trials(), tracker.trials(sweep_run_id)
    wrong = [] if ledger.record.state == "complete" else [f"the sweep is {ledger.record.state}"]
    if ledger.record.driver is not None:
        wrong.append("its driver is still noted in the ledger")
    if [t.number for t in trials] != list(range(asked)):
        wrong.append(f"{len(trials)} trials, but {asked} were asked for")
    if [(t.number, t.run_id, t.state) for t in trials] != [(r.number, r.run_id, r.state) for r in runs]:
        wrong.append("runs and trials are not the same, or not in the same state")
    by_number = {run.number: run for run in runs}
    for trial in trials:
        wrong += [f"trial {trial.number}: {what}" for what in _of_a_trial(tracker, trial, by_number, truth)]
    return wrong


def _of_a_trial(
    tracker: Tracker, trial: TrialRecord, runs: Mapping[int, TrialRun], truth: Sequence[Undisturbed]
) -> list[str]:
    wrong = [] if trial.state in FINAL else [f"is {trial.state}"]
    expected = truth[trial.number]
    if trial.params != expected.params:
        wrong.append(f"has {trial.params}, undisturbed {expected.params}")
    prefix = {step: expected.evaluations.get(step) for step in trial.evaluations}
    if dict(trial.evaluations) != prefix or list(prefix) != list(range(1, len(prefix) + 1)):
        wrong.append(f"has the values {trial.evaluations}, undisturbed {expected.evaluations}")
    if trial.state not in {"pruned", expected.state}:
        wrong.append(f"is {trial.state} ({trial.ended_because}), undisturbed {expected.state}")
    if trial.state == "complete" and _adapter(tracker, trial, runs) != expected.adapter:
        wrong.append("has another adapter than undisturbed")
    return wrong + _of_its_metrics(tracker, trial)


def _of_its_metrics(tracker: Tracker, trial: TrialRecord) -> list[str]:
    """No step is missing, and none is there twice, nor out of turn."""
    wrong = []
    every = {"train_loss": ENGINE.log_every_steps, "val_loss": ENGINE.steps_per_epoch}
    for metric, gap in every.items():
        steps = [step for step, _ in tracker.history(trial.run_id or "", metric)]
        if steps != list(range(gap, gap * (len(steps) + 1), gap)):
            wrong.append(f"{metric} is at the steps {steps}")
    values = [value for _, value in tracker.history(trial.run_id or "", "val_loss")]
    known = list(trial.evaluations.values())
    if values[: len(known)] != known or (trial.state == "complete" and len(values) != len(known)):
        wrong.append(f"MLflow has the values {values}, the ledger {known}")
    return wrong


def _adapter(tracker: Tracker, trial: TrialRecord, runs: Mapping[int, TrialRun]) -> bytes | None:
    """The last adapter of a trial, which holds a digest of all its steps."""
    return tracker.read_file(runs[trial.number].run_id, f"adapters/epoch_{trial.params['epochs']:04d}/rehearsal.txt")
