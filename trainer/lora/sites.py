"""Factored LoRA over KerasHub's own layers: where adapters sit, their first values, and the product `s·(xA)B`.

Shapes are KerasHub's. A kernel of shape `(*in, out)` gets `A: (*in, rank)` and `B: (rank, out)`; query, key and
value kernels are `(heads, d, head_dim)`, so their A is per head and their B is shared by the heads.
Source: Hu et al. 2021, arXiv 2106.09685; the layout is `keras.layers.EinsumDense.enable_lora`.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from trainer.config import Targets

TARGET_LAYERS: dict[Targets, tuple[str, ...]] = {
    "attention_qv": ("query", "value"),
    "attention": ("query", "key", "value", "attention_output"),
    "all_linear": ("query", "key", "value", "attention_output", "ffw_gating", "ffw_gating_2", "ffw_linear"),
}


class Factors(NamedTuple):
    """The two matrices of one site; in a pack both carry a leading slot axis."""

    a: Any
    b: Any


Adapter = dict[str, Factors]


@dataclass(frozen=True)
class Site:
    """One dense layer of the base model that can carry an adapter.

    key           the layer's path, such as `decoder_block_0/attention/query`
    target        the layer's name, such as `query`
    index         its place in KerasHub's list of layers with weights, which names it in a `.lora.h5`
    number        its place among all sites of the model: seeds the first values and the dropout
    kernel_shape  `(*in, out)`
    layer         the Keras layer itself
    """

    key: str
    target: str
    index: int
    number: int
    kernel_shape: tuple[int, ...]
    layer: Any

    def a_shape(self, rank: int) -> tuple[int, ...]:
        """Shape of A: `(*in, rank)`."""
        return (*self.kernel_shape[:-1], rank)

    def b_shape(self, rank: int) -> tuple[int, int]:
        """Shape of B: `(rank, out)`."""
        return (rank, self.kernel_shape[-1])


def find_sites(backbone: Any) -> tuple[Site, ...]:
    """List every dense layer of a Gemma backbone that can carry an adapter, in KerasHub's order."""
    # Not public, but what KerasHub itself numbers the layers of a `.lora.h5` file by.
    layers = [layer for layer in backbone._flatten_layers(include_self=False) if layer.weights]
    names = TARGET_LAYERS["all_linear"]
    found = [(index, layer) for index, layer in enumerate(layers) if layer.name in names]
    return tuple(
        Site(layer.path, layer.name, index, number, tuple(layer.kernel.shape), layer)
        for number, (index, layer) in enumerate(found)
    )


def select_sites(sites: tuple[Site, ...], targets: Targets) -> tuple[Site, ...]:
    """Keep the sites that `targets` names."""
    return tuple(site for site in sites if site.target in TARGET_LAYERS[targets])


def first_values(sites: tuple[Site, ...], rank: int, seed: int) -> Adapter:
    """Draw a new adapter: A uniform as KerasHub's `he_uniform`, B zero; fp32 arrays on the host.

    The draw of a site depends on the seed and the site alone, and row r of A on nothing that comes after it,
    so that neither the padded rank nor the other targets change it.
    """
    adapter: Adapter = {}
    for site in sites:
        a_shape = site.a_shape(rank)
        limit = math.sqrt(6.0 / math.prod(a_shape[:-1]))
        rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence((seed, site.number))))
        rows = rng.random((rank, *a_shape[:-1]), dtype=np.float32)
        a = np.moveaxis((2 * rows - 1) * np.float32(limit), 0, -1)
        adapter[site.key] = Factors(np.ascontiguousarray(a), np.zeros(site.b_shape(rank), np.float32))
    return adapter


def pad(adapter: Mapping[str, Factors], sites: tuple[Site, ...], rank: int) -> Adapter:
    """Zero-pad every A and B to `rank`; sites that the adapter lacks are all zero, and stay so in training."""
    return {site.key: _pad_factors(site, adapter.get(site.key), rank) for site in sites}


