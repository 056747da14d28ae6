"""AdamW, gradient clipping and learning-rate schedules of one slot, as Keras computes them.

Everything is a function of the slot's own state, so that under `vmap` a slot neither decays while it idles nor
feels its neighbours' norms. Source: Loshchilov & Hutter 2017, arXiv 1711.05101; the order of operations (decay first,
epsilon outside the bias correction) is that of `keras.optimizers.AdamW`.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from trainer.config import Schedule, TrialConfig

BETA_1, BETA_2, EPSILON = 0.9, 0.999, 1e-7  # Keras's defaults
SCHEDULES: tuple[Schedule, ...] = ("constant", "linear", "cosine")


class Hyperparameters(NamedTuple):
    """The numbers of a trial that a compiled step reads as data, so that none of them causes a recompile."""

    learning_rate: Any
    weight_decay: Any
    clip_norm: Any  # inf: no clipping
    schedule: Any  # index into SCHEDULES
    warmup_steps: Any
    steps_total: Any
    scale: Any
    dropout: Any
    seed: Any

    @classmethod
    def of(cls, config: TrialConfig, steps_total: int) -> Hyperparameters:
        """Read them from a trial's configuration."""
        return cls(
            learning_rate=np.float32(config.learning_rate),
            weight_decay=np.float32(config.weight_decay),
            clip_norm=np.float32(np.inf if config.clip_norm is None else config.clip_norm),
            schedule=np.int32(SCHEDULES.index(config.schedule)),
            warmup_steps=np.int32(round(config.warmup_fraction * steps_total)),
            steps_total=np.int32(steps_total),
            scale=np.float32(config.lora_scale),
            dropout=np.float32(config.dropout),
            seed=np.uint32(config.seed),
        )


class Moments(NamedTuple):
    """First and second moments, each shaped like the adapter."""

    first: Any
    second: Any


def learning_rate(hyper: Hyperparameters, step: jax.Array) -> jax.Array:
    """Learning rate of the step after `step` finished ones."""
    done = step.astype(jnp.float32)
    warmup = hyper.warmup_steps.astype(jnp.float32)
    rest = jnp.maximum(hyper.steps_total.astype(jnp.float32) - warmup, 1.0)
    progress = jnp.clip((done - warmup) / rest, 0.0, 1.0)
    decay = jnp.stack([jnp.ones_like(progress), 1 - progress, 0.5 * (1 + jnp.cos(jnp.pi * progress))])[hyper.schedule]
    rise = jnp.minimum((done + 1) / jnp.maximum(warmup, 1.0), 1.0)
    factor: jax.Array = jnp.where(done < warmup, rise, decay)
    rate: jax.Array = factor * hyper.learning_rate
    return rate


def global_norm(gradients: Any) -> jax.Array:
    """L2 norm over all of a slot's gradients."""
    return jnp.sqrt(sum(jnp.sum(jnp.square(leaf)) for leaf in jax.tree.leaves(gradients)))


def adamw(
    hyper: Hyperparameters, step: jax.Array, gradients: Any, moments: Moments, adapter: Any
) -> tuple[Any, Moments]:
    """One AdamW update of one slot.

    Args:
        hyper: scalars of the slot.
        step: finished steps, int32 scalar.
        gradients, adapter: pytrees of the same structure, fp32.
        moments: of the steps before.

    Returns:
        The new adapter and moments.
    """
    clip = jnp.minimum(1.0, hyper.clip_norm / jnp.maximum(global_norm(gradients), 1e-30))
    gradients = jax.tree.map(lambda g: g * clip, gradients)
    rate = learning_rate(hyper, step)
    count = (step + 1).astype(jnp.float32)
    alpha = rate * jnp.sqrt(1 - BETA_2**count) / (1 - BETA_1**count)
    first = jax.tree.map(lambda m, g: m + (g - m) * (1 - BETA_1), moments.first, gradients)
    second = jax.tree.map(lambda v, g: v + (jnp.square(g) - v) * (1 - BETA_2), moments.second, gradients)

    def update(w: jax.Array, m: jax.Array, v: jax.Array) -> jax.Array:
        decayed: jax.Array = w - w * hyper.weight_decay * rate
        updated: jax.Array = decayed - alpha * m / (jnp.sqrt(v) + EPSILON)
        return updated

    return jax.tree.map(update, adapter, first, second), Moments(first, second)
