"""Requests in the ledger: each is carried out once, whoever dies in between, and a refused one leaves no trace."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from adapter_registry.runs.memory_tracker import MemoryTracker
from search_spaces import SearchSpace, load_space
from sweeps.driver.desk import Desk
from sweeps.driver.steering import Steering
from sweeps.errors import NotFoundError, RequestError
from sweeps.ledger.carrying_out import carry_out, carry_out_pending
from sweeps.ledger.ledger import Ledger
from sweeps.ledger.requests import (
    AddTrial,
    Answer,
    Asked,
    Cancel,
    Extend,
    Pause,
    Request,
    Retry,
    Stop,
    StopTrial,
    answer,
    answer_to,
    pending,
    post,
)
from sweeps.progress import ProgressEvent, SweepGrew, TrialEnded
from sweeps.settings import PrunerSettings, SearchSettings
from sweeps.workers.outbox import Outbox
from trainer.config import TrialConfig

PARAMS = {"learning_rate": 1e-3, "rank": 8, "epochs": 2}
EVERY = [Stop(), Pause(), Cancel(), Extend(trials=3), Retry(numbers=(1, 2)), StopTrial(number=4)]
ADDED = AddTrial(params={"rank": 8}, epochs=5, continues=1, may_prune=True)


@pytest.fixture
def ledger(ledger_url: str, space: SearchSpace) -> Ledger:
    settings = SearchSettings(trials=2, pruner=PrunerSettings(kind="none"))
    return Ledger.create(ledger_url, "s", settings, space, enqueue=[PARAMS, PARAMS])


def finish(ledger: Ledger, state: Any = "complete") -> int:
    trial = ledger.next_trial()
    assert trial is not None
    ledger.note(trial.number, run_id=f"run{trial.number}")
    ledger.report(trial.number, 1, 2.0)
    ledger.tell(trial.number, state, value=2.0)
    return trial.number


def done(ledger: Ledger, request: Request) -> str:
    """Carry a request out as a command does, and again as one that comes after a death before the answer."""
    asked = Asked("id", request)
    text = carry_out(ledger, asked)
    assert carry_out(ledger, asked) == text
    return text


@pytest.mark.parametrize("request_", [*EVERY, ADDED], ids=lambda r: type(r).__name__)
def test_a_request_is_read_as_it_was_posted(ledger: Ledger, request_: Request) -> None:
    asked = post(ledger, request_)
    assert pending(Ledger.open(ledger.url, "s")) == [asked]
    assert asked.request == request_


def test_requests_are_read_in_their_order_until_they_are_answered(ledger: Ledger) -> None:
    asked = [post(ledger, request) for request in EVERY]
    assert pending(ledger) == asked
    answer(ledger, asked[0], Answer("It stops."))
    assert pending(ledger) == asked[1:]
    assert answer_to(ledger, asked[0]) == Answer("It stops.")
    assert answer_to(ledger, asked[1]) is None


def test_an_extended_sweep_hands_out_so_many_more(ledger: Ledger, space: SearchSpace) -> None:
    for _ in range(2):
        finish(ledger)
    assert not ledger.has_more
    assert done(ledger, Extend(trials=2)) == "2 more trials: 's' is to end with 4 trials."
    again = Ledger.open(ledger.url, "s", space)
    assert again.has_more
    assert [finish(again) for _ in range(2)] == [2, 3]
    assert again.next_trial() is None
    assert again.record.trials == again.trials_asked == 4
    assert [sweep.trials for sweep in Ledger.sweeps(ledger.url)] == [4]


def test_extending_changes_no_parameter_that_the_sampler_gives(tmp_path: Path, space: SearchSpace) -> None:
    """The number of trials that the sampler begins with depends on the number asked for: that of the beginning."""
    drawn = []
    for at_first, more in ((4, 4), (4, 8)):
        ledger = Ledger.create(f"sqlite:///{tmp_path}/{more}.db", "s", SearchSettings(trials=at_first), space)
        done(ledger, Extend(trials=more))
        drawn.append([ledger.next_trial() for _ in range(8)])
    assert [t and t.params for t in drawn[0]] == [t and t.params for t in drawn[1]]


def test_a_grid_is_extended_by_the_points_that_it_has_left(ledger_url: str) -> None:
    space = load_space({"rank": {"type": "choice", "values": [2, 4, 8]}})
    ledger = Ledger.create(ledger_url, "s", SearchSettings(trials=1, sampler="grid"), space, enqueue=[{"rank": 8}])
    with pytest.raises(RequestError, match=r"^The grid of 's' has only 2 more points, but 3 more trials were asked"):
        carry_out(ledger, Asked("a", Extend(trials=3)))
    assert ledger.trials_asked == 1
    assert done(ledger, Extend(trials=2)) == "2 more trials: 's' is to end with 3 trials."
    assert sorted(ledger.trial(finish(ledger)).params["rank"] for _ in range(3)) == [2, 4, 8]
    with pytest.raises(RequestError, match="has no more points"):
        carry_out(ledger, Asked("b", Extend(trials=1)))
    carry_out(ledger, Asked("c", AddTrial(params={"rank": 4})))  # by hand there is always one more
    assert ledger.trial(finish(ledger)).params == {"rank": 4}


def test_a_grid_has_a_point_for_a_trial_that_was_given_a_part_of_one(ledger_url: str) -> None:
    """It is handed out, and again to the next driver, with what its part of the space asks for."""
    space = load_space(
        {
            "scaling": {"type": "choice", "values": ["fixed", "alpha_over_rank"]},
            "alpha": {"type": "choice", "values": [8, 16], "when": {"scaling": "alpha_over_rank"}},
        }
    )
    given = {"scaling": "alpha_over_rank"}
    ledger = Ledger.create(ledger_url, "s", SearchSettings(trials=3, sampler="grid"), space, enqueue=[given])
    for _ in range(2):
        finish(ledger)
    added = done(ledger, AddTrial(params={"scaling": "fixed"}))
    assert added == "Trial 2 is added: 's' is to end with 4 trials."
    ledger.study.ask()  # and then the driver is killed
    again = Ledger.open(ledger_url, "s", space)
    params = [again.trial(finish(again)).params for _ in range(2)]
    assert params[0] == {"scaling": "fixed"}
    tried = [trial.params for trial in again.trials()]
    assert given.items() <= tried[0].items()
    assert all(point in tried for point in space.points())
    assert not again.has_more


def test_an_added_trial_keeps_what_was_given_and_draws_the_rest(ledger: Ledger) -> None:
    for _ in range(2):
        finish(ledger)
    assert done(ledger, AddTrial(params={"rank": 2})) == "Trial 2 is added: 's' is to end with 3 trials."
    trial = ledger.trial(finish(ledger))
    assert trial.params["rank"] == 2
    assert set(trial.params) == set(PARAMS)
    assert ledger.next_trial() is None


def test_failed_trials_are_tried_again_once(ledger: Ledger) -> None:
    assert [finish(ledger, state) for state in ("failed", "complete")] == [0, 1]
    assert done(ledger, Retry()) == "Trial to be tried again: 0 as 2."
    assert (ledger.trial(2).params, ledger.trial(2).retry_of, ledger.trials_asked) == (PARAMS, 0, 3)
    with pytest.raises(RequestError, match="no failed trial that was not tried again"):
        carry_out(ledger, Asked("b", Retry()))
    with pytest.raises(RequestError, match="Trial 0 of 's' is tried again already: trial 2 is waiting"):
        carry_out(ledger, Asked("b", Retry(numbers=(0,))))
    with pytest.raises(RequestError, match="Trial 1 of 's' is complete; only a failed trial"):
        carry_out(ledger, Asked("b", Retry(numbers=(1,))))
    assert finish(ledger, "failed") == 2
    assert carry_out(ledger, Asked("b", Retry())) == "Trial to be tried again: 2 as 3."  # not trial 0 besides
    assert len(ledger.trials()) == 4


@pytest.mark.parametrize("enqueued", [False, True])
def test_what_the_sweep_began_with_trains_to_its_end_unless_its_pruner_takes_it_like_the_rest(
    ledger_url: str, space: SearchSpace, enqueued: bool
) -> None:
    settings = SearchSettings(trials=3, pruner=PrunerSettings(enqueued=enqueued))
    ledger = Ledger.create(ledger_url, "s", settings, space, enqueue=[PARAMS])
    asked, sampled, other = (ledger.next_trial() for _ in range(3))
    assert asked and sampled and other
    for trial, value in ((sampled, 1.0), (asked, 99.0), (other, 98.0)):
        ledger.report(trial.number, 1, value)
    assert asked.to_the_end == (not enqueued)
    assert ledger.should_prune(asked.number, 1) == enqueued
    assert ledger.should_prune(other.number, 1)  # it was sampled


@pytest.mark.parametrize("may_prune", [False, True])
def test_an_added_trial_trains_to_its_end_unless_it_may_be_pruned_and_so_does_its_retry(
    ledger_url: str, space: SearchSpace, may_prune: bool
) -> None:
    ledger = Ledger.create(ledger_url, "s", SearchSettings(trials=1), space)
    finish(ledger)
    carry_out(ledger, Asked("a", AddTrial(params=PARAMS, may_prune=may_prune)))
    added = ledger.next_trial()
    assert added
    ledger.report(added.number, 1, 99.0)
    assert ledger.should_prune(added.number, 1) == may_prune
    ledger.tell(added.number, "failed")
    carry_out(ledger, Asked("b", Retry()))
    again = ledger.next_trial()
    assert again
    ledger.report(again.number, 1, 98.0)
    assert (again.retry_of, ledger.should_prune(again.number, 1)) == (added.number, may_prune)


def test_others_are_measured_by_a_trial_that_trains_to_its_end(ledger_url: str, space: SearchSpace) -> None:
    ledger = Ledger.create(ledger_url, "s", SearchSettings(trials=2), space, enqueue=[PARAMS])
    asked, sampled = ledger.next_trial(), ledger.next_trial()
    assert asked and sampled
    ledger.report(asked.number, 1, 1.0)
    ledger.report(sampled.number, 1, 2.0)
    assert ledger.should_prune(sampled.number, 1)


def test_a_trial_that_continues_another_has_its_own_epochs_and_is_not_pruned(
    ledger_url: str, space: SearchSpace
) -> None:
    """Its drawn parameters stay inside the space, for Optuna; the space knows no five epochs."""
    ledger = Ledger.create(ledger_url, "s", SearchSettings(trials=1), space, enqueue=[PARAMS])
    finish(ledger)
    done(ledger, AddTrial(params=PARAMS, epochs=5, continues=0))
    trial = ledger.next_trial()
    assert trial is not None
    assert (trial.drawn, trial.params) == (PARAMS, {**PARAMS, "epochs": 5})
    assert trial.config(TrialConfig.from_params).epochs == 5
    ledger.report(trial.number, 1, 99.0)
    assert not ledger.should_prune(trial.number, 1)
    carry_out(ledger, Asked("b", AddTrial(params=PARAMS, may_prune=True)))
    other = ledger.next_trial()
    assert other is not None
    ledger.report(other.number, 1, 98.0)
    assert ledger.should_prune(other.number, 1)


def test_nobody_is_measured_by_a_trial_that_continues_another(ledger_url: str, space: SearchSpace) -> None:
    """Its values are there already, under the number of the one that it continues."""
    ledger = Ledger.create(ledger_url, "s", SearchSettings(trials=2), space, enqueue=[PARAMS, PARAMS])
    finish(ledger)
    carry_out(ledger, Asked("a", AddTrial(params=PARAMS, epochs=5, continues=0)))
    other, longer = ledger.next_trial(), ledger.next_trial()
    assert other is not None
    assert longer is not None
    ledger.report(longer.number, 1, 0.5)
    ledger.report(other.number, 1, 1.0)
    assert not ledger.should_prune(other.number, 1)


@pytest.mark.parametrize(("state", "why"), [("failed", "sweeps retry"), (None, "only a finished trial")])
def test_only_a_finished_trial_trains_on(ledger: Ledger, state: Any, why: str) -> None:
    finish(ledger, state) if state else ledger.next_trial()
    with pytest.raises(RequestError, match=why):
        carry_out(ledger, Asked("a", AddTrial(params=PARAMS, epochs=5, continues=0)))
    with pytest.raises(NotFoundError, match=r"has no trial 7; its trials are 0 to 1\."):
        carry_out(ledger, Asked("a", AddTrial(params=PARAMS, epochs=5, continues=7)))
    assert len(ledger.trials()) == 2


@pytest.mark.parametrize("begun", [True, False])
def test_a_trial_that_nobody_trains_is_stopped_in_the_ledger(ledger: Ledger, space: SearchSpace, begun: bool) -> None:
    if begun:
        ledger.next_trial()
    reader = Ledger.open(ledger.url, "s")
    assert done(reader, StopTrial(number=0)) == "Trial 0 of 's' is stopped."
    assert (reader.trial(0).state, reader.trial(0).ended_because) == ("pruned", "stopped by hand")
    assert finish(Ledger.open(ledger.url, "s", space)) == 1
    with pytest.raises(RequestError, match="Trial 1 of 's' cannot be stopped: it is complete"):
        carry_out(reader, Asked("b", StopTrial(number=1)))


def test_who_stops_a_trial_hears_what_it_counts_with(driver: Driver) -> None:
    for number in range(2):
        driver.steering.next()
        driver.ledger.report(number, 1, 0.2601)
    counts = "It counts with val_loss 0.2601, that of its best epoch."
    assert driver.asks(StopTrial(number=0)) == Answer(f"Trial 0 of 's' is stopped. {counts}")
    assert [event.kept for event in driver.events if isinstance(event, TrialEnded)] == [0.2601]
    assert done(driver.ledger, StopTrial(number=1)) == f"Trial 1 of 's' is stopped. {counts}"


def test_a_complete_sweep_with_more_to_train_is_stopped(ledger: Ledger) -> None:
    for _ in range(2):
        finish(ledger)
    ledger.note_sweep(state="complete")
    refused = post(ledger, Retry())
    carry_out_pending(ledger)
    assert ledger.record.state == "complete"
    assert answer_to(ledger, refused) == Answer(
        "The sweep 's' has no failed trial that was not tried again.", refused=True
    )
    post(ledger, Extend(trials=1))
    carry_out_pending(ledger)
    assert ledger.record.state == "stopped"
    post(ledger, Pause())
    carry_out_pending(ledger)
    assert ledger.record.state == "paused"
    assert pending(ledger) == []


# ------------------------------------------------------------------------------------------------------------ the desk


class Driver:
    """A driver's desk and steering, without a Ray."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self.tracker = MemoryTracker()
        self.events: list[ProgressEvent] = []
        self.outbox = Outbox("test")
        run_id = self.tracker.open_sweep("s", spec_yaml="", tags={}, params={})
        configure: Callable[[Any], TrialConfig] = TrialConfig.from_params
        self.steering = Steering(
            ledger, self.tracker, self.outbox, run_id=run_id, configure=configure, emit=self.events.append
        )
        self.desk = Desk(ledger, self.steering, pending(ledger))
        self.run_id = run_id

    def asks(self, request: Request) -> Answer | None:
        asked = post(Ledger.open(self.ledger.url, "s"), request)
        self.desk.look()
        return answer_to(self.ledger, asked)


