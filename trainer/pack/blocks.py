"""A base model's blocks, traced once for each kind however many layers there are.

The layers of one kind differ in their arrays only. Tracing one takes Keras and JAX a tenth of a second or two, forward
and backward, for every compiled program anew, also when the program itself is on disk: of 26 layers, seconds each.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jax

from trainer import lora
from trainer.machine.keras_backend import tracing


class Blocks:
    """The blocks of a Gemma backbone, as functions of their arrays.

    Args:
        backbone: the `keras_hub.models.GemmaBackbone`.
        sites: that adapters sit on.
        remat: recompute each block in the backward pass instead of keeping its activations.
    """

    def __init__(self, backbone: Any, sites: tuple[lora.Site, ...], *, remat: bool) -> None:
        places = {variable.path: number for number, variable in enumerate(backbone.variables)}
        kinds: dict[bool, _Kind] = {}
        self._layers: list[_Layer] = []
        for block in backbone.transformer_layers:
            layers = set(block._flatten_layers())
            own = tuple(site for site in sites if site.layer in layers)
            # All else that a Gemma 2's layers are made with is the same for all of them.
            slides = block.attention.use_sliding_window_attention
            if slides not in kinds:
                kinds[slides] = _Kind(block, own, remat=remat)
            self._layers.append(_Layer(kinds[slides], [places[variable.path] for variable in block.variables], own))

    def __call__(
        self,
        x: jax.Array,
        padding_mask: jax.Array,
        *,
        weights: list[Any],
        adapter: lora.Adapter,
        scale: Any,
        dropout: Mapping[str, lora.Dropout] | None,
    ) -> jax.Array:
        """Return the hidden states of S slots after the last block.

        Args:
            x: `(S·batch, T, d)`, before the first; slot after slot.
            padding_mask: `(S·batch, T)`.
            weights: of the backbone, in the order of its variables.
            adapter: factors of every site, with a leading slot axis.
            scale: of the LoRA product, `(S,)`.
            dropout: of every site, of S slots, or None.
        """
        for layer in self._layers:
            arrays = [weights[place] for place in layer.places]
            own = layer.kind.own_names(layer.sites, adapter)
            drops = layer.kind.own_names(layer.sites, dropout) if dropout else None
            x = layer.kind.call(x, padding_mask, arrays, own, scale, drops)
        return x


@dataclass(frozen=True)
class _Layer:
    """One block: what it computes, the places of its arrays among the backbone's, and its sites in order."""

    kind: _Kind
    places: list[int]
    sites: tuple[lora.Site, ...]


class _Kind:
    """What all blocks of one kind compute, traced by the first of them."""

    def __init__(self, block: Any, sites: tuple[lora.Site, ...], *, remat: bool) -> None:
        self._block = block
        self._sites = sites
        self.call = jax.jit(jax.checkpoint(self._call) if remat else self._call)

    def own_names(self, sites: tuple[lora.Site, ...], values: Mapping[str, Any]) -> dict[str, Any]:
        """What belongs to another block's sites, by the names that the first one's have."""
        return {own.key: values[site.key] for own, site in zip(self._sites, sites, strict=True)}

    def _call(
        self,
        x: jax.Array,
        padding_mask: jax.Array,
        arrays: list[Any],
        adapter: lora.Adapter,
        scale: Any,
        dropout: Mapping[str, lora.Dropout] | None,
    ) -> jax.Array:
        products = lora.of_slots(adapter, scale, dropout)
        with tracing(self._block.variables, arrays), lora.applied(self._sites, products):
            after: jax.Array = self._block(x, padding_mask=padding_mask)
            return after
