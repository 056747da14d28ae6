"""The chunked cross-entropy is the plain one, and its gradient is what JAX would form."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from trainer.pack import sizes
from trainer.pack.loss import pick, token_scores
from trainer.pack.sizes import chunk_size


def plain_nll(hidden, targets, embedding, soft_cap):
    logits = hidden @ embedding.T
    if soft_cap is not None:
        logits = soft_cap * jnp.tanh(logits / soft_cap)
    return -jnp.take_along_axis(jax.nn.log_softmax(logits), targets[:, None], axis=1)[:, 0]


@pytest.fixture
def problem():
    rng = np.random.default_rng(0)
    hidden, embedding = rng.normal(size=(37, 16)), rng.normal(size=(101, 16))
    return jnp.float32(hidden), jnp.asarray(rng.integers(0, 101, 37)), jnp.float32(embedding)


@pytest.mark.parametrize("soft_cap", [None, 5.0])
@pytest.mark.parametrize("chunk_bytes", [4 * 101 * 8, 2**20], ids=["five chunks", "one chunk"])
def test_values_and_gradient_are_those_of_plain_cross_entropy(problem, soft_cap, chunk_bytes, monkeypatch):
    monkeypatch.setitem(sizes.CHUNK_BYTES, "cpu", chunk_bytes)
    hidden, targets, embedding = problem
    weights = jnp.linspace(0, 1, len(targets))
    scores = token_scores(hidden, targets, embedding, soft_cap)
    np.testing.assert_allclose(scores.nll, plain_nll(hidden, targets, embedding, soft_cap), rtol=1e-5, atol=1e-5)
    ours = jax.grad(lambda h: (weights * token_scores(h, targets, embedding, soft_cap).nll).sum())(hidden)
    theirs = jax.grad(lambda h: (weights * plain_nll(h, targets, embedding, soft_cap)).sum())(hidden)
    np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)


def test_a_target_is_correct_when_it_has_the_largest_logit(problem):
    hidden, _targets, embedding = problem
    best = jnp.argmax(hidden @ embedding.T, axis=1)
    mixed = jnp.where(jnp.arange(len(best)) % 2 == 0, best, (best + 1) % 101)
    assert token_scores(hidden, mixed, embedding, 30.0).correct.tolist() == [i % 2 == 0 for i in range(len(best))]


def test_logits_of_gemmas_vocabulary_stay_within_the_budget():
    for tokens in (1, 100, 5000):
        size = chunk_size(tokens, 256_000, "cpu")
        assert size * 256_000 * 4 <= sizes.CHUNK_BYTES["cpu"]
        assert size == 1 << (size.bit_length() - 1)


def test_picking_has_the_gradient_of_a_scatter():
    rng = np.random.default_rng(1)
    hidden = jnp.float32(rng.normal(size=(2, 6, 3)))
    positions = jnp.asarray([[1, 3, 4], [0, 5, 0]])  # the last of the second row is padding
    places = jnp.asarray([[3, 0, 3, 1, 2, 3], [0, 3, 3, 3, 3, 1]])
    weights = jnp.asarray([[1.0, 2.0, 3.0], [4.0, 5.0, 0.0]])[..., None]

    def plain(h):
        return (weights * jnp.square(jnp.take_along_axis(h, positions[..., None], axis=1))).sum()

    def ours(h):
        return (weights * jnp.square(pick(h, positions, places))).sum()

    np.testing.assert_allclose(jax.grad(ours)(hidden), jax.grad(plain)(hidden), rtol=1e-6)
