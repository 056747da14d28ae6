"""A token set as arrays on the device: rows to gather from, so that a step receives only row numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from trainer.dialogues.tokens import TokenSet
from trainer.machine.chips import Chips
from trainer.pack.order import MAX_BUCKETS, Buckets, make_buckets


class Rows(NamedTuple):
    """n examples, padded to the longest; `T` tokens and `L` targets.

    tokens     `(n, T)` int32
    lengths    `(n,)` int32: tokens that are not padding
    positions  `(n, L)` int32: where a target is predicted, one before the target itself
    places     `(n, T)` int32: the inverse, which target a position predicts, or L for none
    targets    `(n, L)` int32
    counts     `(n,)` int32: targets that are not padding
    """

    tokens: Any
    lengths: Any
    positions: Any
    places: Any
    targets: Any
    counts: Any


class Batch(NamedTuple):
    """Gathered and cut rows; absent ones have length and count 0. Shapes `(…, T)` or `(…, L)`."""

    tokens: Any
    padding_mask: Any
    positions: Any
    places: Any
    targets: Any
    weights: Any


@dataclass(frozen=True)
class DeviceSet:
    """A token set on the device with its length buckets; `bucket_targets` is the width L of each bucket."""

    name: str
    rows: Rows
    buckets: Buckets
    bucket_targets: tuple[int, ...]
    lengths: np.ndarray[Any, np.dtype[np.int32]]
    counts: np.ndarray[Any, np.dtype[np.int32]]
    text_bytes: int

    @property
    def target_count(self) -> int:
        """Targets in the whole set."""
        return int(self.counts.sum())


def put(tokens: TokenSet, chips: Chips, *, most_buckets: int = MAX_BUCKETS) -> DeviceSet:
    """Pad a token set and move it to all chips."""
    examples = tokens.examples
    lengths = np.array([len(example.token_ids) for example in examples], np.int32)
    counts = np.array([int(example.loss_mask.sum()) for example in examples], np.int32)
    buckets = make_buckets(lengths.tolist(), most=most_buckets)
    ids = np.zeros((len(examples), buckets.lengths[-1]), np.int32)
    positions = np.zeros((len(examples), int(counts.max())), np.int32)
    places = np.full_like(ids, positions.shape[1])
    targets = np.zeros_like(positions)
    for row, example in enumerate(examples):
        ids[row, : lengths[row]] = example.token_ids
        where = np.flatnonzero(example.loss_mask)
        positions[row, : counts[row]] = where - 1
        places[row, where - 1] = np.arange(counts[row])
        targets[row, : counts[row]] = example.token_ids[where]
    # A batch may hold rows of shorter buckets, so a bucket's width is that of all up to it.
    widest = np.maximum.accumulate([int(counts[members].max(initial=0)) for members in buckets.members])
    rows = jax.device_put(Rows(ids, lengths, positions, places, targets, counts), chips.everywhere)
    text_bytes = sum(example.text_bytes for example in examples)
    return DeviceSet(tokens.name, rows, buckets, tuple(int(width) for width in widest), lengths, counts, text_bytes)


def gather(rows: Rows, numbers: Any, length: int, width: int) -> Batch:
    """Take rows by number (negative: none), cut to `length` tokens and `width` targets."""
    present = numbers >= 0
    where = jnp.maximum(numbers, 0)
    lengths = jnp.where(present, rows.lengths[where], 0)
    counts = jnp.where(present, rows.counts[where], 0)
    return Batch(
        tokens=rows.tokens[where, :length],
        padding_mask=jnp.arange(length) < lengths[..., None],
        positions=jnp.minimum(rows.positions[where, :width], length - 1),
        places=jnp.where(present[..., None], rows.places[where, :length], width),
        targets=rows.targets[where, :width],
        weights=(jnp.arange(width) < counts[..., None]).astype(jnp.float32),
    )
