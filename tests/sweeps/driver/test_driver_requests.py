"""Sweeps that are steered while they run: a real local Ray, real workers with the rehearsal engine, a real MLflow."""

from __future__ import annotations

import hashlib
import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from sweeps.driver.driver import SweepResult
from sweeps.ledger.requests import (
    AddTrial,
    Asked,
    Cancel,
    Extend,
    Pause,
    Request,
    Retry,
    Stop,
    StopTrial,
    answer_to,
    pending,
    post,
)
from sweeps.progress import Draining, ProgressEvent, SweepStarted, TrialEnded, TrialEvaluated, WorkersSeen
from sweeps.settings import PrunerSettings
from tests.sweeps.whole_sweeps import BAD, GOOD, MARKS, Begin, Held, Sweep, assert_ledger_and_mlflow_agree
from trainer.config import TrialConfig

pytestmark = [*MARKS, pytest.mark.usefixtures("local_ray")]

ALL = PrunerSettings(kind="none")
When = Callable[[ProgressEvent], bool]


@pytest.fixture(autouse=True)
def _attentive(monkeypatch: pytest.MonkeyPatch) -> None:
    """The driver reads requests more often than every two seconds, so that trials can be short."""
    monkeypatch.setattr("sweeps.driver.monitor.LEDGER_EVERY_S", 0.1)


def ask_once(sweep: Sweep, request: Request, when: When) -> list[Asked]:
    """Post a request when an event comes, as another process would."""
    posted: list[Asked] = []

    def react(event: ProgressEvent) -> None:
        if when(event) and not posted:
            posted.append(post(sweep.ledger, request))

    sweep.react = react
    return posted


def evaluated(event: ProgressEvent) -> bool:
    return isinstance(event, TrialEvaluated)


def answered(sweep: Sweep, posted: list[Asked]) -> str:
    answer = answer_to(sweep.ledger, posted[0])
    assert answer is not None
    assert not answer.refused, answer.text
    return answer.text


def run_until_seen(sweep: Sweep, folder: Path, *wanted: set[int]) -> SweepResult:
    """Hold all trials after an epoch until the driver has seen these in the worker's slots, one set after the other."""
    gate = folder / "gate"
    react = sweep.react
    awaited = list(wanted)

    def open_gate(event: ProgressEvent) -> None:
        react(event)
        if isinstance(event, WorkersSeen) and awaited[:1] == [{s.number for w in event.workers for s in w.taken}]:
            awaited.pop(0)
        if not awaited:
            gate.touch()

    sweep.react = open_gate
    return sweep.run(Held(gate=gate))


def test_an_extended_sweep_trains_the_trials_it_was_extended_by(begin: Begin) -> None:
    sweep = begin(trials=1, enqueue=[GOOD], pruner=ALL)
    posted = ask_once(sweep, Extend(trials=2), evaluated)
    result = sweep.run()
    assert answered(sweep, posted) == f"2 more trials: {sweep.name!r} is to end with 3 trials."
    assert (result.state, len(result.trials)) == ("complete", 3)
    assert_ledger_and_mlflow_agree(sweep)


def test_a_trial_that_is_enqueued_while_the_last_one_runs_takes_a_free_slot_at_once(
    begin: Begin, tmp_path: Path
) -> None:
    sweep = begin(trials=1, enqueue=[GOOD], pruner=ALL)
    posted = ask_once(sweep, AddTrial(params={**GOOD, "rank": 2, "epochs": 1}), evaluated)
    result = run_until_seen(sweep, tmp_path, {0, 1})  # it does not wait for the other
    answered(sweep, posted)
    assert [t.params["rank"] for t in result.trials] == [8, 2]
    assert_ledger_and_mlflow_agree(sweep)


def test_what_is_asked_after_the_last_trial_has_ended_is_done_all_the_same(begin: Begin) -> None:
    """Tune's searcher has said by then that there are no more: the driver goes round again."""
    sweep = begin(trials=1, enqueue=[GOOD])
    posted = ask_once(sweep, Extend(trials=1), lambda event: isinstance(event, TrialEnded))
    assert sweep.run().state == "complete"
    answered(sweep, posted)
    assert len(sweep.ledger.trials()) == 2
    assert len(sweep.told(SweepStarted)) == 1


