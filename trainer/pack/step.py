"""The compiled programs of a pack: one training step and one evaluation step, over any of its slots.

The frozen weights carry no slot axis, the adapters do: the base sees all slots' rows as one batch, each of its matmuls
is one over slots × batch × tokens, and only the LoRA products and the optimizer are computed by slot.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from trainer import lora
from trainer.base.base import BaseModel
from trainer.lora.optimizer import Hyperparameters, Moments, adamw, global_norm
from trainer.machine.keras_backend import tracing
from trainer.pack.blocks import Blocks
from trainer.pack.data_on_device import Batch, Rows, gather
from trainer.pack.loss import pick, token_scores
from trainer.pack.sizes import slots_per_pass

NEVER = -1
NOBODY = -1


class SlotState(NamedTuple):
    """Everything that a slot carries from step to step; every array has a leading slot axis.

    failed_at  the step whose loss or gradient was not finite, or -1; a failed slot no longer changes
    """

    adapter: lora.Adapter
    moments: Moments
    hyper: Hyperparameters
    step: Any
    failed_at: Any


class Sums(NamedTuple):
    """Sums over the targets of an evaluation batch, per slot: `nll` in nats, and right guesses."""

    nll: Any
    correct: Any


class Programs:
    """The jitted functions for one base model and one choice of sites.

    Each is compiled once per shape: bucket length and width, batch size, slots in the call.
    """

    def __init__(self, base: BaseModel, sites: tuple[lora.Site, ...], *, tokens_per_pass: int, remat: bool) -> None:
        self._base = base
        self._sites = sites
        self.tokens_per_pass = tokens_per_pass
        backbone = base.backbone
        self._blocks = Blocks(backbone, sites, remat=remat)
        paths = [variable.path for variable in backbone.variables]
        self._embedding = paths.index(backbone.token_embedding.embeddings.path)
        self._soft_cap = backbone.final_logit_soft_cap
        jit = partial(jax.jit, out_shardings=base.chips.by_slot)
        self.train = jit(self._train, static_argnames=("length", "width", "dropout"), donate_argnames="state")
        self.evaluate = jit(self._evaluate, static_argnames=("length", "width"))
        self.place = jit(_place, donate_argnames="state")
        self.read = jax.jit(_read, out_shardings=base.chips.everywhere)

    def _train(
        self,
        weights: list[Any],
        rows: Rows,
        state: SlotState,
        numbers: Any,
        slots: Any = None,
        *,
        length: int,
        width: int,
        dropout: bool,
    ) -> tuple[SlotState, Any]:
        """Train some slots by one step.

        With several groups of chips, the arrays below hold an equal part for each, in order.

        Args:
            weights: of the base model.
            rows: the training set.
            state: of all S slots; donated.
            numbers: `(G, batch_size)` row numbers; an entry whose rows are all absent does not change.
            slots: `(G,)` slots that take part, numbered within a group of chips; its number of slots for none. None:
                all S, in order.
            length, width: of the bucket.
            dropout: whether any slot in the call uses dropout.

        Returns:
            The new state, and the loss of each entry `(G,)`.
        """
        step = partial(self._train_group, length=length, width=width, dropout=dropout)
        trained: tuple[SlotState, Any]
        trained = self._base.chips.in_groups(step, shared=2)(weights, rows, state, numbers, slots)
        return trained

    def _train_group(
        self,
        weights: list[Any],
        rows: Rows,
        state: SlotState,
        numbers: Any,
        slots: Any,
        *,
        length: int,
        width: int,
        dropout: bool,
    ) -> tuple[SlotState, Any]:
        taking = state if slots is None else take(state, slots)
        batch = gather(rows, numbers, length, width)
        active = jnp.any(numbers >= 0, axis=-1) & (taking.failed_at == NEVER)
        one_pass = partial(self._loss_and_gradients, weights, dropout=dropout)
        together = slots_per_pass(len(numbers), numbers.shape[1] * length, self.tokens_per_pass)
        loss, gradients = _in_passes(one_pass, (taking, batch), active, _no_gradients, together)
        updated = jax.vmap(_update)(taking, gradients, loss, active)
        if slots is None:
            return updated, loss
        return jax.tree.map(lambda whole, part: whole.at[slots].set(part, mode="drop"), state, updated), loss

    def _loss_and_gradients(
        self, weights: list[Any], part: tuple[SlotState, Batch], *, dropout: bool
    ) -> tuple[Any, lora.Adapter]:
        state, batch = part
        total = jnp.maximum(batch.weights.sum((1, 2)), 1.0)

        def summed(adapter: lora.Adapter) -> tuple[Any, Any]:
            hidden = self._hidden(weights, state._replace(adapter=adapter), batch, dropout=dropout)
            scores = self._scores(weights, hidden, batch)
            loss = (scores.nll * batch.weights).sum((1, 2)) / total
            # Slots share nothing that has a gradient, so the gradient of the sum is that of each slot's own loss.
            return loss.sum(), loss

        (_, loss), gradients = jax.value_and_grad(summed, has_aux=True)(state.adapter)
        return loss, gradients

    def _evaluate(
        self, weights: list[Any], rows: Rows, state: SlotState, numbers: Any, slots: Any, *, length: int, width: int
    ) -> Sums:
        """Sum an evaluation batch for some slots.

        Args:
            weights, rows, state: as in training; the state is only read.
            numbers: `(batch_size,)` row numbers, the same for all slots.
            slots: `(G,)`, numbered within a group of chips; its number of slots means no adapter, that is, the base
                model itself, and `NOBODY` an empty place.
            length, width: of the bucket.

        Returns:
            Sums of shape `(G,)`.
        """
        step = partial(self._evaluate_group, length=length, width=width)
        sums: Sums = self._base.chips.in_groups(step, shared=3)(weights, rows, numbers, state, slots)
        return sums

    def _evaluate_group(
        self, weights: list[Any], rows: Rows, numbers: Any, state: SlotState, slots: Any, *, length: int, width: int
    ) -> Sums:
        chosen = take(SlotState(state.adapter, Moments(None, None), state.hyper, None, None), slots)
        batch = gather(rows, numbers, length, width)
        one_pass = partial(self._sum_batch, weights, batch)
        together = slots_per_pass(len(slots), numbers.size * length, self.tokens_per_pass)
        sums: Sums = _in_passes(one_pass, chosen, slots != NOBODY, _no_sums, together)
        return sums

    def _sum_batch(self, weights: list[Any], batch: Batch, state: SlotState) -> Sums:
        slots = len(state.hyper.scale)
        batch = jax.tree.map(lambda each: jnp.broadcast_to(each, (slots, *each.shape)), batch)
        scores = self._scores(weights, self._hidden(weights, state, batch, dropout=False), batch)
        return Sums(*((each * batch.weights).sum((1, 2)) for each in scores))

    def _hidden(self, weights: list[Any], state: SlotState, batch: Batch, *, dropout: bool) -> Any:
        """Final hidden states `(G, batch, T, d)`: KerasHub's forward pass with the slots' adapters."""
        backbone = self._base.backbone
        hyper = state.hyper
        drops = lora.dropouts(self._sites, _step_keys(hyper.seed, state.step), hyper.dropout) if dropout else None
        tokens, padding_mask = (each.reshape(-1, each.shape[-1]) for each in (batch.tokens, batch.padding_mask))
        with tracing(backbone.variables, weights):
            x = backbone.token_embedding(tokens)
            x = x * jnp.asarray(backbone.hidden_dim**0.5, x.dtype)
            x = self._blocks(x, padding_mask, weights=weights, adapter=state.adapter, scale=hyper.scale, dropout=drops)
            x = backbone.layer_norm(x)
        return x.reshape(*batch.tokens.shape, -1)

    def _scores(self, weights: list[Any], hidden: Any, batch: Batch) -> Any:
        """Score a batch's targets `(G, batch, L)` from hidden states `(G, batch, T, d)`, flattened over all slots."""
        picked = pick(hidden, batch.positions, batch.places)
        flat = picked.reshape(-1, hidden.shape[-1])
        scores = token_scores(flat, batch.targets.reshape(-1), weights[self._embedding], self._soft_cap)
        return jax.tree.map(lambda each: each.reshape(batch.targets.shape), scores)


