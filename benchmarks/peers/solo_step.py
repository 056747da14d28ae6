"""One adapter, one jitted step, by hand: what a very good engineer would write who never thought of packing.

Factored LoRA on KerasHub's layers, no slot axis, hyperparameters compiled in, data on the device, donated state,
cross-entropy without a gradient of the embedding. All tokens of an example are learned; all examples are equally long.
"""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from trainer import lora
from trainer.base.base import BaseModel
from trainer.config import Targets
from trainer.dialogues.tokens import TokenSet
from trainer.machine.keras_backend import keras
from trainer.pack.loss import token_scores

BETA_1, BETA_2, EPSILON = 0.9, 0.999, 1e-7  # Keras's defaults


class State(NamedTuple):
    """What a step changes: the adapter, both moments shaped like it, and the finished steps."""

    adapter: lora.Adapter
    first: lora.Adapter
    second: lora.Adapter
    count: Any


class SoloStep:
    """One trial.

    Args:
        base: the frozen model.
        train: training set of examples of one length, all of whose tokens but the first are targets.
        rank, targets, learning_rate, weight_decay, seed: of the trial.

    Raises:
        ValueError: examples of several lengths.
    """

    def __init__(
        self,
        base: BaseModel,
        train: TokenSet,
        *,
        rank: int,
        targets: Targets,
        learning_rate: float = 1e-4,
        weight_decay: float = 0.01,
        seed: int = 0,
    ) -> None:
        lengths = {len(example.token_ids) for example in train.examples}
        if len(lengths) > 1:
            raise ValueError(f"All examples must have one length, but got {sorted(lengths)}.")
        self._base = base
        self._sites = lora.select_sites(lora.find_sites(base.backbone), targets)
        self._learning_rate, self._weight_decay = learning_rate, weight_decay
        self._embedding = [variable.path for variable in base.backbone.variables].index(
            base.backbone.token_embedding.embeddings.path
        )
        self._ids = jnp.asarray(np.stack([example.token_ids for example in train.examples]))
        first = jax.tree.map(jnp.asarray, lora.first_values(self._sites, rank, seed))
        first_moment, second_moment = (jax.tree.map(jnp.zeros_like, first) for _ in range(2))
        self._state = State(first, first_moment, second_moment, jnp.int32(0))
        self._step = jax.jit(self._train, donate_argnums=1)

    def train(self, batches: Any) -> Any:
        """Train on batches of row numbers `(steps, batch_size)` int32; returns their losses when all are done."""
        losses = []
        for rows in batches:
            self._state, loss = self._step(self._base.weights, self._state, self._ids, rows)
            losses.append(loss)
        jax.block_until_ready(self._state)  # type: ignore[no-untyped-call]  # jax leaves it untyped
        return np.array(losses)

    def _train(self, weights: list[Any], state: State, ids: Any, rows: Any) -> tuple[State, Any]:
        loss, gradients = jax.value_and_grad(self._loss)(state.adapter, weights, ids[rows])
        return self._adamw(state, gradients), loss

    def _loss(self, adapter: lora.Adapter, weights: list[Any], tokens: Any) -> Any:
        backbone = self._base.backbone
        scope = keras.StatelessScope(state_mapping=list(zip(backbone.variables, weights, strict=True)))
        with scope, lora.applied(self._sites, lora.of_one(adapter, 1.0)):
            hidden = backbone({"token_ids": tokens, "padding_mask": jnp.ones_like(tokens)})
        predicting = hidden[:, :-1].reshape(-1, hidden.shape[-1])
        cap = backbone.final_logit_soft_cap
        return token_scores(predicting, tokens[:, 1:].reshape(-1), weights[self._embedding], cap).nll.mean()

    def _adamw(self, state: State, gradients: lora.Adapter) -> State:
        count = state.count + 1
        rate, power = self._learning_rate, count.astype(jnp.float32)
        alpha = rate * jnp.sqrt(1 - BETA_2**power) / (1 - BETA_1**power)
        first = jax.tree.map(lambda m, g: m + (g - m) * (1 - BETA_1), state.first, gradients)
        second = jax.tree.map(lambda v, g: v + (jnp.square(g) - v) * (1 - BETA_2), state.second, gradients)
        update = partial(_decay_and_step, decay=self._weight_decay * rate, alpha=alpha)
        return State(jax.tree.map(update, state.adapter, first, second), first, second, count)


def _decay_and_step(w: Any, m: Any, v: Any, *, decay: float, alpha: Any) -> Any:
    return w - w * decay - alpha * m / (jnp.sqrt(v) + EPSILON)