def test_a_trial_is_stopped_by_hand_and_its_neighbour_completes(begin: Begin, tmp_path: Path) -> None:
    sweep = begin(trials=2, enqueue=[GOOD, {**GOOD, "epochs": 2}], pruner=ALL)
    posted = ask_once(sweep, StopTrial(number=0), lambda _: all(t.evaluations for t in sweep.ledger.trials()))
    result = run_until_seen(sweep, tmp_path, {0, 1}, {1})  # its slot is free at once
    answered(sweep, posted)
    assert [t.state for t in result.trials] == ["pruned", "complete"]
    assert result.trials[0].ended_because == "stopped by hand"
    assert list(result.trials[0].evaluations) == [1]
    assert result.trials[0].score == result.trials[0].evaluations[1]  # the adapter of that epoch is stored
    assert adapter(sweep, 1, 2) == chain("", TrialConfig(**GOOD | {"epochs": 2}), 1, 20)
    assert_ledger_and_mlflow_agree(sweep)


def test_a_failed_trial_is_tried_again_as_a_new_one_that_remembers_it(begin: Begin) -> None:
    sweep = begin(trials=2, enqueue=[BAD, GOOD], pruner=ALL)
    posted = ask_once(sweep, Retry(), lambda event: isinstance(event, TrialEnded) and event.state == "failed")
    result = sweep.run()
    assert answered(sweep, posted) == "Trial to be tried again: 0 as 2."
    assert [t.state for t in result.trials] == ["failed", "complete", "failed"]
    assert result.trials[2].params == result.trials[0].params == BAD
    assert result.trials[2].retry_of == 0
    assert tag(sweep, 2, "sweep.retry_of") == "0"
    assert_ledger_and_mlflow_agree(sweep)


def test_a_finished_trial_trains_on_from_its_last_checkpoint(begin: Begin) -> None:
    """Beyond the space's three epochs, without pruning, and from exactly where it stopped."""
    sweep = begin(trials=1, enqueue=[GOOD])
    sweep.run()
    posted = [post(sweep.ledger, AddTrial(params=GOOD, epochs=5, continues=0))]
    result = sweep.run()
    answered(sweep, posted)
    assert [t.state for t in result.trials] == ["complete", "complete"]
    assert result.trials[1].params["epochs"] == 5
    assert list(result.trials[1].evaluations) == [1, 2, 3, 4, 5]
    first, longer = TrialConfig(**GOOD), TrialConfig(**GOOD | {"epochs": 5})
    assert adapter(sweep, 1, 5) == chain(chain("", first, 1, 30), longer, 31, 50)
    run = sweep.runs()[1].run_id
    assert [step for step, _ in sweep.tracker.history(run, "val_loss")] == [10, 20, 30, 40, 50]
    assert min(step for step, _ in sweep.tracker.history(run, "train_loss")) > 30  # nothing was trained twice
    assert tag(sweep, 1, "sweep.continues") == "0"
    assert_ledger_and_mlflow_agree(sweep)


def test_a_cancelled_sweep_ends_at_once_and_is_resumed_exactly(begin: Begin, tmp_path: Path) -> None:
    sweep = begin(trials=2, enqueue=[GOOD, GOOD], pruner=ALL)
    posted = ask_once(sweep, Cancel(), evaluated)
    result = sweep.run(Held(gate=tmp_path / "gate"))
    answered(sweep, posted)
    assert (result.state, {t.state for t in result.trials}) == ("stopped", {"stopped"})
    assert not psutil.pid_exists(sweep.told(WorkersSeen)[-1].workers[0].pid)
    assert sweep.run().state == "complete"
    assert adapter(sweep, 0, 3) == chain("", TrialConfig(**GOOD), 1, 30)
    assert_ledger_and_mlflow_agree(sweep)


def test_a_paused_sweep_says_so_until_it_is_resumed(begin: Begin, tmp_path: Path) -> None:
    sweep = begin(trials=2, enqueue=[GOOD, GOOD], pruner=ALL)
    posted = ask_once(sweep, Pause(), evaluated)
    assert sweep.run(Held(gate=tmp_path / "gate")).state == "paused"
    answered(sweep, posted)
    assert sweep.ledger.record.state == "paused"
    assert {run.state for run in sweep.runs()} == {"stopped"}
    sweep.react = lambda event: None
    assert sweep.run().state == sweep.ledger.record.state == "complete"
    assert_ledger_and_mlflow_agree(sweep)


