"""What Tune asks and tells, translated: the searcher and the scheduler, without a running Ray."""

from __future__ import annotations

import pickle
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ray.tune.schedulers import TrialScheduler
from ray.tune.search import Searcher

from adapter_registry.runs.memory_tracker import MemoryTracker
from search_spaces import SearchSpace
from sweeps.driver.scheduler import LedgerScheduler
from sweeps.driver.searcher import LedgerSearcher
from sweeps.driver.steering import MAX_LOST_PROCESSES, Steering
from sweeps.errors import WorkerError
from sweeps.ledger.ledger import Ledger
from sweeps.settings import SearchSettings
from sweeps.workers.outbox import Outbox
from sweeps.workers.reports import Lost, Scored
from trainer.config import TrialConfig
from trainer.events import Diverged, Evaluated, Finished


@dataclass
class TuneTrial:
    """The part of Tune's trial that the scheduler asks."""

    trial_id: str
    pickled_error_file: str | None = None
    status: str = "PENDING"
    config: dict[str, Any] = field(default_factory=dict)

    def set_config(self, config: dict[str, Any]) -> None:
        self.config = config


@dataclass
class Tune:
    ledger: Ledger
    searcher: LedgerSearcher
    scheduler: LedgerScheduler
    released: list[tuple[str, int]] = field(default_factory=list)

    def result(self, trial_id: str, value: float, evaluation: int = 1, total: int = 2) -> str:
        report = Evaluated(
            key="k", step=1, evaluation=evaluation, evaluations_total=total, epoch=1.0, metrics={"val_loss": value}
        )
        return self.hear(trial_id, Scored(event=report))

    def hear(self, trial_id: str, report: Any, worker: str = "w") -> str:
        return self.scheduler.on_trial_result(None, TuneTrial(trial_id), {"report": report, "worker": worker})  # type: ignore[arg-type]


@pytest.fixture
def tune(ledger_url: str, space: SearchSpace) -> Tune:
    ledger = Ledger.create(ledger_url, "s", SearchSettings(trials=3), space)
    tracker = MemoryTracker()
    run_id = tracker.open_sweep("s", spec_yaml="", tags={}, params={})
    steering = Steering(
        ledger, tracker, Outbox("t"), run_id=run_id, configure=TrialConfig.from_params, emit=lambda event: None
    )
    searcher = LedgerSearcher(steering, workers="prefix-", processes=3, starting=3)
    tune = Tune(ledger, searcher, None)  # type: ignore[arg-type]
    tune.scheduler = LedgerScheduler(
        steering,
        searcher,
        release=lambda worker, number: tune.released.append((worker, number)),
        has_loaded=lambda worker: worker == "w",
    )
    return tune


def test_suggestions_are_the_ledgers_trials_and_then_finished(tune: Tune) -> None:
    configs = [tune.searcher.suggest(f"t{i}") for i in range(3)]
    assert [c["number"] for c in configs] == [0, 1, 2]
    assert configs[0]["workers"] == "prefix-"
    assert not configs[0]["again"]
    assert configs[0]["params"]["learning_rate"] == tune.ledger.trial(0).params["learning_rate"]
    for i in range(3):
        assert tune.searcher.suggest("t3") is None  # somebody may still ask for more
        tune.searcher.on_trial_complete(f"t{i}", {"report": Finished(key="k", step=2)})
    assert tune.searcher.suggest("t3") == Searcher.FINISHED


def test_the_first_processes_start_a_few_at_a_time_and_no_trial_waits_for_one_that_never_began(tune: Tune) -> None:
    searcher = LedgerSearcher(tune.searcher._steering, workers="prefix-", processes=2, starting=1)
    assert searcher.suggest("a")["number"] == 0
    assert searcher.suggest("b") is None
    searcher.began("a")
    assert searcher.suggest("b")["number"] == 1
    assert searcher.suggest("c") is None
    searcher.on_trial_complete("b", None, error=True)
    assert [searcher.suggest(trial_id)["number"] for trial_id in ("c", "d")] == [1, 2]


def test_a_hopeless_trial_is_stopped_and_its_slot_released(tune: Tune) -> None:
    tune.searcher.suggest("a")
    tune.searcher.suggest("b")
    assert tune.result("a", 0.5) == TrialScheduler.CONTINUE
    assert tune.result("b", 0.9) == TrialScheduler.STOP
    assert tune.released == [("w", 1)]
    assert tune.ledger.trial(1).state == "pruned"