@pytest.fixture
def driver(ledger: Ledger) -> Driver:
    return Driver(ledger)


def test_a_running_sweep_hears_of_trials_that_it_had_no_more_of(driver: Driver) -> None:
    assert [driver.steering.next() is None for _ in range(3)] == [False, False, True]
    assert driver.asks(Extend(trials=1)) == Answer("1 more trial: 's' is to end with 3 trials.")
    assert [event.trials for event in driver.events if isinstance(event, SweepGrew)] == [3]
    assert driver.steering.next() is not None


def test_a_desk_closes_only_when_there_is_nothing_more_to_train(driver: Driver) -> None:
    assert not driver.desk.closes()
    for _ in range(2):
        driver.steering.next()
    post(driver.ledger, Extend(trials=1))
    assert not driver.desk.closes()
    assert driver.steering.next() is not None
    assert driver.desk.closes()
    assert driver.asks(Extend(trials=1)) is None  # whoever asks does it himself once the driver has ended


@pytest.mark.parametrize("begun", [True, False])
def test_a_trial_stopped_in_a_running_sweep_is_pruned_there_and_in_mlflow(driver: Driver, begun: bool) -> None:
    if begun:
        driver.steering.next()
    let_go: list[int] = []
    driver.steering.on_give_up = let_go.append
    assert driver.asks(StopTrial(number=0)) == Answer("Trial 0 of 's' is stopped.")
    assert let_go == [0]
    assert driver.steering.given_up == {0}
    driver.outbox.flush(10)
    assert [run.state for run in driver.tracker.trials(driver.run_id)] == ["pruned"]
    assert [(e.state, e.because) for e in driver.events if isinstance(e, TrialEnded)] == [("pruned", "stopped by hand")]
    handout = driver.steering.next()
    assert handout is not None
    assert handout.number == 1