def test_what_was_asked_of_a_driver_that_died_is_done_by_the_next_but_for_stopping(begin: Begin) -> None:
    sweep = begin(trials=1, enqueue=[GOOD])
    for request in (Cancel(), Extend(trials=1), Pause()):
        post(sweep.ledger, request)
    assert sweep.run().state == "complete"
    assert len(sweep.ledger.trials()) == 2
    assert pending(sweep.ledger) == []


@pytest.mark.parametrize(("request_", "state"), [(Stop(), "stopped"), (Pause(), "paused"), (Cancel(), "stopped")])
def test_a_sweep_that_is_to_end_before_it_trains_does(begin: Begin, request_: Request, state: str) -> None:
    """After a crash it takes a while until a driver that has claimed the sweep looks at requests."""
    sweep = begin(trials=1, enqueue=[GOOD])
    posted = ask_once(sweep, request_, lambda event: isinstance(event, SweepStarted))
    assert sweep.run().state == sweep.ledger.record.state == state
    assert "has ended" not in answered(sweep, posted)
    assert [trial.state for trial in sweep.ledger.trials()] == ["waiting"]
    assert sweep.runs() == []
    sweep.react = lambda event: None
    assert sweep.run().state == "complete"


def test_a_driver_that_waits_for_mlflow_hears_that_it_shall_stop(begin: Begin, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tune's loop waits for the second trial's run, as in an outage, until the driver says that it drains."""
    sweep = begin(trials=2, enqueue=[GOOD, GOOD], pruner=ALL)
    open_trial = sweep.tracker.open_trial
    posted: list[Asked] = []
    draining = threading.Event()
    heard: list[bool] = []

    def open_late(*args: Any, **options: Any) -> str:
        if args[2] == 1:
            posted.append(post(sweep.ledger, Pause()))
            heard.append(draining.wait(60))
        return open_trial(*args, **options)

    def react(event: ProgressEvent) -> None:
        if isinstance(event, Draining):
            draining.set()

    monkeypatch.setattr(sweep.tracker, "open_trial", open_late)
    sweep.react = react
    assert sweep.run().state == "paused"
    assert heard == [True]
    assert "is about to pause" in answered(sweep, posted)
    assert_ledger_and_mlflow_agree(sweep)


def test_a_closed_terminal_drains_the_sweep_however_often_it_is_told(begin: Begin, tmp_path: Path) -> None:
    sweep = begin(trials=2, enqueue=[GOOD, GOOD], pruner=ALL)

    def hang_up() -> None:
        for _ in range(2):
            os.kill(os.getpid(), signal.SIGHUP)
            time.sleep(0.02)

    def react(event: ProgressEvent) -> None:
        if evaluated(event) and not threads:
            threads.append(threading.Thread(target=hang_up))
            threads[0].start()

    threads: list[threading.Thread] = []
    sweep.react = react
    assert sweep.run(Held(gate=tmp_path / "gate")).state == "stopped"
    threads[0].join()
    assert sweep.told(Draining)[0].because == "the terminal was closed"


def adapter(sweep: Sweep, number: int, epoch: int) -> str:
    """The digest at the end of a trial's epoch: of all steps that led there."""
    run = sweep.runs()[number].run_id
    content = sweep.tracker.read_file(run, f"adapters/epoch_{epoch:04d}/rehearsal.txt")
    assert content is not None
    return content.decode().rpartition(" ")[2]


def chain(digest: str, config: TrialConfig, first: int, last: int) -> str:
    """What the rehearsal makes of `digest` in these steps."""
    for step in range(first, last + 1):
        digest = hashlib.blake2b(f"{digest}/{config}/{step}".encode(), digest_size=16).hexdigest()
    return digest


def tag(sweep: Sweep, number: int, name: str) -> str | None:
    from adapter_registry.runs.mlflow_tracker import MlflowTracker

    assert isinstance(sweep.tracker, MlflowTracker)
    tags: dict[str, str] = sweep.tracker.client.get_run(sweep.runs()[number].run_id).data.tags
    return tags.get(name)
