"""Whole sweeps: a real local Ray, real workers with the rehearsal engine, a real MLflow store, a real ledger."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from sweeps.errors import LedgerError, WorkerError
from sweeps.host.processes import runs
from sweeps.ledger.requests import Stop, post
from sweeps.progress import ProgressEvent, SweepStarted, TrialEnded, TrialEvaluated, TrialStarted, WorkersSeen
from sweeps.settings import PrunerSettings
from sweeps.workers.rehearsal import RehearsalSettings
from tests.sweeps.whole_sweeps import BAD, COMPUTE, ENGINE, GOOD, MARKS, Begin, Held, assert_ledger_and_mlflow_agree
from trainer.machine.host_memory import ENVIRONMENT

pytestmark = MARKS


@pytest.mark.usefixtures("local_ray")
def test_a_sweep_ends_with_exactly_its_trials(begin: Begin) -> None:
    sweep = begin(trials=16)
    result = sweep.run(ENGINE, replace(COMPUTE, slots=4, spare_trials=1))
    counts = sweep.ledger.counts()
    assert result.state == "complete"
    assert sum(counts.values()) == 16
    assert counts["pruned"] > 0
    assert counts["complete"] > 0
    assert_ledger_and_mlflow_agree(sweep)
    for trial in result.trials:
        if trial.state == "pruned":
            assert trial.value == trial.evaluations[max(trial.evaluations)]
            assert len(trial.evaluations) < trial.params["epochs"]
        if trial.state == "complete":
            assert list(trial.evaluations) == list(range(1, trial.params["epochs"] + 1))
    assert result.best is not None
    assert result.best.value == min(t.value for t in result.trials if t.state == "complete" and t.value is not None)
    run = next(run for run in sweep.runs() if run.number == result.best.number)
    assert run.metrics["val_loss"] == pytest.approx(result.best.value)
    epochs = result.best.params["epochs"]
    assert sweep.tracker.read_file(run.run_id, f"adapters/epoch_{epochs:04d}/rehearsal.txt") is not None
    assert len(sweep.told(TrialStarted)) == len(sweep.told(TrialEnded)) == 16
    assert sweep.told(SweepStarted)[0].trials == 16
    assert max(len(w.taken) for e in sweep.told(WorkersSeen) for w in e.workers) <= 4
    assert sweep.ledger.record.driver is None


@pytest.mark.usefixtures("local_ray")
@pytest.mark.skipif(sys.platform != "linux", reason="only glibc reads it, and psutil cannot look everywhere")
def test_a_cpu_workers_process_begins_with_what_the_c_library_has_to_know_by_then(begin: Begin) -> None:
    sweep = begin(trials=1)
    began_with: list[dict[str, str]] = []

    def look(event: ProgressEvent) -> None:
        if isinstance(event, WorkersSeen) and not began_with:
            began_with.extend(psutil.Process(worker.pid).environ() for worker in event.workers if worker.pid)

    sweep.react = look
    sweep.run(ENGINE)
    assert began_with
    assert all(ENVIRONMENT.items() <= environment.items() for environment in began_with)


@pytest.mark.usefixtures("local_ray")
def test_a_complete_sweep_is_left_alone(begin: Begin) -> None:
    sweep = begin(trials=1, enqueue=[GOOD])
    first = sweep.run()
    sweep.events.clear()
    again = sweep.run()
    assert again.trials == first.trials
    assert not sweep.told(WorkersSeen)  # no worker was started for it


@pytest.mark.usefixtures("local_ray")
def test_a_diverging_trial_fails_with_its_step_and_its_neighbours_complete(begin: Begin) -> None:
    sweep = begin(trials=3, enqueue=[GOOD, BAD, GOOD], pruner=PrunerSettings(kind="none"))
    result = sweep.run()
    assert [t.state for t in result.trials] == ["complete", "failed", "complete"]
    assert result.trials[1].ended_because == "diverged at step 5: train_loss is nan"
    assert result.trials[1].attempts == 1
    assert_ledger_and_mlflow_agree(sweep)


@pytest.mark.usefixtures("local_ray")
def test_trials_of_a_killed_worker_are_trained_again(begin: Begin, tmp_path: Path) -> None:
    sweep = begin(trials=4, enqueue=[GOOD] * 4)
    killed = []

    def kill_once(event: ProgressEvent) -> None:
        if isinstance(event, WorkersSeen) and not killed and sweep.told(TrialEvaluated):
            killed.append(event.workers[0].pid)
            os.kill(killed[0], signal.SIGKILL)
            gate.touch()

    gate = tmp_path / "gate"
    sweep.react = kill_once
    result = sweep.run(Held(gate=gate))
    assert killed
    assert result.state == "complete"
    assert {t.state for t in result.trials} <= {"complete", "pruned"}
    assert max(t.attempts for t in result.trials) == 2
    for run in sweep.runs():
        steps = [step for step, _ in sweep.tracker.history(run.run_id, "train_loss")]
        assert steps == sorted(set(steps))
    assert_ledger_and_mlflow_agree(sweep)


@pytest.mark.usefixtures("local_ray")
def test_a_broken_engine_is_replaced_until_its_trials_have_had_their_attempts(begin: Begin) -> None:
    sweep = begin(trials=2, enqueue=[GOOD, GOOD])
    result = sweep.run(replace(ENGINE, tick_s=0.01, breaks_at_tick=15), replace(COMPUTE, max_failures=1))
    # The failure after the one that is forgiven ends a trial. Attempts may be more: who is in line when a worker breaks
    # begins again, and is not blamed.
    assert [(t.state, t.failures) for t in result.trials] == [("failed", 1), ("failed", 1)]
    assert all(t.attempts >= 2 for t in result.trials)
    assert "the rehearsal was told to break at tick 15" in result.trials[0].ended_because
    assert_ledger_and_mlflow_agree(sweep)


@pytest.mark.usefixtures("local_ray")
def test_a_base_model_that_does_not_load_is_one_sentence_and_the_sweep_can_be_resumed(begin: Begin) -> None:
    sweep = begin(trials=2, enqueue=[GOOD, GOOD])
    with pytest.raises(WorkerError, match=r"^A worker could not be started: RuntimeError: there is no 'gemma9'\.$"):
        sweep.run(RehearsalSettings(fails_to_start="there is no 'gemma9'"))
    assert sweep.ledger.record.state == "stopped"
    assert sweep.run().state == "complete"
    assert_ledger_and_mlflow_agree(sweep)


@pytest.mark.usefixtures("local_ray")
def test_a_sweep_that_was_asked_to_stop_goes_on_in_the_same_runs(begin: Begin, tmp_path: Path) -> None:
    sweep = begin(trials=6, enqueue=[GOOD] * 6)

    def interrupt(event: ProgressEvent) -> None:
        if isinstance(event, TrialEvaluated) and len(sweep.told(TrialEvaluated)) == 1:
            os.kill(os.getpid(), signal.SIGINT)

    sweep.react = interrupt
    result = sweep.run(Held(gate=tmp_path / "gate"))
    assert result.state == "stopped"
    assert {t.state for t in result.trials} <= {"stopped", "waiting", "complete", "pruned"}
    assert any(t.state == "stopped" for t in result.trials)
    runs = {run.number: run.run_id for run in sweep.runs()}
    assert {run.state for run in sweep.runs()} <= {"stopped", "complete", "pruned"}

    sweep.react = lambda event: None
    assert sweep.run().state == "complete"
    assert_ledger_and_mlflow_agree(sweep)
    assert runs.items() <= {run.number: run.run_id for run in sweep.runs()}.items()


@pytest.mark.usefixtures("local_ray")
def test_a_request_in_the_ledger_stops_a_sweep(begin: Begin, tmp_path: Path) -> None:
    sweep = begin(trials=4, enqueue=[GOOD] * 4)

    def ask(event: ProgressEvent) -> None:
        if isinstance(event, TrialEvaluated) and len(sweep.told(TrialEvaluated)) == 1:
            post(sweep.ledger, Stop())

    sweep.react = ask
    result = sweep.run(Held(gate=tmp_path / "gate"))
    assert result.state == "stopped"


@pytest.mark.usefixtures("local_ray")
def test_a_second_interrupt_ends_at_once_and_leaves_nothing_running(begin: Begin) -> None:
    sweep = begin(trials=4, enqueue=[GOOD] * 4)

    def interrupt_twice() -> None:
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(1)
        os.kill(os.getpid(), signal.SIGINT)

    def interrupt(event: ProgressEvent) -> None:
        if isinstance(event, WorkersSeen) and event.workers[0].taken and not threads:
            threads.append(threading.Thread(target=interrupt_twice))
            threads[0].start()

    threads: list[threading.Thread] = []
    sweep.react = interrupt
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        sweep.run(replace(ENGINE, tick_s=5))
    threads[0].join()
    assert signal.getsignal(signal.SIGINT) is before
    assert sweep.ledger.record.state == "stopped"
    assert {run.state for run in sweep.runs()} == {"stopped"}
    pid = sweep.told(WorkersSeen)[-1].workers[0].pid
    deadline = time.monotonic() + 20
    while psutil.pid_exists(pid) and runs(psutil.Process(pid)):
        assert time.monotonic() < deadline
        time.sleep(0.1)


@pytest.mark.usefixtures("local_ray")
def test_two_workers_share_the_trials_and_a_spare_one_waits_in_line(begin: Begin) -> None:
    sweep = begin(trials=8, enqueue=[GOOD] * 8)
    result = sweep.run(replace(ENGINE, tick_s=0.02), replace(COMPUTE, slots=1, workers=2, spare_trials=1))
    assert result.state == "complete"
    assert len({t.worker for t in result.trials}) == 2
    assert result.occupancy is not None
    assert result.occupancy > 0.2


def test_a_killed_driver_leaves_a_sweep_that_ends_with_exactly_its_trials(
    begin: Begin, tmp_path: Path, local_ray: None
) -> None:
    """kill -9 in mid-sweep: what was finished stays untouched, no trial and no run is there twice, Ray is gone."""
    sweep = begin(trials=16)
    tracker: Any = sweep.tracker
    arguments = [sweep.url, sweep.name, tracker.tracking_uri, tracker.artifact_root]
    script = Path(__file__).parents[1] / "killed_driver.py"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}  # as pytest finds us
    with subprocess.Popen([sys.executable, script, *arguments], env=environment, cwd=tmp_path) as driver:
        finished = ("complete", "pruned")
        deadline = time.monotonic() + 120
        while sum(sweep.ledger.counts()[state] for state in finished) < 4:
            assert driver.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.1)
        children = psutil.Process(driver.pid).children(recursive=True)
        driver.kill()
    before = {t.number: t for t in sweep.ledger.trials()}
    assert sweep.run().state == "complete"
    trials = sweep.ledger.trials()
    assert len(trials) == 16
    assert_ledger_and_mlflow_agree(sweep)
    for run in sweep.runs():
        steps = [step for step, _ in sweep.tracker.history(run.run_id, "val_loss")]
        assert steps == sorted(set(steps))
    for trial in trials:
        known = before.get(trial.number)
        if known is not None:
            assert known.params.items() <= trial.params.items()  # killed while it was sampled, it has but some
            assert known.run_id in {None, trial.run_id}
            assert known == trial or known.state == "running"
    # Ray's two agents take a minute to notice; all others, and all that hold a model, follow the driver at once.
    _, alive = psutil.wait_procs([p for p in children if p.is_running() and "Agent" not in p.name()], timeout=30)
    assert not alive


@pytest.mark.usefixtures("local_ray")
def test_a_ledger_that_fails_in_mid_sweep_is_one_sentence_and_the_sweep_can_be_resumed(
    begin: Begin, tmp_path: Path
) -> None:
    sweep = begin(trials=3, enqueue=[GOOD] * 3)
    path = tmp_path / "ledger.db"

    def lock_out(event: ProgressEvent) -> None:
        if isinstance(event, TrialEvaluated) and len(sweep.told(TrialEvaluated)) == 1:
            with closing(sqlite3.connect(path)) as database:
                database.execute("ALTER TABLE trial_intermediate_values RENAME TO gone")

    sweep.react = lock_out
    with pytest.raises(LedgerError, match=r"^The ledger at .* cannot be used: no such table.* SWEEPS_LEDGER") as error:
        sweep.run()
    assert "\n" not in str(error.value)
    with closing(sqlite3.connect(path)) as database:
        database.execute("ALTER TABLE gone RENAME TO trial_intermediate_values")
    sweep.react = lambda event: None
    assert sweep.run().state == "complete"
    assert_ledger_and_mlflow_agree(sweep)
