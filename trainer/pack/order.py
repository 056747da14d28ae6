"""The order of a trial's batches: grouped by length, a function of the data, the batch size and the seed alone.

Examples are put into a few length buckets, so that a batch is padded to its bucket's length and no further. All
trials with the same batch size visit the buckets in the same repeating cycle of phases; the seed decides which
examples of a bucket make up which batch. Trials that train together can therefore be in the same phase, and then
share a compiled step, although none of them knows of the others.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

MAX_BUCKETS = 8
MAX_PHASES = 16
LENGTH_MULTIPLE = 4
PADDING_WANTED = 0.08
NO_ROW = -1


@dataclass(frozen=True)
class Buckets:
    """Length buckets of a data set.

    lengths     padded length of each bucket in tokens, ascending
    members     row numbers of each bucket
    """

    lengths: tuple[int, ...]
    members: tuple[npt.NDArray[np.int64], ...]


def make_buckets(lengths: Sequence[int], *, most: int = MAX_BUCKETS) -> Buckets:
    """Choose the fewest buckets, each a compiled step more, that leave at most 8% of the tokens to padding.

    Lengths are multiples of 4, and the best for their number, found by dynamic programming. Where even `most` buckets
    leave more padding, they are the best of that number.

    Args:
        lengths: tokens of each example; at least one example.
        most: the largest number of buckets, at least 1.
    """
    exact = np.asarray(lengths, dtype=np.int64)
    rounded = -(-exact // LENGTH_MULTIPLE) * LENGTH_MULTIPLE
    candidates, counts = np.unique(rounded, return_counts=True)
    for number in range(1, most + 1):
        chosen = _cheapest_cuts(candidates, counts, number)
        padded = np.asarray(chosen)[np.searchsorted(chosen, rounded)]
        if exact.sum() >= (1 - PADDING_WANTED) * padded.sum():
            break
    which = np.searchsorted(np.asarray(chosen), rounded)
    members = tuple(np.flatnonzero(which == bucket) for bucket in range(len(chosen)))
    return Buckets(tuple(int(length) for length in chosen), members)


def _cheapest_cuts(candidates: npt.NDArray[np.int64], counts: npt.NDArray[np.int64], most: int) -> list[int]:
    """Of ascending candidate lengths, the at most `most` that hold all examples in the fewest padded tokens."""
    total = np.concatenate([[0], np.cumsum(counts)])
    size = len(candidates)
    cost = np.full((most + 1, size + 1), np.inf)
    cost[:, 0] = 0
    start = np.zeros((most + 1, size + 1), dtype=np.int64)
    for used in range(1, most + 1):
        for end in range(1, size + 1):
            options = cost[used - 1, :end] + (total[end] - total[:end]) * candidates[end - 1]
            start[used, end] = int(np.argmin(options))
            cost[used, end] = options[start[used, end]]
    cuts, end, used = [], size, most
    while end > 0:
        cuts.append(int(candidates[end - 1]))
        end, used = int(start[used, end]), used - 1
    return cuts[::-1]


@dataclass(frozen=True)
class Step:
    """One place in the order: which bucket, and its phase in the cycle."""

    bucket: int
    phase: int


@dataclass(frozen=True)
class EpochOrder:
    """The order of one epoch for one batch size; the same for every epoch and every trial, but for the rows."""

    buckets: Buckets
    batch_size: int

    @cached_property
    def batches(self) -> tuple[int, ...]:
        """Batches of each bucket: full ones, and what is left over moves on to the next longer bucket."""
        carried, batches = 0, []
        for members in self.buckets.members:
            full, carried = divmod(len(members) + carried, self.batch_size)
            batches.append(full)
        if carried:
            batches[-1] += 1
        return tuple(batches)

    @cached_property
    def phases(self) -> tuple[int, ...]:
        """The bucket of each phase of the cycle: in proportion to their batches, evenly spread."""
        steps = sum(self.batches)
        wanted = min(MAX_PHASES, steps)
        shares = [max(1, round(wanted * count / steps)) if count else 0 for count in self.batches]
        spread = [((j + 0.5) / share, bucket) for bucket, share in enumerate(shares) for j in range(share)]
        return tuple(bucket for _, bucket in sorted(spread))

    @cached_property
    def steps(self) -> tuple[Step, ...]:
        """The steps of an epoch. Where a bucket has fewer batches than phases, it sits some cycles out."""
        slots = [[phase for phase, b in enumerate(self.phases) if b == bucket] for bucket in range(len(self.batches))]
        cycles = max(-(-count // len(own)) for count, own in zip(self.batches, slots, strict=True) if count)
        placed: list[tuple[int, int, int]] = []
        for bucket, (count, own) in enumerate(zip(self.batches, slots, strict=True)):
            places = cycles * len(own)
            taken = (place for place in range(places) if (place + 1) * count // places > place * count // places)
            placed += [(place // len(own), own[place % len(own)], bucket) for place in taken]
        return tuple(Step(bucket, phase) for _, phase, bucket in sorted(placed))

    def rows(self, seed: int, epoch: int) -> npt.NDArray[np.int32]:
        """Row numbers of each step of an epoch, `(steps, batch_size)`; `NO_ROW` fills the one short batch.

        Args:
            seed: the trial's.
            epoch: from 0.
        """
        rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence((seed, epoch, 0x0DE5))))
        carried = np.empty(0, np.int64)
        queues: list[list[npt.NDArray[np.int64]]] = []
        for members, count in zip(self.buckets.members, self.batches, strict=True):
            shuffled = rng.permutation(np.concatenate([carried, members]))
            taken, carried = np.split(shuffled, [min(count * self.batch_size, len(shuffled))])
            padded = np.full(count * self.batch_size, NO_ROW)
            padded[: len(taken)] = taken
            queues.append(list(padded.reshape(count, self.batch_size))[::-1])
        return np.stack([queues[step.bucket].pop() for step in self.steps]).astype(np.int32)

    @property
    def filled_buckets(self) -> tuple[int, ...]:
        """The buckets that have steps."""
        return tuple(sorted(set(self.phases)))

    @property
    def computed_tokens(self) -> int:
        """Tokens that an epoch computes, padding included."""
        return sum(
            count * length * self.batch_size for count, length in zip(self.batches, self.buckets.lengths, strict=True)
        )
