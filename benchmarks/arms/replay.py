"""An engine that reads its trials' losses from a table of learning curves: a search can be repeated in seconds.

Everything else is real: the searcher, the ledger, the pruner and the driver, with Ray and MLflow around them.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.arms.curves import Curve, CurveTable
from trainer.errors import AdapterError, CapacityError
from trainer.events import Diverged, Evaluated, Event, Finished, Snapshot

if TYPE_CHECKING:
    from trainer.config import TrialConfig


@dataclass(frozen=True, kw_only=True)
class ReplaySettings:
    """Builds a `ReplayEngine` in the process that runs it: these settings are an engine factory.

    table       file of the curves
    spent       file that a line is added to for each trial that leaves its slot: {"key": …, "steps": …}
    tick_s      seconds that a packed step takes: a tenth of a real one's, so that a driver which answers a moment late,
                on a busy machine, costs a few steps as in a real pack, and not the rest of the trial
    settle_s    seconds that the first step after an evaluation takes: as in a real pack, where a step lasts about as
                long as the pruner's answer
    """

    table: str
    spent: str
    tick_s: float = 0.05
    settle_s: float = 0.3

    def __call__(self, *, slots: int) -> ReplayEngine:
        """Read the table, and return the engine."""
        return ReplayEngine(self, CurveTable.read(Path(self.table)), slots)


@dataclass
class _Slot:
    config: TrialConfig
    curve: Curve
    step: int = 0
    evaluations: int = 0

    @cached_property
    def losses(self) -> dict[int, float]:
        """Validation loss by step."""
        return dict(self.curve.losses)


class ReplayEngine:
    """An `Engine` whose slots all advance one step in a tick."""

    def __init__(self, settings: ReplaySettings, table: CurveTable, slots: int) -> None:
        self._settings = settings
        self._table = table
        self._slots = slots
        self._taken: dict[str, _Slot] = {}
        self._settles = False

    @property
    def base_metrics(self) -> Mapping[str, float]:
        """What the table knows of the base model."""
        return {"val_loss": self._table.base_loss}

    @property
    def slots(self) -> int:
        """Number of slots."""
        return self._slots

    @property
    def free_slots(self) -> int:
        """Number of free slots."""
        return self._slots - len(self._taken)

    @property
    def evaluation_due(self) -> bool:
        """Never: evaluations are part of a step."""
        return False

    def join(self, key: str, config: TrialConfig, checkpoint: bytes | None = None) -> tuple[Evaluated, ...]:
        """Take a slot for a trial that is in the table."""
        if self.free_slots == 0:
            raise CapacityError(f"No slot is free for trial {key}: all {self.slots} are taken.")
        if checkpoint is not None:
            raise AdapterError("A replayed trial always begins at its first step.")
        self._taken[key] = _Slot(config, self._table.find(config))
        return ()

    def checkpoint(self, key: str) -> Snapshot:
        """Return a snapshot that holds nothing: nobody goes on from it."""
        return Snapshot(self._taken[key].step, lambda: b"")

    def leave(self, key: str) -> None:
        """Free a slot, and note how many steps were spent in it."""
        slot = self._taken.pop(key, None)
        if slot is not None:
            with Path(self._settings.spent).open("a") as file:
                file.write(json.dumps({"key": key, "steps": slot.step}) + "\n")

    def tick(self) -> list[Event]:
        """Advance every slot by a step."""
        if not self._taken:
            return []
        time.sleep(self._settings.settle_s if self._settles else self._settings.tick_s)
        events: list[Event] = [event for key in list(self._taken) for event in self._advance(key)]
        self._settles = any(isinstance(event, Evaluated) for event in events)
        return events

    def _advance(self, key: str) -> list[Event]:
        slot = self._taken[key]
        if slot.step == slot.curve.steps_total:
            self.leave(key)
            return [Finished(key=key, step=slot.step)]
        slot.step += 1
        if slot.step == slot.curve.failed_at:
            self.leave(key)
            return [Diverged(key=key, step=slot.step, reason="the loss was not a finite number")]
        if slot.step not in slot.losses:
            return []
        slot.evaluations += 1
        return [
            Evaluated(
                key=key,
                step=slot.step,
                evaluation=slot.evaluations,
                evaluations_total=slot.curve.evaluations_total,
                epoch=slot.step * slot.config.epochs / slot.curve.steps_total,
                metrics={"val_loss": slot.losses[slot.step]},
            )
        ]
