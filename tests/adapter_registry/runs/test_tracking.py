"""One contract for every tracker: MLflow by SQLite, MLflow by a real server, and the one that only remembers."""

import json
import math
import pickle
from collections.abc import Callable

import pytest

from adapter_registry import MemoryTracker, MlflowTracker, Tracker
from adapter_registry.errors import AdapterFilesError, RegistryError, TrackingStoreError
from adapter_registry.runs.tracking import RUN_STATUS, STATES
from trainer.events import Sample

PARAMS = {"rank": 8, "alpha": None, "learning_rate": 1.2e-3, "epochs": 2}
MakeSweep = Callable[[Tracker, str], str]


@pytest.fixture(params=["memory", "sqlite", "server"])
def tracker(request: pytest.FixtureRequest) -> Tracker:
    """Every implementation, each test in an experiment of its own."""
    if request.param == "memory":
        return MemoryTracker()
    made = request.getfixturevalue(f"{request.param}_store").open(request.node.name)
    request.addfinalizer(made.close)
    assert isinstance(made, MlflowTracker)
    return made


def sample(prompt: str, reply: str) -> Sample:
    return Sample(prompt=prompt, reply=reply, tokens=3, seconds=0.12345)


def test_a_sweep_and_its_trials_are_opened_once(tracker: Tracker, make_sweep: MakeSweep) -> None:
    sweep = make_sweep(tracker, "once")
    trials = [tracker.open_trial(sweep, "once", number, PARAMS) for number in (0, 1, 0, 1)]
    assert make_sweep(tracker, "once") == sweep == tracker.find_sweep("once")
    assert trials[:2] == trials[2:]
    assert [trial.run_id for trial in tracker.trials(sweep)] == trials[:2]


def test_sweeps_of_other_names_are_others(tracker: Tracker, make_sweep: MakeSweep) -> None:
    assert make_sweep(tracker, "one") != make_sweep(tracker, "two")
    assert tracker.find_sweep("three") is None


def test_a_trial_carries_its_configuration(tracker: Tracker, make_sweep: MakeSweep) -> None:
    sweep = make_sweep(tracker, "params")
    tracker.open_trial(sweep, "params", 4, {**PARAMS, "note": "가" * 7000})
    (trial,) = tracker.trials(sweep)
    assert (trial.number, trial.state) == (4, "waiting")
    assert trial.params["alpha"] == "null"
    assert trial.params["learning_rate"] == "0.0012"
    assert len(trial.params["note"]) == 6000


def test_a_trial_of_another_configuration_is_refused(tracker: Tracker, make_sweep: MakeSweep) -> None:
    """A run of the same sweep and number with other parameters belongs to another search."""
    sweep = make_sweep(tracker, "changed")
    tracker.open_trial(sweep, "changed", 0, PARAMS)
    with pytest.raises(TrackingStoreError, match=r"rank=8.*rank=4"):
        tracker.open_trial(sweep, "changed", 0, {**PARAMS, "rank": 4})


def test_metrics_arrive_with_their_steps_and_odd_values(tracker: Tracker, make_sweep: MakeSweep) -> None:
    sweep = make_sweep(tracker, "metrics")
    run = tracker.open_trial(sweep, "metrics", 0, PARAMS)
    for step in (1, 2, 3):
        tracker.log_metrics(run, {"val_loss": 3.0 - step, "val_감정_loss": step}, step)
    tracker.log_metrics(run, {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}, 3)
    tracker.flush()
    metrics = tracker.trials(sweep)[0].metrics
    assert metrics["val_loss"] == 0.0
    assert math.isnan(metrics["nan"])
    assert (metrics["inf"], metrics["-inf"]) == (math.inf, -math.inf)
    assert tracker.history(run, "val_loss") == [(1, 2.0), (2, 1.0), (3, 0.0)]
    assert [value for _, value in tracker.history(run, "val_감정_loss")] == [1.0, 2.0, 3.0]
    assert tracker.history(run, "never") == []


