"""One trial in its slot: where it stands in its data, and what it has yet to report."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from trainer.config import TrialConfig
from trainer.events import Evaluated
from trainer.pack.order import EpochOrder, Step


@dataclass
class Occupant:
    """A trial that trains in `slot`; mutable, owned by its pack.

    done          finished steps
    told          evaluations, in order
    epochs_ended  whose end was told
    losses        device arrays and the place of this trial's loss in each, not yet fetched
    tokens        useful tokens since the last report
    """

    key: str
    slot: int
    config: TrialConfig
    order: EpochOrder
    evaluations_per_epoch: int
    done: int = 0
    told: list[Evaluated] = field(default_factory=list)
    epochs_ended: int = 0
    losses: list[tuple[Any, int]] = field(default_factory=list)
    tokens: int = 0
    reported_at: float = field(default_factory=time.perf_counter)
    _rows: npt.NDArray[np.int32] | None = None
    _rows_epoch: int = -1

    @property
    def evaluations(self) -> int:
        """Evaluations done."""
        return len(self.told)

    @property
    def steps_per_epoch(self) -> int:
        """Optimiser steps in one pass over the training set."""
        return len(self.order.steps)

    @property
    def steps_total(self) -> int:
        """Optimiser steps of the whole trial."""
        return self.steps_per_epoch * self.config.epochs

    @property
    def evaluations_total(self) -> int:
        """Evaluations of the whole trial."""
        return self.evaluations_per_epoch * self.config.epochs

    @property
    def epoch(self) -> float:
        """Epochs done, with their fraction."""
        return self.done / self.steps_per_epoch

    @property
    def evaluation_due(self) -> bool:
        """Whether the next evaluation comes before the next step."""
        if self.evaluations >= self.evaluations_total:
            return False
        whole, part = divmod(self.evaluations + 1, self.evaluations_per_epoch)
        return self.done >= whole * self.steps_per_epoch + round(
            part * self.steps_per_epoch / self.evaluations_per_epoch
        )

    @property
    def epochs_trained(self) -> int:
        """Whole epochs done."""
        return self.done // self.steps_per_epoch

    @property
    def epoch_end_due(self) -> bool:
        """Whether the end of an epoch is to be told before the next evaluation or step."""
        return self.epochs_ended < self.epochs_trained

    @property
    def finished(self) -> bool:
        """Whether all steps and evaluations are done."""
        return self.done >= self.steps_total and self.evaluations >= self.evaluations_total

    @property
    def next_step(self) -> Step:
        """Bucket and phase of the next step."""
        return self.order.steps[self.done % self.steps_per_epoch]

    @property
    def next_rows(self) -> npt.NDArray[np.int32]:
        """Row numbers of the next step, `(batch_size,)`."""
        epoch, place = divmod(self.done, self.steps_per_epoch)
        if self._rows is None or self._rows_epoch != epoch:
            self._rows, self._rows_epoch = self.order.rows(self.config.seed, epoch), epoch
        row: npt.NDArray[np.int32] = self._rows[place]
        return row

    def fetch_losses(self) -> list[float]:
        """Losses of the steps since the last report."""
        return [float(np.asarray(array)[place]) for array, place in self.losses]
