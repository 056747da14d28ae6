"""A trial as Ray Tune sees it: a light process that takes a seat in a worker, relays its reports, and leaves.

It holds no model and no checkpoint: when it dies, another takes its seat and the trial never notices; when the worker
dies, it takes a seat in another worker. The same process serves one trial after the other. One such process runs
per concurrent trial, and pays for every import: this class is therefore not a subclass of Tune's `Trainable` (a
second of processor time and 110 MB) but has the methods that Tune's loop calls. `driver.tuning` makes Tune take it.
"""

from __future__ import annotations

import os
import random
import time
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, final

import ray
from ray.exceptions import GetTimeoutError, RayActorError

from sweeps.workers.reports import LAST, Lost, Report, StillWaiting

if TYPE_CHECKING:
    from ray.tune import PlacementGroupFactory

REPORT_TIMEOUT_S = 20.0
ASK_TIMEOUT_S = 2.0
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.2, 5.0
HEAD = "node:__internal_head__"  # a resource that Ray's head alone has
HEAD_SHARE = 0.0001  # the least that can be asked for


@dataclass(frozen=True)
class _Seat:
    """A place in a worker's slots or line; `seat` is the name that this process chose for it."""

    worker: Any
    name: str
    seat: str


@final
class TrialClient:
    """Serves one trial at a time.

    Args:
        config: what the searcher suggested: `number`, `params`, `run_id`, whether it is trained `again`, the
            `checkpoint_run_id` of the trial that it continues, and `workers` (the prefix of their names).
        storage: Tune's, not used.
    """

    def __init__(self, config: dict[str, Any], storage: object = None) -> None:
        self._trial = config
        self._seat: _Seat | None = None
        self._results = 0

    @classmethod
    def default_resource_request(cls, config: dict[str, Any]) -> PlacementGroupFactory:
        """Nearly nothing, where the driver is: accelerators and cores belong to the workers, and nodes may go."""
        from ray.tune import PlacementGroupFactory

        return PlacementGroupFactory([{"memory": 1024.0**2, HEAD: HEAD_SHARE}])

    def train(self) -> dict[str, Any]:
        """Wait for the trial's next report; `done` when it is the last."""
        began = time.monotonic()
        report, worker = self._next_report()
        done = isinstance(report, LAST)
        if done or isinstance(report, Lost):
            self._leave()
            self._trial = {**self._trial, "again": True}
        self._results += 1
        tunes_own = {"training_iteration": self._results, "pid": os.getpid(), "node_ip": ""}
        return {
            "report": report,
            "worker": worker,
            "done": done,
            "time_this_iter_s": time.monotonic() - began,
        } | tunes_own

    def get_auto_filled_metrics(self, **_options: Any) -> dict[str, Any]:
        """Return what Tune notes about a trial's process."""
        return {"training_iteration": self._results, "pid": os.getpid(), "node_ip": ""}

    def reset(self, new_config: dict[str, Any], storage: object = None) -> bool:
        """Serve another trial."""
        self._leave()
        self._trial = new_config
        self._results = 0
        return True

    def stop(self) -> None:
        """Leave the worker; Tune then ends this process."""
        self._leave()

    def _next_report(self) -> tuple[Report, str]:
        while True:
            seat = self._seat = self._seat or _take_seat(self._trial)
            try:
                report = ray.get(seat.worker.next_report.remote(seat.seat, REPORT_TIMEOUT_S))
            except RayActorError as error:
                reason = f"its worker {seat.name} was lost"
                return Lost(key=seat.seat, reason=reason, preempted=bool(error.preempted)), seat.name
            if isinstance(report, StillWaiting):
                if _has_room_elsewhere(self._trial, seat):
                    self._leave()
            elif report is not None:
                return report, seat.name

    def _leave(self) -> None:
        if self._seat is not None:
            self._seat.worker.detach.remote(self._seat.seat)
            self._seat = None


def nothing(_value: object) -> None:
    """Stand in, in a trial's process, for what Tune sends there and nobody there uses."""


def _take_seat(trial: dict[str, Any]) -> _Seat:
    """Attach to the worker that has the trial already, or has the most room; stand in line only when none has any.

    Where there is no worker, on a cluster that is busy or has yet to grow, this waits: whether there will ever be one
    the driver knows, not a trial.
    """
    seat = f"{trial['number']}-{uuid.uuid4().hex[:8]}"
    pause = FIRST_PAUSE_S
    while True:
        rooms = _rooms(trial["workers"], trial["number"])
        for may_wait in (False, True):
            for _, _, name, worker in sorted(rooms, reverse=True):
                if _attach(worker, seat, trial, may_wait=may_wait):
                    return _Seat(worker, name, seat)
        pause = FIRST_PAUSE_S if rooms else min(2 * pause, LONGEST_PAUSE_S)
        time.sleep(pause)


def _has_room_elsewhere(trial: dict[str, Any], seat: _Seat) -> bool:
    """Whether another worker has a free slot: only then is it worth the place in line, and the checkpoint read anew."""
    return any(room > 0 for room, _, name, _ in _rooms(trial["workers"], trial["number"]) if name != seat.name)


def _rooms(prefix: str, number: int) -> list[tuple[int, float, str, Any]]:
    """All workers that answer, each with its room and a lot to draw between equals."""
    actors: list[dict[str, str]] = ray.util.list_named_actors(all_namespaces=True)
    names = [a for a in actors if a["name"].startswith(prefix)]
    rooms: list[tuple[int, float, str, Any]] = []
    for name in names:
        try:
            worker = ray.get_actor(name["name"], namespace=name["namespace"])
            room: Any = ray.get(worker.room.remote(number), timeout=ASK_TIMEOUT_S)
        except (ValueError, RayActorError, GetTimeoutError):
            continue  # gone, or not there yet
        rooms.append((room, random.random(), name["name"], worker))  # noqa: S311 - a lot, not a secret
    return rooms


def _attach(worker: Any, seat: str, trial: dict[str, Any], *, may_wait: bool) -> bool:
    described = {name: trial[name] for name in ("number", "params", "run_id", "again", "checkpoint_run_id")}
    try:
        return bool(ray.get(worker.attach.remote(seat, **described, may_wait=may_wait)))
    except RayActorError:
        return False
