"""Stock KerasHub: one model, `enable_lora`, AdamW and `fit`, as the notebook trains, with its rough edges smoothed.

The tokens are made once and not in every epoch, the step is compiled, no metric but the loss is kept, and the prompt
is masked by sample weights. KerasHub can enable LoRA only once per model: every trial needs a new one.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from trainer.config import Targets
from trainer.dialogues.tokens import TokenSet
from trainer.lora.sites import TARGET_LAYERS
from trainer.machine.keras_backend import keras

Numbers = npt.NDArray[np.integer[Any]]

EVALUATION_ROWS = 32  # Keras's default, and the trainer's


@dataclass(frozen=True)
class PaddedSet:
    """A token set as `fit` takes it: n examples of T tokens.

    ids       `(n, T)` int32, padded with 0
    mask      `(n, T)` int32: 1 where a token is no padding
    targets   `(n, T)` int32: the token after
    weights   `(n, T)` float32: 0 where there is no target; such that Keras's mean over all positions of the set is the
              mean over its targets
    lengths   `(n,)` int64: tokens that are not padding
    """

    ids: npt.NDArray[np.int32]
    mask: npt.NDArray[np.int32]
    targets: npt.NDArray[np.int32]
    weights: npt.NDArray[np.float32]
    lengths: Numbers

    @classmethod
    def of(cls, tokens: TokenSet, length: int | None) -> Self:
        """Pad a token set to `length` tokens, or to its longest example.

        Raises:
            ValueError: an example is longer than that.
        """
        lengths = np.array([len(example.token_ids) for example in tokens.examples], np.int64)
        longest = int(lengths.max())
        length = longest if length is None else length
        if longest > length:
            raise ValueError(f"`pad_to` must be at least {longest}, the longest example, but got {length}.")
        ids, mask, targets = (np.zeros((len(lengths), length), np.int32) for _ in range(3))
        weights = np.zeros(ids.shape, np.float32)
        for row, (size, example) in enumerate(zip(lengths, tokens.examples, strict=True)):
            ids[row, :size], mask[row, :size] = example.token_ids, 1
            targets[row, : size - 1], weights[row, : size - 1] = example.token_ids[1:], example.loss_mask[1:]
        weights *= weights.size / weights.sum()
        return cls(ids, mask, targets, weights, lengths)

    def fit_arguments(self, rows: Numbers | slice) -> dict[str, Any]:
        """Return x, y and sample weights of some rows, as `fit` and `evaluate` take them."""
        x = {"token_ids": self.ids[rows], "padding_mask": self.mask[rows]}
        return {"x": x, "y": self.targets[rows], "sample_weight": self.weights[rows]}


class KerasFit:
    """One trial: a model of its own with LoRA enabled, compiled by Keras.

    Args:
        causal_lm: a `GemmaCausalLM` whose LoRA was never enabled; it is changed.
        rank: of the adapter; KerasHub's scale is always 1.
        learning_rate, weight_decay: of AdamW; biases and scales do not decay, as in the notebook.
        targets: the layers that get an adapter.
        train: training set.
        validation: for `validation_loss`, or None.
        batch_size: dialogues per step.
        pad_to: tokens that every dialogue is padded to; None: the longest of its set.
        seed: of the first values and the data order.
    """

    def __init__(
        self,
        causal_lm: Any,
        *,
        rank: int,
        learning_rate: float,
        targets: Targets,
        train: TokenSet,
        validation: TokenSet | None = None,
        batch_size: int = 1,
        pad_to: int | None = None,
        weight_decay: float = 0.01,
        seed: int = 0,
    ) -> None:
        keras.utils.set_random_seed(seed)
        causal_lm.backbone.enable_lora(rank, target_layer_names=list(TARGET_LAYERS[targets]))
        causal_lm.preprocessor = None  # `fit` gets tokens
        optimizer = keras.optimizers.AdamW(learning_rate, weight_decay=weight_decay)
        optimizer.exclude_from_weight_decay(var_names=["bias", "scale"])
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        causal_lm.compile(optimizer=optimizer, loss=loss, weighted_metrics=[], jit_compile=True)
        self._causal_lm = causal_lm
        self._train = PaddedSet.of(train, pad_to)
        self._validation = None if validation is None else PaddedSet.of(validation, pad_to)
        self._batch_size = batch_size
        self._order = np.random.default_rng(seed)

    @classmethod
    def load(cls, model: str, **options: Any) -> Self:
        """Begin a trial on a fresh copy of a base model, named as `load_base` takes it, in float32."""
        from trainer.base.base import load_base

        return cls(load_base(model).causal_lm, **options)

    @property
    def steps_per_epoch(self) -> int:
        """Optimiser steps of one pass over the training set; the last batch may be short."""
        return -(-len(self._train.lengths) // self._batch_size)

    def epoch(self) -> float:
        """Train on all dialogues once, in a new random order; the mean loss per target."""
        return self.train(self._order.permutation(len(self._train.lengths)))

    def train(self, rows: Numbers) -> float:
        """Train on some rows of the training set, in this order, by one call of `fit`; returns when it is done.

        Returns:
            Mean loss. Over all rows it is that per target.
        """
        arguments = self._train.fit_arguments(rows)
        # KerasHub's own `fit` reads through a loader that needs grain or TensorFlow, and gains nothing by it.
        fit = partial(keras.Model.fit, self._causal_lm)
        history = fit(**arguments, batch_size=self._batch_size, shuffle=False, verbose=0)
        return float(history.history["loss"][-1])

    def validation_loss(self) -> float:
        """Negative log-likelihood per target of the validation set, in nats.

        Raises:
            ValueError: there is no validation set.
        """
        if self._validation is None:
            raise ValueError("`validation` must be given for a validation loss, but it is None.")
        arguments = self._validation.fit_arguments(slice(None))
        evaluate = partial(keras.Model.evaluate, self._causal_lm)
        return float(evaluate(**arguments, batch_size=EVALUATION_ROWS, verbose=0))

    def save(self, path: Path) -> None:
        """Write the adapter; KerasHub wants a name that ends in `.lora.h5`."""
        self._causal_lm.backbone.save_lora_weights(str(path))
