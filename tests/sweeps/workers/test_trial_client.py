"""The trial's side of a worker: seats, reports, losses. The workers are Ray actors, the client runs in this process."""

from __future__ import annotations

import functools
import threading
import time
import uuid
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import ray

from adapter_registry.runs.memory_tracker import MemoryTracker
from sweeps.settings import ComputeSettings
from sweeps.workers.pool import WorkerPool
from sweeps.workers.rehearsal import RehearsalSettings
from sweeps.workers.reports import Lost, Scored, StillWaiting
from sweeps.workers.trial_client import TrialClient
from sweeps.workers.worker import Worker
from tests import services
from trainer.events import Finished

pytestmark = [pytest.mark.ray, pytest.mark.slow, pytest.mark.usefixtures("local_ray")]

QUICK = RehearsalSettings(tick_s=0.005, steps_per_epoch=10)
ENDLESS = replace(QUICK, steps_per_epoch=100_000)


def tracker() -> MemoryTracker:
    memory = MemoryTracker()
    sweep = memory.open_sweep("s", spec_yaml="", tags={}, params={})
    for number in range(9):
        memory.open_trial(sweep, "s", number, {})  # runs run0001 to run0009
    return memory


class Place:
    """A prefix, and the workers and clients under it."""

    def __init__(self, prefix: str | None = None, epochs: int = 1) -> None:
        self.epochs = epochs
        self.prefix = prefix or f"test-{uuid.uuid4().hex[:8]}-"
        self.workers: list[Any] = []

    def start(self, engine: RehearsalSettings = QUICK, **options: Any) -> Any:
        name = f"{self.prefix}{len(self.workers)}"
        actor: Any = ray.remote(Worker)
        options = {"slots": 2, **options}
        worker = actor.options(name=name, num_cpus=0, max_concurrency=16).remote(name, engine, tracker, **options)
        self.workers.append(worker)
        ray.get(worker.status.remote())
        return worker

    def client(self, number: int) -> TrialClient:
        return TrialClient(self.config(number))

    def config(self, number: int) -> dict[str, Any]:
        params = {"learning_rate": 1e-3, "rank": 8, "epochs": self.epochs}
        run_id = f"run{number + 1:04d}"
        config = {"number": number, "params": params, "run_id": run_id, "workers": self.prefix}
        return config | {"again": False, "checkpoint_run_id": None}


@pytest.fixture
def place() -> Iterator[Place]:
    place = Place()
    yield place
    for worker in place.workers:
        ray.kill(worker)


@pytest.fixture
def engine_that_breaks() -> Iterator[WorkerPool]:
    """A pool whose worker breaks a second after an evaluation, when that has long been recorded."""
    settings = ComputeSettings(slots=1, spare_trials=0)
    pool = WorkerPool(settings, RehearsalSettings(tick_s=0.05, steps_per_epoch=40, breaks_at_tick=60), tracker)
    yield pool
    pool.close(flush=False)


until = functools.partial(services.until, timeout_s=60, what="what the test waits for", pause_s=0.05)


def taken(worker: Any) -> set[int]:
    return {slot.number for slot in ray.get(worker.status.remote()).taken}


def test_a_client_relays_reports_and_frees_its_slot(place: Place) -> None:
    worker = place.start()
    client = place.client(0)
    evaluated, finished = client.train(), client.train()
    assert isinstance(evaluated["report"], Scored)
    assert (evaluated["done"], evaluated["worker"]) == (False, f"{place.prefix}0")
    assert isinstance(finished["report"], Finished)
    assert (finished["done"], finished["training_iteration"]) == (True, 2)
    until(lambda: ray.get(worker.room.remote()) == 2)


def test_a_worker_that_comes_late_is_found(place: Place) -> None:
    results: list[dict[str, Any]] = []
    thread = threading.Thread(target=lambda: results.append(place.client(0).train()))
    thread.start()
    time.sleep(0.5)
    assert not results
    place.start()
    thread.join(60)
    assert isinstance(results[0]["report"], Scored)


def test_clients_spread_over_the_workers(place: Place) -> None:
    """Two trials and two empty workers with two slots each: one trial in each."""
    workers = [place.start(ENDLESS), place.start(ENDLESS)]
    for worker in workers:
        until(lambda worker=worker: ray.get(worker.room.remote()) == 2)

    def hold(number: int) -> None:
        place.client(number).train()

    threads = [threading.Thread(target=hold, args=(number,)) for number in range(2)]
    for number, thread in enumerate(threads):
        thread.start()
        until(lambda number=number: any(number in taken(worker) for worker in workers))
    assert [len(taken(worker)) for worker in workers] == [1, 1]
    for worker in workers:
        ray.kill(worker)
    for thread in threads:
        thread.join(60)


@ray.remote
class FullWorker:
    """A worker whose line is long: it says so three times, and then that the trial has finished."""

    def __init__(self) -> None:
        self._asked = self._attached = 0

    def room(self, number: int) -> int:
        return 0

    def attach(self, seat: str, *, may_wait: bool, **_trial: Any) -> bool:
        self._attached += may_wait
        return may_wait

    def next_report(self, seat: str, timeout_s: float) -> StillWaiting | Finished:
        self._asked += 1
        return StillWaiting(key=seat) if self._asked <= 3 else Finished(key=seat, step=1)

    def detach(self, seat: str) -> None:
        """Hear that a trial leaves."""

    def attached(self) -> int:
        return self._attached