def test_while_a_trial_waits_for_mlflow_a_sweep_ends_when_asked_and_does_all_else_later(driver: Driver) -> None:
    is_opening, answers = threading.Event(), threading.Event()
    open_trial = driver.tracker.open_trial

    def open_late(*args: Any, **options: Any) -> str:
        is_opening.set()
        answers.wait(60)
        return open_trial(*args, **options)

    driver.tracker.open_trial = open_late  # type: ignore[method-assign]  # an outage
    extended, stopped = (post(driver.ledger, request) for request in (Extend(trials=1), Stop()))
    with ThreadPoolExecutor() as threads:
        try:
            opened = threads.submit(hand_out, driver.steering)
            assert is_opening.wait(30)
            threads.submit(driver.desk.look).result(30)
            assert driver.steering.draining
            assert answer_to(driver.ledger, stopped) is not None
            assert answer_to(driver.ledger, extended) is None
        finally:
            answers.set()
        opened.result()
    driver.desk.look()
    assert answer_to(driver.ledger, extended) == Answer("1 more trial: 's' is to end with 3 trials.")


def hand_out(steering: Steering) -> None:
    """As Tune's loop does."""
    with steering.guarded():
        steering.next()


def test_what_a_running_sweep_cannot_do_is_answered_with_its_sentence(driver: Driver) -> None:
    refused = driver.asks(StopTrial(number=9))
    assert refused == Answer("The sweep 's' has no trial 9; its trials are 0 to 1.", refused=True)


