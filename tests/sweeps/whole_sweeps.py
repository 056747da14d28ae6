"""Whole sweeps for tests: a real worker with the rehearsal engine, a real MLflow store, a real ledger."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from adapter_registry.runs.tracking import Tracker, TrialRun
from search_spaces import SearchSpace
from sweeps.driver.driver import SweepResult, run_sweep
from sweeps.ledger.ledger import Ledger
from sweeps.progress import ProgressEvent
from sweeps.settings import ComputeSettings, SearchSettings
from sweeps.workers.rehearsal import RehearsalEngine, RehearsalSettings
from trainer.events import Event

MARKS = [pytest.mark.ray, pytest.mark.slow, pytest.mark.timeout(300)]

# Few processes: each trial's costs a second of processor time.
ENGINE = RehearsalSettings(tick_s=0.003, steps_per_epoch=10)
COMPUTE = ComputeSettings(slots=2, spare_trials=0, poll_s=0.1)
GOOD = {"learning_rate": 1e-3, "rank": 8, "epochs": 3}
BAD = {"learning_rate": 0.09, "rank": 8, "epochs": 3}


@dataclass(frozen=True, kw_only=True)
class Held(RehearsalSettings):
    """Trials train one epoch, and no further until the file `gate` is there: the driver hears in time, always."""

    gate: Path
    tick_s: float = 0.02
    steps_per_epoch: int = 10

    def __call__(self, *, slots: int) -> RehearsalEngine:
        return _HeldEngine(self, slots)


class _HeldEngine(RehearsalEngine):
    def __init__(self, settings: Held, slots: int) -> None:
        super().__init__(settings, slots)
        self._gate = settings.gate

    def _advance(self, key: str) -> list[Event]:
        held = self._taken[key].step == self._settings.steps_per_epoch and not self._gate.exists()
        return [] if held else super()._advance(key)


@dataclass(frozen=True, kw_only=True)
class SlowToLoad(RehearsalSettings):
    """The model is not loaded before the file `gate` is there."""

    gate: Path

    def __call__(self, *, slots: int) -> RehearsalEngine:
        while not self.gate.exists():
            time.sleep(0.05)
        return super().__call__(slots=slots)


@dataclass(frozen=True, kw_only=True)
class NotForWorkers(RehearsalSettings):
    """A worker's process cannot even receive it."""

    def __reduce__(self) -> tuple[Any, ...]:
        return _refuse, ()


def _refuse() -> RehearsalSettings:
    raise ImportError("no module named 'gemma9'")


class Sweep:
    """One sweep: its ledger, its MLflow run, and what it told."""

    def __init__(self, name: str, url: str, space: SearchSpace, factory: Callable[[], Tracker], **search: Any) -> None:
        self.name = name
        self.url = url
        self.space = space
        self.factory = factory
        self.tracker = factory()
        self.events: list[ProgressEvent] = []
        self.react: Callable[[ProgressEvent], None] = lambda event: None
        enqueue: Sequence[dict[str, Any]] = search.pop("enqueue", ())
        Ledger.create(url, name, SearchSettings(**{"trials": 4, **search}), space, enqueue=enqueue)

    @property
    def ledger(self) -> Ledger:
        return Ledger.open(self.url, self.name, self.space)

    def run(
        self, engine: RehearsalSettings = ENGINE, compute: ComputeSettings = COMPUTE, **options: Any
    ) -> SweepResult:
        """Run it, or go on with it, as a new driver would."""
        self.run_id = self.tracker.open_sweep(self.name, spec_yaml="", tags={}, params={})
        return run_sweep(
            self.ledger,
            self.tracker,
            run_id=self.run_id,
            engine_factory=engine,
            tracker_factory=self.factory,
            compute=compute,
            on_event=self._hear,
            **options,
        )

    def runs(self) -> list[TrialRun]:
        return self.tracker.trials(self.run_id)

    def told(self, kind: type[Any]) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]

    def _hear(self, event: ProgressEvent) -> None:
        self.events.append(event)
        self.react(event)


Begin = Callable[..., Sweep]


def assert_ledger_and_mlflow_agree(sweep: Sweep) -> None:
    """Every trial has exactly one run, in the same state, and nothing is left running."""
    trials, runs = sweep.ledger.trials(), sweep.runs()
    assert [run.number for run in runs] == [trial.number for trial in trials]
    assert [run.run_id for run in runs] == [trial.run_id for trial in trials]
    assert [run.state for run in runs] == [trial.state for trial in trials]
    assert not {"waiting", "running"} & {trial.state for trial in trials}