def test_the_samples_of_an_epoch_are_replaced_and_others_kept(tracker: Tracker, make_sweep: MakeSweep) -> None:
    """A trial that is repeated from epoch 1 does not show that epoch twice."""
    run = tracker.open_trial(make_sweep(tracker, "samples"), "samples", 0, PARAMS)
    tracker.log_samples(run, 2, [sample("안녕", "둘")])
    tracker.log_samples(run, 1, [sample("안녕", "처음")])
    tracker.log_samples(run, 1, [sample("안녕", "하나"), sample("또", "하나")])
    tracker.log_samples(run, 3, [])
    table = json.loads(tracker.read_file(run, "samples.json") or b"")
    assert table["columns"] == ["epoch", "prompt", "reply", "tokens", "seconds"]
    assert [row[:3] for row in table["data"]] == [[1, "안녕", "하나"], [1, "또", "하나"], [2, "안녕", "둘"]]
    assert table["data"][0][4] == 0.123


def test_an_adapter_is_stored_with_its_digests(tracker: Tracker, make_sweep: MakeSweep) -> None:
    run = tracker.open_trial(make_sweep(tracker, "adapters"), "adapters", 0, PARAMS)
    tracker.log_adapter(run, 1, {"adapter.lora.h5": b"weights", "adapter.json": b"{}"}, step=40)
    assert tracker.read_file(run, "adapters/epoch_0001/adapter.lora.h5") == b"weights"
    manifest = json.loads(tracker.read_file(run, "adapters/epoch_0001/manifest.json") or b"")
    assert (manifest["epoch"], manifest["step"], set(manifest["sha256"])) == (
        1,
        40,
        {"adapter.lora.h5", "adapter.json"},
    )


@pytest.mark.parametrize("name", ["../evil", "a/b", "", ".hidden", "manifest.json"])
def test_an_adapter_file_cannot_leave_its_folder(name: str) -> None:
    tracker = MemoryTracker()
    sweep = tracker.open_sweep("s", spec_yaml="", tags={}, params={})
    with pytest.raises(AdapterFilesError, match="plain"):
        tracker.log_adapter(sweep, 1, {name: b""})


def test_files_are_replaced_and_absent_ones_are_none(tracker: Tracker, make_sweep: MakeSweep) -> None:
    sweep = make_sweep(tracker, "files")
    assert tracker.read_file(sweep, "plots/none.png") is None
    for content in (b"old", b"new"):
        tracker.log_file(sweep, "plots/history.png", content)
    assert tracker.read_file(sweep, "plots/history.png") == b"new"
    assert tracker.read_file(sweep, "spec.yaml") == b"name: files\n"


def test_states_are_read_back(tracker: Tracker, make_sweep: MakeSweep) -> None:
    """Opening a trial again changes no state, and MLflow's status follows ours."""
    sweep = make_sweep(tracker, "states")
    runs = {state: tracker.open_trial(sweep, "states", number, PARAMS) for number, state in enumerate(STATES)}
    for state, run in runs.items():
        tracker.set_state(run, state)
    for number, run in enumerate(runs.values()):
        assert tracker.open_trial(sweep, "states", number, PARAMS) == run
    assert [trial.state for trial in tracker.trials(sweep)] == list(STATES)
    if isinstance(tracker, MlflowTracker):
        assert {state: tracker.client.get_run(run).info.status for state, run in runs.items()} == RUN_STATUS


def test_a_final_state_never_overtakes_its_metrics(tracker: Tracker, make_sweep: MakeSweep) -> None:
    """Whoever sees `complete` also sees the last metric: no flush in between."""
    sweep = make_sweep(tracker, "order")
    run = tracker.open_trial(sweep, "order", 0, PARAMS)
    tracker.log_metrics(run, {"val_loss": 1.5}, 9)
    tracker.set_state(run, "complete")
    assert tracker.trials(sweep)[0].metrics == {"val_loss": 1.5}


def test_an_unknown_run_is_refused(tracker: Tracker) -> None:
    with pytest.raises(RegistryError):
        tracker.set_state("0" * 32, "running")


def test_a_tracker_can_be_sent_to_a_worker(opened: MlflowTracker, make_sweep: MakeSweep) -> None:
    sweep = make_sweep(opened, "sent")
    opened.log_metrics(sweep, {"x": 1.0}, 1)
    with pickle.loads(pickle.dumps(opened)) as copy:
        assert copy.find_sweep("sent") == sweep
