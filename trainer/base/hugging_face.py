"""KerasHub's Gemma from a Hugging Face folder.

KerasHub's own reader loses the epsilon of the blocks' norms, the query scale, the rotary base and the layer types,
takes whatever tensor has as many values as it needs, and cannot read a backbone that was saved alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from trainer.base.hugging_face_weights import EMBEDDING, Weights

Array = np.ndarray[Any, Any]
Arrange = Callable[[Array, tuple[int, ...]], Array]

_NORMS = {
    "input_layernorm": "pre_attention_norm",
    "post_attention_layernorm": "post_attention_norm",
    "pre_feedforward_layernorm": "pre_ffw_norm",
    "post_feedforward_layernorm": "post_ffw_norm",
}


def tensor_shapes(config: dict[str, Any]) -> dict[str, tuple[int, ...]]:
    """Name and shape of every tensor that a complete configuration asks for."""
    d, ffn, width = config["hidden_size"], config["intermediate_size"], config["head_dim"]
    q, kv = config["num_attention_heads"] * width, config["num_key_value_heads"] * width
    of_a_layer: dict[str, tuple[int, ...]] = {
        "self_attn.q_proj": (q, d),
        "self_attn.k_proj": (kv, d),
        "self_attn.v_proj": (kv, d),
        "self_attn.o_proj": (d, q),
        "mlp.gate_proj": (ffn, d),
        "mlp.up_proj": (ffn, d),
        "mlp.down_proj": (d, ffn),
        **dict.fromkeys(_NORMS, (d,)),
    }
    layers = {
        f"model.layers.{index}.{name}.weight": shape
        for index in range(config["num_hidden_layers"])
        for name, shape in of_a_layer.items()
    }
    return {EMBEDDING: (config["vocab_size"], d), "model.norm.weight": (d,), **layers}


def check_weights(folder: Path, config: dict[str, Any]) -> None:
    """Check by their headers that a folder's weights are whole and fit its complete configuration.

    Raises:
        BaseModelError: naming the file or the tensor.
    """
    with Weights(folder) as weights:
        weights.check(tensor_shapes(config))


def load_backbone(folder: Path, config: dict[str, Any], dtype: str) -> Any:
    """Build a `keras_hub.models.GemmaBackbone` with a folder's weights; one tensor at a time is held twice.

    Args:
        folder: of `model.safetensors` or its shards.
        config: complete, as `complete_config` returns it.
        dtype: of weights and matmuls.

    Raises:
        BaseModelError: the weights are not whole, do not fit, or have an output embedding of their own.
    """
    with Weights(folder) as weights:
        weights.check(tensor_shapes(config))
        weights.check_tied()
        backbone = _new_backbone(config, dtype)
        for name, variable, arrange in _variables(backbone):
            variable.assign(arrange(weights.read(name), tuple(variable.shape)))
    return backbone


def _new_backbone(config: dict[str, Any], dtype: str) -> Any:
    from trainer.machine.keras_backend import keras_hub

    return keras_hub.models.GemmaBackbone(
        vocabulary_size=config["vocab_size"],
        num_layers=config["num_hidden_layers"],
        num_query_heads=config["num_attention_heads"],
        num_key_value_heads=config["num_key_value_heads"],
        hidden_dim=config["hidden_size"],
        intermediate_dim=2 * config["intermediate_size"],
        head_dim=config["head_dim"],
        use_post_ffw_norm=True,
        use_post_attention_norm=True,
        attention_logit_soft_cap=config["attn_logit_softcapping"],
        final_logit_soft_cap=config["final_logit_softcapping"],
        use_sliding_window_attention=True,
        sliding_window_size=config["sliding_window"],
        layer_norm_epsilon=config["rms_norm_eps"],
        dtype=dtype,
    )


def _variables(backbone: Any) -> Iterator[tuple[str, Any, Arrange]]:
    """Each tensor's name, its variable, and how the one is arranged into the other."""
    yield EMBEDDING, backbone.token_embedding.embeddings, _as_it_is
    yield "model.norm.weight", backbone.layer_norm.scale, _as_it_is
    for index, block in enumerate(backbone.transformer_layers):
        for name, variable, arrange in _variables_of(block):
            yield f"model.layers.{index}.{name}.weight", variable, arrange


def _variables_of(block: Any) -> Iterator[tuple[str, Any, Arrange]]:
    attention = block.attention
    yield "self_attn.q_proj", attention.query_dense.kernel, _per_head
    yield "self_attn.k_proj", attention.key_dense.kernel, _per_head
    yield "self_attn.v_proj", attention.value_dense.kernel, _per_head
    yield "self_attn.o_proj", attention.output_dense.kernel, _transposed
    yield "mlp.gate_proj", block.gating_ffw.kernel, _transposed
    yield "mlp.up_proj", block.gating_ffw_2.kernel, _transposed
    yield "mlp.down_proj", block.ffw_linear.kernel, _transposed
    for name, norm in _NORMS.items():
        yield name, getattr(block, norm).scale, _as_it_is


def _as_it_is(tensor: Array, shape: tuple[int, ...]) -> Array:
    return tensor.reshape(shape)


def _transposed(tensor: Array, shape: tuple[int, ...]) -> Array:
    return tensor.T.reshape(shape)


def _per_head(tensor: Array, shape: tuple[int, ...]) -> Array:
    heads, d, width = shape
    return tensor.reshape(heads, width, d).transpose(0, 2, 1)
