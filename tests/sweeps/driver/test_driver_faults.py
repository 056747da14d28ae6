"""Whole sweeps whose ground gives way: no memory, no room for files, another driver. None loses a trial."""

from __future__ import annotations

import contextlib
import functools
import os
import shutil
import signal
import time
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from adapter_registry.runs.mlflow_tracker import MlflowTracker
from sweeps.errors import ClaimLostError, TrackingError, WorkerError
from sweeps.ledger.claim import Claim
from sweeps.ledger.ledger import Ledger
from sweeps.progress import ProgressEvent, SweepStarted, TrialEvaluated, TrialStarted, WorkersSeen
from sweeps.settings import PrunerSettings
from tests.sweeps.whole_sweeps import (
    COMPUTE,
    ENGINE,
    GOOD,
    MARKS,
    Begin,
    Held,
    NotForWorkers,
    SlowToLoad,
    assert_ledger_and_mlflow_agree,
)

pytestmark = [*MARKS, pytest.mark.usefixtures("local_ray")]

NO_PRUNER = PrunerSettings(kind="none")


def test_a_pack_that_does_not_fit_comes_back_with_fewer_slots(begin: Begin) -> None:
    sweep = begin(trials=4, enqueue=[GOOD] * 4, pruner=NO_PRUNER)
    result = sweep.run(replace(ENGINE, memory_slots=1), replace(COMPUTE, slots=4, max_failures=0))
    assert [t.state for t in result.trials] == ["complete"] * 4
    assert {t.failures for t in result.trials} == {0}
    assert [w.slots for w in sweep.told(WorkersSeen)[-1].workers] == [1]
    assert_ledger_and_mlflow_agree(sweep)


def test_trials_that_fit_nowhere_are_failed_with_the_numbers(begin: Begin) -> None:
    sweep = begin(trials=2, enqueue=[GOOD] * 2, pruner=NO_PRUNER)
    result = sweep.run(replace(ENGINE, memory_slots=0))
    assert [t.state for t in result.trials] == ["failed"] * 2
    assert all("out of memory with 1 slots, 0 would fit" in t.ended_because for t in result.trials)
    assert_ledger_and_mlflow_agree(sweep)


def test_a_base_model_that_fits_nowhere_is_one_sentence_and_no_trial_is_failed(begin: Begin) -> None:
    sweep = begin(trials=2, enqueue=[GOOD] * 2, pruner=NO_PRUNER)
    with pytest.raises(WorkerError, match=r"lost 4 times in a row; the last time: .*out of memory"):
        sweep.run(replace(ENGINE, start_s=0.2, fails_to_start="out of memory: the base takes 9 GB"))
    assert [(t.state, t.failures) for t in sweep.ledger.trials()] == [("stopped", 0)] * 2
    assert [t.state for t in sweep.run().trials] == ["complete"] * 2
    assert_ledger_and_mlflow_agree(sweep)


def test_a_worker_that_dies_while_it_loads_is_replaced_and_no_trial_has_failed(begin: Begin, tmp_path: Path) -> None:
    sweep = begin(trials=2, enqueue=[GOOD] * 2, pruner=NO_PRUNER)
    gate, killed = tmp_path / "gate", list[int]()

    def kill_once(event: ProgressEvent) -> None:
        if isinstance(event, WorkersSeen) and event.workers[0].waiting == 2 and not killed:
            assert event.workers[0].state == "loading"
            killed.append(event.workers[0].pid)
            os.kill(killed[0], signal.SIGKILL)
            gate.touch()

    sweep.react = kill_once
    result = sweep.run(SlowToLoad(gate=gate, tick_s=0.003, steps_per_epoch=10), replace(COMPUTE, max_failures=0))
    assert killed
    assert [(t.state, t.failures) for t in result.trials] == [("complete", 0)] * 2
    assert_ledger_and_mlflow_agree(sweep)


def test_workers_that_all_die_while_they_load_end_the_sweep_and_fail_no_trial(begin: Begin, tmp_path: Path) -> None:
    sweep = begin(trials=2, enqueue=[GOOD] * 2, pruner=NO_PRUNER)
    killed: set[int] = set()

    def kill(event: ProgressEvent) -> None:
        if isinstance(event, WorkersSeen) and event.workers[0].pid not in {0, *killed}:
            killed.add(event.workers[0].pid)
            os.kill(event.workers[0].pid, signal.SIGKILL)

    sweep.react = kill
    with pytest.raises(WorkerError, match=r"lost 4 times in a row; the last time: its process died"):
        sweep.run(SlowToLoad(gate=tmp_path / "never"), replace(COMPUTE, max_failures=0))
    assert len(killed) == 4
    assert {(t.state, t.failures) for t in sweep.ledger.trials()} <= {("stopped", 0), ("waiting", 0)}
    sweep.react = lambda event: None
    assert [t.state for t in sweep.run().trials] == ["complete"] * 2
    assert_ledger_and_mlflow_agree(sweep)


