"""How many workers each of several sweeps on one cluster may have, when there are not enough accelerators for all.

One actor of the cluster hears from every driver what it wants and has, and answers how many workers it should have.
Ray gives accelerators to whoever asks first; here who came late gets its share, in proportion to its priority.
"""

from __future__ import annotations

import time
from collections import defaultdict, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, final

if TYPE_CHECKING:
    from sweeps.settings import ComputeSettings

NAME, NAMESPACE = "shares-1", "gemma-sweeps"  # the number is that of what is said to it
SILENT_S = 30.0  # a driver that has not asked for so long is gone
PATIENCE_S = 60.0  # time for a cluster to grow, before anybody has to give something back
MEMORY_S = 120.0  # what one has given back and another not yet taken is still there to be divided


@dataclass(frozen=True, kw_only=True)
class Want:
    """What one sweep wants and has.

    kind       of what its workers hold: `GPU`, `TPU` or `CPU`
    size       how much of it each worker holds
    priority   weight of the sweep
    workers    that it wants
    placed     that it has: those that are on a node, whether they train yet or not
    """

    kind: str
    size: int
    priority: int
    workers: int
    placed: int


@dataclass
class _Heard:
    want: Want
    at: float
    hungry_since: float | None = None


@final
class Shares:
    """What all drivers of a cluster have said; a Ray actor, but for tests.

    Args:
        patience_s: how long a sweep may have less than its share before others give something back.
        clock: seconds.
    """

    def __init__(self, patience_s: float = PATIENCE_S, clock: Callable[[], float] = time.monotonic) -> None:
        self._patience_s = patience_s
        self._clock = clock
        self._heard: dict[str, _Heard] = {}
        self._units: dict[str, deque[tuple[float, int]]] = defaultdict(deque)

    def ask(self, sweep: str, want: Want) -> int:
        """Hear what a sweep wants and has; the number of workers that it should have now."""
        now = self._clock()
        before = self._heard.get(sweep)
        self._heard[sweep] = _Heard(want, now, before.hungry_since if before else None)
        self._heard = {name: heard for name, heard in self._heard.items() if now - heard.at < SILENT_S}
        rivals = {name: heard for name, heard in self._heard.items() if heard.want.kind == want.kind}
        wants = {name: heard.want for name, heard in rivals.items()}
        fair = shares(wants, self._there(want.kind, sum(each.placed * each.size for each in wants.values())))
        for name, heard in rivals.items():
            if wants[name].placed >= fair[name]:
                heard.hungry_since = None
            elif heard.hungry_since is None:
                heard.hungry_since = now
        starving = any(
            heard.hungry_since is not None and now - heard.hungry_since >= self._patience_s for heard in rivals.values()
        )
        if not starving or rivals[sweep].hungry_since is not None:
            return want.workers
        # Nothing of what others are to get may be asked for here, or it would come back at once.
        return min(want.placed, fair[sweep])

    def leave(self, sweep: str) -> None:
        """Forget a sweep whose driver ends."""
        self._heard.pop(sweep, None)

    def _there(self, kind: str, units: int) -> int:
        """The most of a kind that all together had lately."""
        seen = self._units[kind]
        seen.append((self._clock(), units))
        while seen[0][0] < self._clock() - MEMORY_S:
            seen.popleft()
        return max(each for _, each in seen)


def shares(wants: Mapping[str, Want], units: int) -> dict[str, int]:
    """Divide so many accelerators by the priorities of sweeps; workers for each.

    Nobody gets more than it wants. What cannot be divided evenly goes, of equals, to who has it: nothing is moved for
    nothing.
    """
    given = dict.fromkeys(wants, 0)
    while True:
        open_to = {n: w for n, w in wants.items() if given[n] < w.workers and w.size <= units}
        if not open_to:
            return given
        # Who has the least for its priority is next: the highest averages of d'Hondt, in units of the accelerator.
        name = min(open_to, key=lambda n: ((given[n] + 1) * wants[n].size / wants[n].priority, -wants[n].placed, n))
        given[name] += 1
        units -= wants[name].size


@final
class Share:
    """A driver's side: asks the cluster's actor, without waiting long for an answer.

    Args:
        sweep: a name of this run of the driver.
        settings: of the sweep.
        kind: of what its workers hold.
        size: how much of it each of them holds.
    """

    def __init__(self, sweep: str, settings: ComputeSettings, *, kind: str, size: int) -> None:
        self._sweep = sweep
        self._settings = settings
        self._kind, self._size = kind, size
        self._actor: Any = None
        self._question: Any = None
        self._aim = settings.workers

    def ask(self, placed: int) -> int:
        """Say how many workers are on nodes; how many there should be, as far as is known by now."""
        import ray
        from ray.exceptions import GetTimeoutError, RayError

        try:
            if self._question is None:
                want = Want(
                    kind=self._kind,
                    size=self._size,
                    priority=self._settings.priority,
                    workers=self._settings.workers,
                    placed=placed,
                )
                self._question = self._reach().ask.remote(self._sweep, want)
            self._aim = ray.get(self._question, timeout=0)
            self._question = None
        except GetTimeoutError:
            pass
        except RayError:  # it died with its node: the next question starts another
            self._actor = self._question = None
        return self._aim

    def leave(self) -> None:
        """Say that the sweep needs nothing any more."""
        if self._actor is not None:
            self._actor.leave.remote(self._sweep)

    def _reach(self) -> Any:
        import ray

        from sweeps.workers.trial_client import HEAD, HEAD_SHARE

        if self._actor is None:
            options = {"name": NAME, "namespace": NAMESPACE, "get_if_exists": True, "lifetime": "detached"}
            where = {"num_cpus": 0, "resources": {HEAD: HEAD_SHARE}, "max_restarts": -1}
            self._actor = ray.remote(Shares).options(**options, **where).remote()
        return self._actor
