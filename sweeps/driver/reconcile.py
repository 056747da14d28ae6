"""Makes MLflow say what the ledger says, at the beginning and at the end of every run of a driver.

Between the two a driver, a worker or a server may have died at any moment. Afterwards every trial that was ever handed
out has exactly one run, in the trial's state, and nothing is left running. What belongs to no trial is closed and
keeps what it holds: nothing is deleted. Runs that bear no id of this ledger's sweep are not looked at.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from adapter_registry.runs.adapter_files import MANIFEST_FILE, epoch_folder

if TYPE_CHECKING:
    from collections.abc import Sequence

    from adapter_registry.runs.tracking import Tracker, TrialRun
    from sweeps.ledger.ledger import Ledger
    from sweeps.ledger.trial_record import TrialRecord


def reconcile(ledger: Ledger, tracker: Tracker, sweep_run_id: str) -> list[str]:
    """Mend what is left of an earlier driver; call it while nothing trains.

    Returns:
        What was mended, a sentence each.
    """
    for trial in ledger.unfinished():
        if trial.state == "running":
            ledger.stop(trial.number, "its driver was lost")
    runs = _bring_back(ledger, tracker, tracker.trials(sweep_run_id, ledger.id), sweep_run_id)
    by_number: dict[int, list[TrialRun]] = defaultdict(list)
    for run in runs:
        by_number[run.number].append(run)
    trials = {trial.number: trial for trial in ledger.trials()}
    mended = [line for number in sorted(by_number) for line in _disown(tracker, by_number[number], trials.get(number))]
    for number, trial in trials.items():
        mended += _agree(ledger, tracker, trial, by_number[number], sweep_run_id)
    return mended


def _bring_back(ledger: Ledger, tracker: Tracker, runs: Sequence[TrialRun], sweep_run_id: str) -> Sequence[TrialRun]:
    """Undo the deletion of trials' runs: somebody tidied up in the UI. Those of an older ledger get its id."""
    known = {run.run_id for run in runs}
    missing = [trial.run_id for trial in ledger.trials() if trial.run_id is not None and trial.run_id not in known]
    came_back = [run_id for run_id in missing if tracker.bring_back(run_id, ledger.id)]
    return tracker.trials(sweep_run_id, ledger.id) if came_back else runs


def _disown(tracker: Tracker, runs: list[TrialRun], trial: TrialRecord | None) -> list[str]:
    """Close the runs of one number that are not its trial's, and take them out of the list."""
    own = [run for run in runs if trial is not None and run.run_id == trial.run_id] or (runs[:1] if trial else [])
    others = [run for run in runs if run not in own]
    for run in others:
        why = "another run holds this trial" if trial else "the ledger knows no such trial"
        tracker.disown(run.run_id, f"Not counted as trial {run.number} of the sweep: {why}.")
    runs[:] = own
    return [f"the run {run.run_id} is no longer counted as trial {run.number}" for run in others]


def _agree(
    ledger: Ledger, tracker: Tracker, trial: TrialRecord, runs: Sequence[TrialRun], sweep_run_id: str
) -> list[str]:
    """Let a trial and its run name each other and be in the same state."""
    if not runs and trial.run_id is None and trial.state in {"waiting", "stopped"}:
        return []  # it gets its run when it is handed out
    mended = []
    if runs:
        run_id, state = runs[0].run_id, runs[0].state
    else:
        run_id, state = (
            tracker.open_trial(sweep_run_id, ledger.name, trial.number, trial.params, sweep_id=ledger.id),
            "waiting",
        )
        if trial.run_id is not None:
            mended.append(f"trial {trial.number} has a new run, {run_id}: its own was deleted for good")
    if trial.run_id != run_id and not trial.is_finished:  # nothing is added to a finished one: tags name its run
        ledger.note(trial.number, run_id=run_id)
    if state != trial.state:
        tracker.set_state(run_id, trial.state)
    if trial.is_stopped_by_hand:
        ledger.note_stored(trial.number, _stored_epochs(ledger, tracker, trial, run_id))
    return mended


def _stored_epochs(ledger: Ledger, tracker: Tracker, trial: TrialRecord, run_id: str) -> list[int]:
    """List the epochs of a trial whose adapters are whole: its worker may have died before it had stored the last."""
    last = max(trial.evaluations, default=0) // ledger.settings.evaluations_per_epoch
    epochs = range(1, last + 1)
    return [each for each in epochs if tracker.read_file(run_id, f"{epoch_folder(each)}/{MANIFEST_FILE}")]
