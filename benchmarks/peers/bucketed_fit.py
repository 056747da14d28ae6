"""`fit` with length buckets: the same model, optimiser and loss as `KerasFit`, but batches padded as ours are."""

from __future__ import annotations

from typing import Any

import grain  # type: ignore[import-untyped]  # it ships no types
import numpy as np
import numpy.typing as npt

from benchmarks.peers.keras_fit import EVALUATION_ROWS, KerasFit, PaddedSet
from trainer.dialogues.tokens import TokenSet
from trainer.pack.order import MAX_BUCKETS, NO_ROW, EpochOrder, make_buckets


class BucketedFit(KerasFit):
    """One trial, in the order and with the padding of `trainer.pack.order`.

    Args:
        causal_lm: as `KerasFit` takes it.
        train, validation: the sets.
        batch_size: dialogues per step.
        seed: of the first values and the data order.
        options: others of `KerasFit`.
    """

    def __init__(
        self,
        causal_lm: Any,
        *,
        train: TokenSet,
        validation: TokenSet,
        batch_size: int,
        seed: int,
        **options: Any,
    ) -> None:
        super().__init__(causal_lm, train=train, validation=validation, batch_size=batch_size, seed=seed, **options)
        self._train_order = EpochOrder(make_buckets(self._train.lengths.tolist()), batch_size)
        # The trainer's rule: a bucket for every four batches of a validation set.
        rows = min(EVALUATION_ROWS, len(validation.examples))
        padded = PaddedSet.of(validation, options["pad_to"])
        most = min(MAX_BUCKETS, max(1, len(validation.examples) // EVALUATION_ROWS // 4))
        self._validation_order = EpochOrder(make_buckets(padded.lengths.tolist(), most=most), rows)
        self._padded_validation = padded
        self._seed, self._epochs = seed, 0

    def epoch(self) -> float:
        """Train on all dialogues once; the mean loss per target."""
        batches = _Batches(self._train, self._train_order, self._seed, self._epochs)
        self._epochs += 1
        history = self._causal_lm.fit(grain.MapDataset.source(batches), shuffle=False, verbose=0)
        return float(history.history["loss"][-1])

    def validation_loss(self) -> float:
        """Negative log-likelihood per target of the validation set, in nats."""
        batches = _Batches(self._padded_validation, self._validation_order, 0, 0)
        return float(self._causal_lm.evaluate(grain.MapDataset.source(batches), verbose=0))


class _Batches:
    """The batches of one epoch, each cut to the length of its bucket."""

    def __init__(self, data: PaddedSet, order: EpochOrder, seed: int, epoch: int) -> None:
        self._data = data
        self._rows: npt.NDArray[np.int32] = order.rows(seed, epoch)
        self._lengths = [order.buckets.lengths[step.bucket] for step in order.steps]

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: int) -> tuple[Any, Any, Any]:
        data, length = self._data, self._lengths[index]
        rows = self._rows[index][self._rows[index] != NO_ROW]
        x = {"token_ids": data.ids[rows, :length], "padding_mask": data.mask[rows, :length]}
        # Keras takes the mean over all positions of a batch: of shorter batches there are fewer.
        weights = data.weights[rows, :length] * np.float32(length / data.ids.shape[1])
        return x, data.targets[rows, :length], weights