def test_a_client_in_line_keeps_its_place_while_there_is_no_room_elsewhere(place: Place) -> None:
    """A trial that leaves the line goes to its end, and its checkpoint is read once more."""
    workers: list[Any] = [
        FullWorker.options(name=f"{place.prefix}{i}", num_cpus=0).remote()  # type: ignore[attr-defined]
        for i in range(2)
    ]
    place.workers += workers
    for worker in workers:
        ray.get(worker.attached.remote())
    assert isinstance(place.client(0).train()["report"], Finished)
    assert sum(ray.get([worker.attached.remote() for worker in workers])) == 1


def test_a_client_in_line_goes_where_there_is_room(place: Place) -> None:
    full = place.start(ENDLESS, slots=1)
    threads = [threading.Thread(target=place.client(number).train) for number in range(2)]
    threads[0].start()
    until(lambda: taken(full) == {0})
    threads[1].start()
    until(lambda: ray.get(full.status.remote()).waiting == 1)
    place.start()
    threads[1].join(60)
    assert not threads[1].is_alive()
    assert taken(full) == {0}
    ray.kill(full)
    threads[0].join(60)


def test_a_client_that_serves_another_trial_leaves_the_first(place: Place) -> None:
    worker = place.start(replace(QUICK, steps_per_epoch=200, evaluations_per_epoch=20))
    client = place.client(0)
    client.train()
    assert taken(worker) == {0}
    assert client.reset(place.config(1))
    assert client.train()["training_iteration"] == 1
    assert taken(worker) == {1}
    client.stop()
    until(lambda: taken(worker) == set())


def test_a_lost_worker_is_told_and_the_trial_goes_on_in_another(place: Place) -> None:
    worker = place.start(ENDLESS)
    client = place.client(0)
    until(lambda: ray.get(worker.room.remote()) == 2)
    threading.Timer(0.5, lambda: ray.kill(worker)).start()
    result = client.train()
    assert isinstance(result["report"], Lost)
    assert not result["done"]
    assert result["report"].reason == f"its worker {place.prefix}0 was lost"
    assert not result["report"].preempted
    place.start()
    assert [type(client.train()["report"]) for _ in range(2)] == [Scored, Finished]


def test_a_client_that_was_held_up_until_its_seat_was_gone_goes_on(place: Place) -> None:
    """As all of them are while the driver waits for its ledger."""
    worker = place.start(replace(QUICK, tick_s=0.02, steps_per_epoch=400, evaluations_per_epoch=40), lease_s=2.0)
    client = place.client(0)
    assert isinstance(client.train()["report"], Scored)
    until(lambda: taken(worker) == set())
    lost = client.train()
    assert isinstance(lost["report"], Lost)
    assert (lost["done"], lost["report"].preempted) == (False, True)
    assert isinstance(client.train()["report"], Scored)
    client.stop()


def test_a_broken_worker_is_told_with_the_reason(place: Place) -> None:
    place.start(replace(ENDLESS, breaks_at_tick=5))
    report = place.client(0).train()["report"]
    assert isinstance(report, Lost)
    assert "break at tick 5" in report.reason


def test_a_broken_worker_is_replaced_once_its_trials_have_heard_the_reason(engine_that_breaks: WorkerPool) -> None:
    """They may ask late, when Tune's loop was held up; a worker that is gone says nothing of memory or of a line."""
    pool = engine_that_breaks
    client = Place(pool.prefix, epochs=9).client(0)
    assert isinstance(client.train()["report"], Scored)
    until(lambda: pool.look()[0].state == "broken")
    assert [pool.look()[0].worker for _ in range(3)] == [f"{pool.prefix}0"] * 3
    report = client.train()["report"]
    assert isinstance(report, Lost)
    assert (report.out_of_memory, "break at tick 60" in report.reason) == (0, True)
    until(lambda: pool.look()[0].worker == f"{pool.prefix}1")


def test_a_broken_worker_does_not_wait_for_ever_for_a_trial_that_never_asks(
    engine_that_breaks: WorkerPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool = engine_that_breaks
    monkeypatch.setattr("sweeps.workers.pool.LAST_NEWS_S", 1.0)
    assert isinstance(Place(pool.prefix, epochs=9).client(0).train()["report"], Scored)
    until(lambda: pool.look()[0].worker == f"{pool.prefix}1")


def test_the_next_client_of_a_trial_goes_on_where_it_trains(place: Place) -> None:
    """With another worker that is free: two workers on one trial would record everything twice."""
    workers = [place.start(replace(QUICK, tick_s=0.1))]
    first = place.client(0)
    assert isinstance(first.train()["report"], Scored)
    workers.append(place.start())
    until(lambda: ray.get(workers[1].room.remote()) == 2)
    second = place.client(0)
    assert [type(second.train()["report"]) for _ in range(2)] == [Scored, Finished]
    assert ray.get(workers[1].status.remote()).ticks == 0