def test_the_end_of_a_trial_is_told(tune: Tune) -> None:
    for name in "abc":
        tune.searcher.suggest(name)
    tune.result("a", 0.5, 2, 2)
    tune.searcher.on_trial_complete("a", {"report": Finished(key="k", step=2)})
    tune.searcher.on_trial_complete("b", {"report": Diverged(key="k", step=2, reason="nan")})
    tune.searcher.on_trial_complete("c", {})
    assert [t.state for t in tune.ledger.trials()] == ["complete", "failed", "stopped"]


def test_a_trial_goes_on_after_its_worker_was_lost_as_often_as_allowed(tune: Tune) -> None:
    tune.searcher.suggest("a")
    lost = Lost(key="k", reason="its worker w was lost")
    assert [tune.hear("a", lost) for _ in range(3)] == [*[TrialScheduler.CONTINUE] * 2, TrialScheduler.STOP]
    assert (tune.ledger.trial(0).state, tune.ledger.trial(0).ended_because) == ("failed", "its worker w was lost")


def test_a_worker_that_is_lost_while_it_loads_leaves_no_mark_on_a_trial(tune: Tune) -> None:
    tune.searcher.suggest("a")
    lost = Lost(key="k", reason="its worker was lost")
    assert [tune.hear("a", lost, "never seen loaded") for _ in range(9)] == [TrialScheduler.CONTINUE] * 9
    assert tune.ledger.trial(0).failures == 0


def test_a_trials_process_may_die_without_a_mark_on_the_trial(tune: Tune, tmp_path: Path) -> None:
    """Before it began or later: another process is given the same trial, in the same run, ahead of new trials."""
    error = tmp_path / "error.pkl"
    error.write_bytes(pickle.dumps(WorkerError("no worker had a seat")))

    def die(trial_id: str) -> None:
        died: Any = TuneTrial(trial_id, str(error))
        tune.scheduler.on_trial_error(None, died)
        tune.searcher.on_trial_complete(trial_id, None, error=True)

    let_go: list[int] = []
    tune.searcher._steering.on_give_up = let_go.append
    first = tune.searcher.suggest("t0")
    for lost in range(MAX_LOST_PROCESSES):
        die(f"t{lost}")
        assert tune.searcher.suggest(f"t{lost + 1}") == {**first, "again": True}
    assert (tune.ledger.trial(0).state, tune.ledger.trial(0).failures, tune.ledger.trial(0).attempts) == (
        "running",
        0,
        1,
    )
    assert not let_go
    die(f"t{MAX_LOST_PROCESSES}")
    assert let_go == [0], "its slot is free"
    assert (tune.ledger.trial(0).state, tune.ledger.trial(0).ended_because) == ("failed", "no worker had a seat")
    assert tune.searcher.suggest("other")["number"] == 1


def test_a_trial_that_ended_while_it_had_no_process_is_given_to_none(tune: Tune) -> None:
    """Its values come with those of the trials that were scored together with it."""
    for name in "abc":
        tune.searcher.suggest(name)
    tune.searcher.on_trial_complete("a", None, error=True)
    tune.searcher._steering.failed(0, "given up")
    assert tune.searcher.suggest("d") is None


def test_nothing_of_the_ledger_is_in_what_tune_saves(tune: Tune) -> None:
    """Tune pickles searcher and scheduler into its own state; open databases could not be, and need not be."""
    assert len(pickle.dumps((tune.searcher, tune.scheduler))) < 500


def test_a_free_process_goes_to_the_newest_trial(tune: Tune) -> None:
    """Older pending trials have a process on its way; Tune would throw it away."""
    trials = [TuneTrial("a", status="RUNNING"), TuneTrial("b"), TuneTrial("c"), TuneTrial("d", status="TERMINATED")]
    controller: Any = SimpleNamespace(get_trials=lambda: trials)
    assert tune.scheduler.choose_trial_to_run(controller) is trials[2]
    trials[1].status = trials[2].status = "RUNNING"
    assert tune.scheduler.choose_trial_to_run(controller) is None