def test_a_trial_that_continues_is_handed_out_with_the_run_it_begins_from(driver: Driver) -> None:
    first = driver.steering.next()
    assert first is not None
    assert first.checkpoint_run_id is None
    driver.ledger.tell(first.number, "complete", value=1.0)
    driver.steering.next()
    driver.asks(AddTrial(params=PARAMS, epochs=7, continues=first.number))
    handout = driver.steering.next()
    assert handout is not None
    assert (handout.checkpoint_run_id, handout.params["epochs"], handout.again) == (first.run_id, 7, False)
    driver.outbox.flush(10)
    assert driver.tracker.runs[handout.run_id].tags["sweep.continues"] == "0"


@pytest.mark.parametrize("request_", [Stop(), Pause(), Cancel()], ids=lambda r: type(r).__name__)
def test_a_sweep_is_told_to_end(driver: Driver, request_: Request) -> None:
    driver.steering.next()
    driver.asks(request_)
    assert driver.steering.next() is None
    assert driver.steering.draining
    assert driver.steering.pausing == isinstance(request_, Pause)
    assert driver.steering.is_over == isinstance(request_, Cancel)


def test_a_request_to_stop_dies_with_the_driver_that_it_was_meant_for(ledger: Ledger) -> None:
    for request in (Stop(), Cancel(), Pause(), Extend(trials=2)):
        post(ledger, request)
    driver = Driver(ledger)
    driver.desk.open()
    assert not driver.steering.draining
    assert driver.ledger.trials_asked == 4
    assert pending(driver.ledger) == []
