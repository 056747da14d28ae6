"""Layers that are traced once for each kind compute what they compute one by one."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from benchmarks.arms.models import random_backbone
from tests.trainer.tiny import SHAPE
from trainer import lora
from trainer.machine.keras_backend import keras
from trainer.pack.blocks import Blocks

LAYERS = 5  # three local ones, two global
RANK = 3
SLOTS = 2


@pytest.fixture(scope="module")
def backbone():
    return random_backbone(dataclasses.replace(SHAPE, layers=LAYERS), "float32", sliding_window=3)


@pytest.fixture(scope="module")
def sites(backbone):
    return lora.find_sites(backbone)


@pytest.fixture(scope="module")
def arguments(backbone, sites):
    rng = np.random.default_rng(0)

    def normal(*shape: int) -> jax.Array:
        return jnp.asarray(rng.normal(size=shape), jnp.float32)

    adapter = {
        site.key: lora.Factors(normal(SLOTS, *site.a_shape(RANK)), normal(SLOTS, *site.b_shape(RANK))) for site in sites
    }
    weights = [normal(*variable.shape) / 8 for variable in backbone.variables]
    return weights, adapter, normal(2 * SLOTS, 9, SHAPE.hidden_dim)


MASK = jnp.arange(9) < jnp.array([[9], [6], [7], [9]])


def hidden(blocks, sites, weights, adapter, x):
    drops = lora.dropouts(sites, jax.random.split(jax.random.key(5), SLOTS), jnp.array([0.3, 0.1]))
    return blocks(x, MASK, weights=weights, adapter=adapter, scale=jnp.array([0.5, 0.2]), dropout=drops)


def one_by_one(backbone, sites):
    """The blocks as KerasHub has them, each traced by itself, and each slot run by itself."""

    def run(x, mask, *, weights, **by_slot):
        ends = []
        for slot, (rows, row_mask) in enumerate(zip(jnp.split(x, SLOTS), jnp.split(mask, SLOTS), strict=True)):
            own = jax.tree.map(lambda leaf, slot=slot: leaf[slot : slot + 1], by_slot)
            ends.append(run_slot(rows, row_mask, weights, **own))
        return jnp.concatenate(ends)

    def run_slot(x, mask, weights, adapter, scale, dropout):
        state = list(zip(backbone.variables, weights, strict=True))
        products = lora.of_slots(adapter, scale, dropout)
        with keras.StatelessScope(state_mapping=state), lora.applied(sites, products):
            for block in backbone.transformer_layers:
                x = block(x, padding_mask=mask)
            return x

    return run


@pytest.mark.parametrize("remat", [False, True])
def test_each_layer_has_its_own_weights_adapter_and_dropout(backbone, sites, arguments, remat):
    weights, adapter, x = arguments

    def summed_and_gradient(blocks):
        summed = jax.value_and_grad(lambda adapter: jnp.square(hidden(blocks, sites, weights, adapter, x)).sum())
        return jax.jit(summed)(adapter)

    ours, our_gradient = summed_and_gradient(Blocks(backbone, sites, remat=remat))
    theirs, their_gradient = summed_and_gradient(one_by_one(backbone, sites))
    assert float(ours) == pytest.approx(float(theirs), rel=1e-5)
    for key, expected in their_gradient.items():
        for found, wanted in zip(our_gradient[key], expected, strict=True):
            largest = float(jnp.abs(wanted).max())
            assert largest > 0
            np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-3 * largest)


def test_a_kind_is_traced_once(backbone, sites, arguments, monkeypatch):
    traced: list[str] = []
    kind = type(backbone.transformer_layers[0])
    call = kind.call
    monkeypatch.setattr(
        kind, "call", lambda self, *args, **kwargs: traced.append(self.name) or call(self, *args, **kwargs)
    )
    blocks = Blocks(backbone, sites, remat=False)
    jax.jit(lambda x: hidden(blocks, sites, *arguments[:2], x)).trace(arguments[2])
    assert traced == [block.name for block in backbone.transformer_layers[:2]]
