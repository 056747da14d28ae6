"""An engine with a stopwatch: when trials joined and finished, how full the slots were, what was compiled when."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sweeps.workers.engine import Engine, EngineFactory
    from trainer.config import TrialConfig
    from trainer.events import Evaluated, Event, Snapshot


@dataclass
class Watch:
    """Times in seconds since the engine was asked for.

    built           when it could take trials
    first_join      when the first trial joined; `last_join` the last one, `last_end` when the last one left
    slot_seconds    of all slots from the first join to the last, while trials wait; `busy_slot_seconds` of taken ones
    compilations    (when, how long, of what) for each program that was compiled or read from the cache
    steps           packed ones; `evaluations` of all that were due in a moment
    """

    built: float = 0.0
    first_join: float | None = None
    last_join: float = 0.0
    last_end: float = 0.0
    slot_seconds: float = 0.0
    busy_slot_seconds: float = 0.0
    compilations: list[tuple[float, float, str]] = field(default_factory=list)
    steps: int = 0
    evaluations: int = 0


@dataclass(frozen=True, kw_only=True)
class WatchedFactory:
    """An engine factory around another; `log` is the file that the watch is written to whenever a trial ends."""

    inner: EngineFactory
    log: str

    def __call__(self, *, slots: int) -> WatchedEngine:
        """Build the engine, with the watch running."""
        from benchmarks.instruments.compilations import listen

        began, watch = time.perf_counter(), Watch()
        listen(lambda program: watch.compilations.append((time.perf_counter() - began, program.seconds, program.name)))
        engine = self.inner(slots=slots)
        watch.built = time.perf_counter() - began
        return WatchedEngine(engine, watch, began, Path(self.log))


class WatchedEngine:
    """An `Engine` that passes everything on."""

    def __init__(self, engine: Engine, watch: Watch, began: float, log: Path) -> None:
        self._engine = engine
        self.watch = watch
        self._began = began
        self._log = log
        self._since_join = (0.0, 0.0)  # slot-seconds since the last join count only if another trial joins
        self._last = 0.0

    @property
    def slots(self) -> int:
        """Number of slots."""
        return self._engine.slots

    @property
    def free_slots(self) -> int:
        """Number of free slots."""
        return self._engine.free_slots

    @property
    def evaluation_due(self) -> bool:
        """Whether trials are to be evaluated."""
        return self._engine.evaluation_due

    @property
    def base_metrics(self) -> Mapping[str, float]:
        """Metrics of the base model."""
        return self._engine.base_metrics

    def join(self, key: str, config: TrialConfig, checkpoint: bytes | None = None) -> Sequence[Evaluated]:
        """Take a slot."""
        watch = self.watch
        watch.last_join = self._count()
        watch.first_join = watch.last_join if watch.first_join is None else watch.first_join
        watch.slot_seconds += self._since_join[0]
        watch.busy_slot_seconds += self._since_join[1]
        self._since_join = (0.0, 0.0)
        return self._engine.join(key, config, checkpoint)

    def checkpoint(self, key: str) -> Snapshot:
        """Hold fast where a trial is."""
        return self._engine.checkpoint(key)

    def leave(self, key: str) -> None:
        """Free a slot."""
        free = self.free_slots
        self._count()
        self._engine.leave(key)
        if self.free_slots > free:
            self._write()

    def tick(self) -> list[Event]:
        """Do one tick."""
        from trainer.events import Diverged, Evaluated, Finished, Progress

        self._count()
        is_step = not self.evaluation_due
        events = self._engine.tick()
        self.watch.steps += is_step and all(isinstance(event, Progress | Diverged) for event in events)
        self.watch.evaluations += any(isinstance(event, Evaluated) for event in events) and not self.evaluation_due
        ended = sum(isinstance(event, Finished | Diverged) for event in events)
        self._count(also=ended)
        if ended:
            self._write()
        return events

    def _count(self, *, also: int = 0) -> float:
        """Add the time since the last call; `also` slots were taken in it that are free now. Returns the time."""
        now = time.perf_counter() - self._began
        if self.watch.first_join is not None:
            passed = now - self._last
            taken = self.slots - self.free_slots + also
            self._since_join = (
                self._since_join[0] + passed * self.slots,
                self._since_join[1] + passed * taken,
            )
        self._last = now
        return now

    def _write(self) -> None:
        self.watch.last_end = time.perf_counter() - self._began
        self._log.write_text(json.dumps(asdict(self.watch)))


@dataclass(frozen=True)
class Watched:
    """What a watch has seen, read back.

    training_s       first join → last finish
    building_s       of the engine: loading, compiling, scoring the base model
    occupancy        part of the slots' time that was taken, first join → last join (while trials wait)
    compiled_late    programs that were compiled, or read from the cache, after the first join; and how long it took
    steps            packed ones; `evaluations` of all that were due in a moment
    """

    training_s: float
    building_s: float
    occupancy: float | None
    compiled_late: list[tuple[float, float, str]]
    steps: int
    evaluations: int

    @classmethod
    def read(cls, log: Path) -> Watched:
        """Read a watch's file."""
        found: dict[str, Any] = json.loads(log.read_text())
        first = found["first_join"]
        occupancy = found["busy_slot_seconds"] / found["slot_seconds"] if found["slot_seconds"] else None
        late = [(at - first, took, what) for at, took, what in found["compilations"] if at > first]
        return cls(
            training_s=found["last_end"] - first,
            building_s=found["built"],
            occupancy=occupancy,
            compiled_late=late,
            steps=found["steps"],
            evaluations=found["evaluations"],
        )
