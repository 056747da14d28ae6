"""Scores on validation sets: loss per token, perplexity, accuracy and bits per byte."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from trainer.chips import Chips
from trainer.data_on_device import DeviceSet, put
from trainer.metrics import metric_name
from trainer.order import MAX_BUCKETS, EpochOrder
from trainer.sizes import evaluation_rows
from trainer.step import Programs, SlotState, Sums
from trainer.tokens import TokenSet

EXAMPLES_PER_BUCKET = 128


def put_for_evaluation(tokens: TokenSet, chips: Chips) -> DeviceSet:
    """Move a validation set to the chips; a bucket more, and so a program more, for every 128 examples."""
    buckets = len(tokens.examples) // EXAMPLES_PER_BUCKET
    return put(tokens, chips, most_buckets=min(MAX_BUCKETS, max(1, buckets)))


def evaluate(
    programs: Programs, weights: list[Any], state: SlotState, slots: NDArray[np.int32], sets: Mapping[str, DeviceSet]
) -> list[dict[str, float]]:
    """Evaluate some slots together on every validation set.

    Args:
        programs, weights: of the base model.
        state: of all slots.
        slots: which, as `Programs.evaluate` takes them.
        sets: by name.

    Returns:
        One dictionary of metrics for each slot.
    """
    metrics: list[dict[str, float]] = [{} for _ in slots]
    for name, data in sets.items():
        sums = _sum_set(programs, weights, state, slots, data)
        for index, found in enumerate(metrics):
            found.update(_metrics(name, float(sums.nll[index]), float(sums.correct[index]), data))
    return metrics


def _sum_set(programs: Programs, weights: list[Any], state: SlotState, slots: Any, data: DeviceSet) -> Sums:
    rows_at_once = evaluation_rows(data.buckets.lengths[-1], programs.tokens_per_pass)
    order = EpochOrder(data.buckets, min(rows_at_once, len(data.lengths)))
    parts = []
    for step, rows in zip(order.steps, order.rows(seed=0, epoch=0), strict=True):
        length, width = data.buckets.lengths[step.bucket], data.bucket_targets[step.bucket]
        numbers = jnp.asarray(rows)
        parts.append(programs.evaluate(weights, data.rows, state, numbers, slots, length=length, width=width))
    # The batches are added in float64 on the host: a large set would lose digits in float32.
    totals = [np.sum([np.asarray(getattr(part, name), np.float64) for part in parts], 0) for name in Sums._fields]
    return Sums(*totals)


def _metrics(name: str, nll: float, correct: float, data: DeviceSet) -> dict[str, float]:
    loss = nll / data.target_count
    bits = nll / math.log(2)
    return {
        metric_name(name, "loss"): loss,
        metric_name(name, "perplexity"): math.exp(loss) if loss < 700 else math.inf,
        metric_name(name, "accuracy"): correct / data.target_count,
        metric_name(name, "bits_per_byte"): bits / max(1, data.text_bytes),
    }