def _pad_factors(site: Site, factors: Factors | None, rank: int) -> Factors:
    a = np.zeros(site.a_shape(rank), np.float32)
    b = np.zeros(site.b_shape(rank), np.float32)
    if factors is not None:
        a[..., : factors.a.shape[-1]] = factors.a
        b[: factors.b.shape[0]] = factors.b
    return Factors(a, b)


def cut(adapter: Mapping[str, Factors], sites: tuple[Site, ...], rank: int) -> Adapter:
    """Undo `pad`: the first `rank` columns of A and rows of B, for the given sites."""
    return {
        site.key: Factors(np.asarray(adapter[site.key].a)[..., :rank], np.asarray(adapter[site.key].b)[:rank])
        for site in sites
    }


class Dropout(NamedTuple):
    """Dropout on the inputs of one site's A: a key of this step and site, and the probability that one is zeroed."""

    key: jax.Array
    rate: jax.Array


def dropouts(sites: tuple[Site, ...], keys: jax.Array, rates: jax.Array) -> dict[str, Dropout]:
    """Dropout of every site for S slots, by its key.

    Args:
        sites: that it is for.
        keys: `(S,)`, of a step.
        rates: `(S,)`, the probability that an input is zeroed.
    """
    fold_in = jax.vmap(jax.random.fold_in, in_axes=(0, None))
    return {site.key: Dropout(fold_in(keys, site.number), rates) for site in sites}


Product = Callable[[Site, jax.Array], jax.Array]
"""What a site adds to its layer's output, of the layer's input `(batch, …)`."""


def of_one(adapter: Mapping[str, Factors], scale: Any) -> Product:
    """Return the products `scale·(xA)B` of one adapter."""

    def product(site: Site, x: jax.Array) -> jax.Array:
        return _product(site, x, adapter[site.key], scale, None)

    return product


def of_slots(adapter: Mapping[str, Factors], scale: jax.Array, dropout: Mapping[str, Dropout] | None = None) -> Product:
    """Return the products of S adapters, each with rows of its own: the input is `(S·batch, …)`, slot after slot.

    In the forward pass nothing else knows of slots. The base sees one batch, and its layers compute what they compute
    for any batch: a slot axis in them would cost copies between layouts, and a tenth of the speed on a CPU.

    Args:
        adapter: factors with a leading slot axis.
        scale: `(S,)`.
        dropout: of every site, of S slots, or None.
    """

    def product(site: Site, x: jax.Array) -> jax.Array:
        rows = x.reshape(len(scale), -1, *x.shape[1:])
        drops = dropout[site.key] if dropout else None
        products: jax.Array = jax.vmap(partial(_product, site))(rows, adapter[site.key], scale, drops)
        return products.reshape(-1, *products.shape[2:])

    return product


@contextlib.contextmanager
def applied(sites: tuple[Site, ...], product: Product) -> Iterator[None]:
    """While open, each site's layer returns `Wx` plus its product.

    It is open only while a function is traced: the layer's own `call` is put back at the end.
    """
    try:
        for site in sites:
            site.layer.call = _with_product(site, product)
        yield
    finally:
        for site in sites:
            site.layer.__dict__.pop("call", None)


def _with_product(site: Site, product: Product) -> Any:
    base_call = type(site.layer).call.__get__(site.layer)

    def call(x: jax.Array, *args: Any, **kwargs: Any) -> jax.Array:
        output: jax.Array = base_call(x, *args, **kwargs) + product(site, x)
        return output

    return call


def _product(site: Site, x: jax.Array, factors: Factors, scale: Any, dropout: Dropout | None) -> jax.Array:
    dropped = x if dropout is None else _drop(x, dropout)
    a, b = factors.a.astype(x.dtype), factors.b.astype(x.dtype)
    inner = jnp.einsum(site.layer.equation, dropped, a) * jnp.asarray(scale, x.dtype)
    product: jax.Array = inner @ b
    return product


def _drop(x: jax.Array, dropout: Dropout) -> jax.Array:
    kept = jax.random.bernoulli(dropout.key, 1 - dropout.rate, x.shape)
    return jnp.where(kept, x / (1 - dropout.rate).astype(x.dtype), 0)
