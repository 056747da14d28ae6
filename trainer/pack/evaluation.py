"""Scores on validation sets: loss per token, perplexity, accuracy and bits per byte."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator, Mapping
from typing import Any, final

import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from trainer.dialogues.tokens import TokenSet
from trainer.machine.chips import Chips
from trainer.metrics import metric_name
from trainer.pack.data_on_device import DeviceSet, put
from trainer.pack.order import MAX_BUCKETS, EpochOrder
from trainer.pack.sizes import evaluation_rows
from trainer.pack.step import Programs, SlotState, Sums

EXAMPLES_PER_BUCKET = 128


def put_for_evaluation(tokens: TokenSet, chips: Chips) -> DeviceSet:
    """Move a validation set to the chips; a bucket more, and so a program more, for every 128 examples."""
    buckets = len(tokens.examples) // EXAMPLES_PER_BUCKET
    return put(tokens, chips, most_buckets=min(MAX_BUCKETS, max(1, buckets)))


@final
class Evaluation:
    """Scores some slots on every validation set, batch by batch: whoever drives it can do other things between two.

    Args:
        programs, weights: of the base model.
        slots: which, as `Programs.evaluate` takes them.
        sets: by name.
    """

    def __init__(
        self, programs: Programs, weights: list[Any], slots: NDArray[np.int32], sets: Mapping[str, DeviceSet]
    ) -> None:
        self._programs, self._weights, self._slots, self._sets = programs, weights, slots, sets
        self._sums: dict[str, list[Sums]] = {name: [] for name in sets}
        self._batches = deque(
            (name, bucket, numbers) for name, data in sets.items() for bucket, numbers in self._batches_of(data)
        )

    @property
    def batches_left(self) -> int:
        """Batches that are still to be scored."""
        return len(self._batches)

    def score_batch(self, state: SlotState) -> Sums:
        """Begin to score the next batch.

        Args:
            state: of all slots.

        Returns:
            What will have been computed, of shape `(slots,)`.
        """
        name, bucket, numbers = self._batches.popleft()
        data = self._sets[name]
        length, width = data.buckets.lengths[bucket], data.bucket_targets[bucket]
        sums: Sums = self._programs.evaluate(
            self._weights, data.rows, state, jnp.asarray(numbers), self._slots, length=length, width=width
        )
        self._sums[name].append(sums)
        return sums

    def metrics(self) -> list[dict[str, float]]:
        """One dictionary for each of `slots`, of all batches that were scored."""
        metrics: list[dict[str, float]] = [{} for _ in self._slots]
        for name, parts in self._sums.items():
            # The batches are added in float64 on the host: a large set would lose digits in float32.
            nll, correct = (
                np.sum([np.asarray(each, np.float64) for each in sums], 0) for sums in zip(*parts, strict=True)
            )
            for index, found in enumerate(metrics):
                found.update(_metrics(name, float(nll[index]), float(correct[index]), self._sets[name]))
        return metrics

    def _batches_of(self, data: DeviceSet) -> Iterator[tuple[int, NDArray[np.int32]]]:
        """Bucket and row numbers of each batch of a set."""
        rows_at_once = evaluation_rows(data.buckets.lengths[-1], self._programs.tokens_per_pass)
        order = EpochOrder(data.buckets, min(rows_at_once, len(data.lengths)))
        for step, rows in zip(order.steps, order.rows(seed=0, epoch=0), strict=True):
            yield step.bucket, rows


def _metrics(name: str, nll: float, correct: float, data: DeviceSet) -> dict[str, float]:
    loss = nll / data.target_count
    bits = nll / math.log(2)
    return {
        metric_name(name, "loss"): loss,
        metric_name(name, "perplexity"): math.exp(loss) if loss < 700 else math.inf,
        metric_name(name, "accuracy"): correct / data.target_count,
        metric_name(name, "bits_per_byte"): bits / max(1, data.text_bytes),
    }
