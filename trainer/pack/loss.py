"""Cross-entropy over a large vocabulary without whole logits and without a gradient of the embedding.

The base is frozen, so the only gradient is that of the hidden states. It is `(softmax − onehot)·E` up to a factor
per token, and is formed in the forward pass while a chunk of logits exists: two matmuls with the embedding in all,
where recomputing the logits in the backward pass takes three.
"""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp

from trainer.pack.sizes import backend, chunk_size


class TokenScores(NamedTuple):
    """Per token: negative log-likelihood in nats (fp32), and whether the target had the largest logit."""

    nll: jax.Array
    correct: jax.Array


@partial(jax.custom_vjp, nondiff_argnums=(3,))
def token_scores(hidden: jax.Array, targets: jax.Array, embedding: jax.Array, soft_cap: float | None) -> TokenScores:
    """Score targets under the tied output embedding.

    Args:
        hidden: `(N, d)`, the final hidden states at the positions that predict.
        targets: `(N,)` int32 token ids.
        embedding: `(V, d)`; frozen: its gradient is never formed.
        soft_cap: final logit soft cap, or None.

    Returns:
        `TokenScores` of shape `(N,)` each. Only `nll` has a gradient, with respect to `hidden`.
    """
    return _over_chunks(hidden, targets, embedding, soft_cap, with_gradient=False)[0]


def _forward(
    hidden: jax.Array, targets: jax.Array, embedding: jax.Array, soft_cap: float | None
) -> tuple[TokenScores, jax.Array]:
    return _over_chunks(hidden, targets, embedding, soft_cap, with_gradient=True)


def _backward(soft_cap: float | None, gradient: jax.Array, cotangent: TokenScores) -> tuple[jax.Array, None, None]:
    return (gradient * cotangent.nll[:, None].astype(gradient.dtype), None, None)


token_scores.defvjp(_forward, _backward)


@jax.custom_vjp
def pick(hidden: jax.Array, positions: jax.Array, places: jax.Array) -> jax.Array:
    """Take the hidden states that predict a target.

    Its gradient is a gather through the inverse map, where JAX's own would be a scatter, which is slow everywhere.

    Args:
        hidden: `(…, T, d)`.
        positions: `(…, L)`, the positions to take.
        places: `(…, T)`, for each position its place in `positions`, or L or more where it has none.

    Returns:
        `(…, L, d)`.
    """
    return jnp.take_along_axis(hidden, positions[..., None], axis=-2)


def _pick_forward(hidden: jax.Array, positions: jax.Array, places: jax.Array) -> tuple[jax.Array, jax.Array]:
    return pick(hidden, positions, places), places


def _pick_backward(places: jax.Array, cotangent: jax.Array) -> tuple[jax.Array, None, None]:
    width = cotangent.shape[-2]
    found = jnp.take_along_axis(cotangent, jnp.minimum(places, width - 1)[..., None], axis=-2)
    return jnp.where((places < width)[..., None], found, 0), None, None


pick.defvjp(_pick_forward, _pick_backward)


def _over_chunks(
    hidden: jax.Array, targets: jax.Array, embedding: jax.Array, soft_cap: float | None, *, with_gradient: bool
) -> tuple[TokenScores, jax.Array]:
    count, width = hidden.shape
    size = chunk_size(count, embedding.shape[0], backend())
    chunks = -(-count // size)
    score = partial(_score_chunk, embedding=embedding, soft_cap=soft_cap, with_gradient=with_gradient)
    if chunks == 1:
        return score((hidden, targets))
    padding = chunks * size - count
    hidden = jnp.pad(hidden, ((0, padding), (0, 0))).reshape(chunks, size, width)
    targets = jnp.pad(targets, (0, padding)).reshape(chunks, size)
    scores, gradient = jax.lax.map(score, (hidden, targets))
    flat = TokenScores(scores.nll.reshape(-1)[:count], scores.correct.reshape(-1)[:count])
    return flat, gradient.reshape(chunks * size, -1)[:count]


def _score_chunk(
    chunk: tuple[jax.Array, jax.Array], *, embedding: jax.Array, soft_cap: float | None, with_gradient: bool
) -> tuple[TokenScores, jax.Array]:
    hidden, targets = chunk
    logits = jnp.einsum("nd,vd->nv", hidden, embedding, preferred_element_type=jnp.float32)
    if soft_cap is not None:
        logits = soft_cap * jnp.tanh(logits / soft_cap)
    log_total = jax.nn.logsumexp(logits, axis=-1)
    target_logit = jnp.take_along_axis(logits, targets[:, None], axis=-1)[:, 0]
    scores = TokenScores(log_total - target_logit, jnp.argmax(logits, axis=-1) == targets)
    if not with_gradient:
        return scores, jnp.zeros((hidden.shape[0], 0), hidden.dtype)
    slope = jnp.exp(logits - log_total[:, None])
    slope = slope - (jnp.arange(embedding.shape[0]) == targets[:, None])
    if soft_cap is not None:
        slope = slope * (1 - jnp.square(logits / soft_cap))
    gradient = jnp.einsum("nv,vd->nd", slope.astype(embedding.dtype), embedding, preferred_element_type=jnp.float32)
    return scores, gradient.astype(hidden.dtype)