def test_workers_that_cannot_even_begin_say_why_at_once(begin: Begin) -> None:
    sweep = begin(trials=1, enqueue=[GOOD])
    with pytest.raises(WorkerError, match=r"^A worker could not be started: .*no module named 'gemma9'\.$"):
        sweep.run(NotForWorkers())
    assert len({event.workers[0].worker for event in sweep.told(WorkersSeen)}) <= 1


def test_an_artifact_store_that_takes_nothing_more_is_one_sentence_and_the_sweep_is_resumed(
    begin: Begin, tmp_path: Path
) -> None:
    sweep = begin(trials=3, enqueue=[GOOD] * 3, pruner=NO_PRUNER)
    artifacts, obstacle = tmp_path / "artifacts", tmp_path / "obstacle"
    artifacts.mkdir()
    obstacle.write_bytes(b"in the way")
    set_aside: list[Path] = []
    sweep.factory = functools.partial(MlflowTracker, f"sqlite:///{tmp_path / 'mlflow.db'}", "full", str(artifacts))
    sweep.tracker = sweep.factory()
    sweep.tracker.prepare()

    def fill(event: ProgressEvent) -> None:
        """Put a file where the folder was. A link led elsewhere would be quicker, but MLflow notices it by itself."""
        while isinstance(event, TrialEvaluated) and artifacts.is_dir() and (set_aside or any(artifacts.iterdir())):
            set_aside.append(artifacts.rename(tmp_path / f"aside-{len(set_aside)}"))
            with contextlib.suppress(FileExistsError):  # a worker has made the folder again
                artifacts.hardlink_to(obstacle)

    sweep.react = fill
    told = r"could not be stored in MLflow: .*(written to|read from) .*artifacts"
    with pytest.raises(TrackingError, match=told) as error:
        sweep.run(replace(ENGINE, tick_s=0.02))
    assert "\n" not in str(error.value)
    assert sweep.ledger.record.state == "stopped"
    assert "failed" not in {t.state for t in sweep.ledger.trials()}

    sweep.react = lambda event: None
    artifacts.unlink()
    for folder in set_aside:
        shutil.copytree(folder, artifacts, dirs_exist_ok=True)
    assert [t.state for t in sweep.run().trials] == ["complete"] * 3
    assert_ledger_and_mlflow_agree(sweep)
    for run in sweep.runs():
        assert [step for step, _ in sweep.tracker.history(run.run_id, "train_loss")] == list(range(5, 31, 5))


def test_trials_whose_processes_die_before_they_have_begun_are_begun_by_others(begin: Begin) -> None:
    """Tune gives such a trial up at once, however often it may fail; it finds out late when its loop is held up."""
    sweep = begin(trials=4, enqueue=[GOOD] * 4, pruner=NO_PRUNER)
    killed: list[int] = []

    def hold_up_and_kill(event: ProgressEvent) -> None:
        """Tune's loop tells of a trial that it hands out, and goes on when this is done."""
        deadline = time.monotonic() + 60
        while isinstance(event, TrialStarted) and event.number == 3 and not killed and time.monotonic() < deadline:
            time.sleep(0.5)
            for process in psutil.Process().children(recursive=True):
                with contextlib.suppress(psutil.Error):
                    if "TrialClient" in " ".join(process.cmdline()):
                        process.kill()
                        killed.append(process.pid)

    sweep.react = hold_up_and_kill
    result = sweep.run(replace(ENGINE, tick_s=0.02))
    assert killed
    assert [t.state for t in result.trials] == ["complete"] * 4
    assert {(t.failures, t.attempts) for t in result.trials} == {(0, 1)}
    assert_ledger_and_mlflow_agree(sweep)


def test_a_driver_whose_sweep_was_taken_over_leaves_it_as_it_is(begin: Begin, tmp_path: Path) -> None:
    sweep = begin(trials=2, enqueue=[GOOD] * 2, pruner=NO_PRUNER)
    others: list[Claim] = []

    def take_over(event: ProgressEvent) -> None:
        if isinstance(event, WorkersSeen) and event.workers[0].taken and not others:
            others.append(Claim(Ledger.open(sweep.url, sweep.name, sweep.space), take_over=True))

    sweep.react = take_over
    with pytest.raises(ClaimLostError, match="was taken over by process"):
        sweep.run(Held(gate=tmp_path / "gate"))
    assert sweep.ledger.record.state == "running"
    assert {t.state for t in sweep.ledger.trials()} == {"running"}
    others[0].release()
    sweep.react = lambda event: None
    assert [t.state for t in sweep.run().trials] == ["complete"] * 2
    assert_ledger_and_mlflow_agree(sweep)


def test_a_driver_whose_sweep_was_taken_over_while_nothing_trains_does_not_end_it(begin: Begin) -> None:
    sweep = begin(trials=1, enqueue=[GOOD])
    sweep.run()
    others: list[Claim] = []

    def take_over(event: ProgressEvent) -> None:
        if isinstance(event, SweepStarted):
            others.append(Claim(Ledger.open(sweep.url, sweep.name, sweep.space), take_over=True))

    sweep.react = take_over
    with pytest.raises(ClaimLostError, match="was taken over by process"):
        sweep.run()
    assert sweep.ledger.record.state == "running"
    others[0].check()
