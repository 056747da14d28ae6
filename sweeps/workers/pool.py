"""The workers of a sweep: starts them, looks at them, and puts a new one in the place of one that is lost."""

from __future__ import annotations

import dataclasses
import threading
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, final

import ray
from ray.exceptions import GetTimeoutError, RayActorError

from sweeps.errors import WorkerError
from sweeps.host.accelerators import check_enough, kind_among
from sweeps.progress import WorkerStatus
from sweeps.workers.sharing import Share
from sweeps.workers.worker import Worker
from trainer.machine.host_memory import ENVIRONMENT

if TYPE_CHECKING:
    from sweeps.settings import ComputeSettings
    from sweeps.workers.engine import EngineFactory
    from sweeps.workers.recorder import TrackerFactory

ANSWER_S = 1.0
CLOSE_S = 60.0
LAST_NEWS_S = 30.0  # that a broken worker has at most to tell its trials why
MAX_REPLACEMENTS_IN_A_ROW = 3


@dataclass
class _Place:
    """One place in the pool, and the worker that holds it now.

    broke_at    when it was first seen broken, by the monotonic clock
    leaving     it is given back when it is vacant
    """

    worker: Any
    status: WorkerStatus
    slots: int
    replacements_in_a_row: int = 0
    question: Any = None
    is_placed: bool = False
    broke_at: float | None = None
    leaving: bool = False


@final
class WorkerPool:
    """Keeps `settings.workers` workers alive, or fewer while other sweeps need their part of a cluster.

    Args:
        settings: how many workers, and what each of them owns.
        engine_factory: builds an engine in a worker's process.
        tracker_factory: builds a tracker in a worker's process.
        sweep_run_id: where the machines' metrics go; None: they are not recorded.
    """

    def __init__(
        self,
        settings: ComputeSettings,
        engine_factory: EngineFactory,
        tracker_factory: TrackerFactory,
        sweep_run_id: str | None = None,
    ) -> None:
        self._settings = settings
        self._sweep_run_id = sweep_run_id
        self._resources = worker_resources(settings)
        self._factories = (engine_factory, tracker_factory)
        self.prefix = f"sweep-{uuid.uuid4().hex[:12]}-worker-"
        self._share = Share(self.prefix, settings, **_held(self._resources)) if settings.address else None
        self._started = 0
        self._draining = self._closed = False
        self._lock = threading.RLock()  # the monitor looks while Tune's loop releases, drains and closes
        self._past_slot_seconds = self._past_busy_slot_seconds = 0.0
        self._loaded: set[str] = set()
        self._places = [self._start(settings.slots) for _ in range(settings.workers)]

    def look(self) -> tuple[WorkerStatus, ...]:
        """Ask every worker how it is, without waiting for slow ones, and replace those that are lost or broken.

        Raises:
            WorkerError: a worker cannot be started, at first or again and again.
        """
        with self._lock:
            questions = [] if self._closed else [self._question(p) for p in self._places]
        if questions:
            ray.wait(questions, num_returns=len(questions), timeout=ANSWER_S)
        with self._lock:
            for place in [] if self._closed else self._places:
                self._take_answer(place)
            if self._share is not None and not (self._closed or self._draining):
                self._aim_at(self._share.ask(sum(p.is_placed for p in self._places)))
            return tuple(p.status for p in self._places)

    def slot_seconds(self) -> tuple[float, float]:
        """Slot-seconds of all workers so far, and those in which a trial trained."""
        total = self._past_slot_seconds + sum(p.status.slot_seconds for p in self._places)
        busy = self._past_busy_slot_seconds + sum(p.status.busy_slot_seconds for p in self._places)
        return total, busy

    def has_loaded(self, worker: str) -> bool:
        """Whether a worker, here or gone, was ever seen to have loaded its model: before, no trial has a slot in it."""
        return worker in self._loaded

    def release(self, worker: str, number: int) -> None:
        """Free a trial's slot at once, without waiting for the trial's own process to leave it."""
        with self._lock:
            for place in self._places:
                if place.status.worker == worker:
                    place.worker.let_go.remote(number)

    def let_go(self, number: int) -> None:
        """End a trial's training, wherever it is."""
        with self._lock:
            for place in self._places:
                place.worker.let_go.remote(number)

    def drain(self) -> None:
        """Let no more trials begin, and those that train end as soon as their checkpoints are stored."""
        with self._lock:
            self._draining = True
            for place in self._places:
                place.worker.drain.remote()

    def close(self, *, flush: bool) -> None:
        """End all workers, after they have written what they hold when `flush` is set."""
        with self._lock:
            self._closed = True
        if self._share is not None:
            self._share.leave()
        if flush:
            closing = [p.worker.close.remote(CLOSE_S) for p in self._places if p.status.state != "lost"]
            ray.wait(closing, num_returns=len(closing), timeout=2 * CLOSE_S) if closing else None
        for place in self._places:
            ray.kill(place.worker)

    # ------------------------------------------------------------------------------------------------------ private

    def _start(self, slots: int) -> _Place:
        name = f"{self.prefix}{self._started}"
        self._started += 1
        actor: Any = ray.remote(Worker)
        # Every trial may ask for its report at the same time, and the pool and attaching trials besides.
        threads = self._settings.concurrent_trials + 8
        options = {"name": name, "max_restarts": 0, "max_concurrency": threads, **self._resources}
        worker = actor.options(**options).remote(
            name,
            *self._factories,
            slots=slots,
            sweep_run_id=self._sweep_run_id,
            checkpoint_s=self._settings.checkpoint_s,
        )
        if self._draining:
            worker.drain.remote()
        return _Place(worker, WorkerStatus(worker=name, state="loading"), slots)

    def _aim_at(self, workers: int) -> None:
        """Ask for more workers, or let some go: first those that wait for a node, then those with the fewest trials."""
        staying = [place for place in self._places if not place.leaving]
        self._places += [self._start(self._settings.slots) for _ in range(workers - len(staying))]
        staying.sort(key=lambda place: (place.is_placed, len(place.status.taken)))
        for place in staying[: max(0, len(staying) - workers)]:
            place.leaving = True
            place.worker.vacate.remote()
        for place in [place for place in self._places if place.leaving]:
            if place.status.vacant or not place.is_placed:
                self._let_go(place)

    def _let_go(self, place: _Place) -> None:
        ray.kill(place.worker)
        self._places.remove(place)
        self._past_slot_seconds += place.status.slot_seconds
        self._past_busy_slot_seconds += place.status.busy_slot_seconds

    @staticmethod
    def _question(place: _Place) -> Any:
        if place.question is None:
            place.question = place.worker.status.remote()
        return place.question

    def _take_answer(self, place: _Place) -> None:
        try:
            status: WorkerStatus = ray.get(place.question, timeout=0)
        except GetTimeoutError:
            return  # busy, or not placed yet: ask again next time
        except RayActorError as error:
            gone = _gone(place.status, error)
            if place.leaving:  # as it was to be
                place.status = gone
            else:
                self._replace(place, gone)
            return
        place.question = None
        place.status, place.is_placed = status, True
        if status.load_seconds is not None:
            self._loaded.add(status.worker)
        if status.state == "broken" and not place.leaving:
            self._replace(place, status)
        elif status.state == "ready" and status.ticks:
            place.replacements_in_a_row = 0

    def _replace(self, place: _Place, status: WorkerStatus) -> None:
        """Put a new worker in the place of a lost or broken one, unless that will not help.

        A broken one is left until all its trials have heard what broke: of one that is gone they would hear only that
        it is, as if each of them had failed. What ran out of memory, or died more than once in a row, comes back with
        half the slots. What could not even load ends the sweep with the reason when it was among the first, since the
        next would fail as it did; a process that died, perhaps with its node, says nothing about the next.
        """
        fewer = status.out_of_memory and place.slots > 1
        could_not_load = status.state == "broken" and status.load_seconds is None
        if could_not_load and self._started <= self._settings.workers and not fewer:
            raise WorkerError(f"A worker could not be started: {status.error.rstrip('.')}.")
        if status.state == "broken" and not status.vacant:
            place.broke_at = place.broke_at or time.monotonic()
            if time.monotonic() - place.broke_at < LAST_NEWS_S:
                return
        place.replacements_in_a_row += not fewer
        if place.replacements_in_a_row > MAX_REPLACEMENTS_IN_A_ROW:
            raise WorkerError(
                f"A worker was lost {place.replacements_in_a_row} times in a row; the last time: {status.error}"
            )
        ray.kill(place.worker)
        self._past_slot_seconds += status.slot_seconds
        self._past_busy_slot_seconds += status.busy_slot_seconds
        if fewer or place.replacements_in_a_row > 1:
            place.slots = max(1, place.slots // 2)
        new = self._start(place.slots)
        place.worker, place.status = new.worker, new.status
        place.question, place.is_placed, place.broke_at = None, False, None


def worker_resources(settings: ComputeSettings) -> dict[str, Any]:
    """Return what one worker asks Ray for.

    Raises:
        WorkerError: the cluster does not have the accelerators that were asked for.
    """
    cluster: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]  # Ray has no types here
    kind, chips = kind_among(settings.accelerator, cluster), settings.chips
    if settings.address is None:
        check_enough(settings.accelerator, workers=settings.workers, chips=chips, have=cluster)
    cpus = _cores_each(settings) if kind == "cpu" else 1
    options: dict[str, Any] = {"num_cpus": cpus, "num_gpus": chips if kind == "gpu" else 0}
    options |= {"runtime_env": {"env_vars": ENVIRONMENT}} if kind == "cpu" else {}
    return options | ({"resources": {"TPU": chips}} if kind == "tpu" else {})