@jax.vmap
def _step_keys(seed: Any, step: Any) -> jax.Array:
    """Key of each slot's next step."""
    return jax.random.fold_in(jax.random.key(seed), step)


def _no_gradients(part: tuple[SlotState, Batch]) -> tuple[Any, lora.Adapter]:
    """Stand in for `_loss_and_gradients` where no slot is active."""
    state, batch = part
    return jnp.zeros(len(batch.tokens)), jax.tree.map(jnp.zeros_like, state.adapter)


def _no_sums(state: SlotState) -> Sums:
    """Stand in for `_sum_batch` where no slot is active."""
    return Sums(*(jnp.zeros(len(state.hyper.scale)) for _ in Sums._fields))


def _in_passes(
    function: Callable[[Any], Any], tree: Any, active: Any, idle: Callable[[Any], Any], together: int
) -> Any:
    """Apply a function of stacked slots to `together` slots at a time; zeros fill up the last pass.

    A pass without an active slot costs nothing and gives what `idle` makes of it; to know the shapes of the results
    from the function itself would mean to trace it once more.
    """
    slots = len(active)
    if together == slots:
        return function(tree)

    def one_pass(part: tuple[Any, Any]) -> Any:
        active, tree = part
        return jax.lax.cond(active.any(), function, idle, tree)

    passes = -(-slots // together)

    def split(array: Any) -> Any:
        padding = [(0, passes * together - slots), *((0, 0) for _ in array.shape[1:])]
        return jnp.pad(array, padding).reshape(passes, together, *array.shape[1:])

    def joined(array: Any) -> Any:
        return array.reshape(passes * together, *array.shape[2:])[:slots]

    return jax.tree.map(joined, jax.lax.map(one_pass, jax.tree.map(split, (active, tree))))


def take(state: SlotState, slots: Any) -> SlotState:
    """The states of some slots; a slot number that does not exist gives zeros."""
    taken: SlotState = jax.tree.map(lambda array: array.at[slots].get(mode="fill", fill_value=0), state)
    return taken


def _place(state: SlotState, new: SlotState, slot: Any) -> SlotState:
    placed: SlotState = jax.tree.map(lambda whole, part: whole.at[slot].set(part), state, new)
    return placed


def _read(state: SlotState, slot: Any) -> SlotState:
    own: SlotState = jax.tree.map(lambda whole: whole[slot], state)
    return own


def _update(slot: SlotState, gradients: lora.Adapter, loss: Any, active: Any) -> SlotState:
    finite = jnp.isfinite(loss) & jnp.isfinite(global_norm(gradients))
    adapter, moments = adamw(slot.hyper, slot.step, gradients, slot.moments, slot.adapter)
    after = SlotState(adapter, moments, slot.hyper, slot.step + 1, slot.failed_at)
    kept: SlotState = jax.tree.map(lambda new, old: jnp.where(active & finite, new, old), after, slot)
    return kept._replace(failed_at=jnp.where(active & ~finite, slot.step + 1, slot.failed_at))