def _held(resources: Mapping[str, Any]) -> dict[str, Any]:
    """What a worker holds that other sweeps may want: the kind, and how much of it."""
    if gpus := resources["num_gpus"]:
        return {"kind": "GPU", "size": gpus}
    if tpus := resources.get("resources", {}).get("TPU"):
        return {"kind": "TPU", "size": tpus}
    return {"kind": "CPU", "size": resources["num_cpus"]}


def _cores_each(settings: ComputeSettings) -> int:
    """As many cores for each worker as all workers find on the nodes that are there now; at least one."""
    nodes: list[dict[str, Any]] = ray.nodes()  # type: ignore[no-untyped-call]
    cores = [int(node["Resources"].get("CPU", 0)) for node in nodes if node["Alive"]]
    fitting = (
        each for each in range(max(cores, default=1), 1, -1) if sum(n // each for n in cores) >= settings.workers
    )
    return next(fitting, 1)


def _gone(last: WorkerStatus, error: RayActorError) -> WorkerStatus:
    """Tell of a worker that is no more. Ray's account runs over a page: what it raised, or that its process died."""
    if error.actor_init_failed:
        raised = [line.strip() for line in str(error).splitlines() if line.strip()][-1]
        return dataclasses.replace(last, state="broken", error=raised, vacant=True)
    died = "its process died (killed, out of memory, or crashed)"
    return dataclasses.replace(last, state="lost", error=died, vacant=True)
