"""The forward pass of Gemma 2 once more, in plain NumPy: what the trainer's base model is compared with.

Written from the model's description (Gemma Team 2024, arXiv 2408.00118) and held to transformers by
`test_interop_torch.py`. All in float64.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def logits_of(config: Mapping[str, Any], tensors: Mapping[str, Array], token_ids: Array) -> Array:
    """Logits `(T, V)` of one sequence.

    Args:
        config: complete, as transformers writes it; rotary base in `rope_theta` or `rope_parameters`.
        tensors: by their names in a checkpoint.
        token_ids: `(T,)`.
    """
    tensors = {name: np.asarray(value, np.float64) for name, value in tensors.items()}
    eps, embedding = config["rms_norm_eps"], tensors["model.embed_tokens.weight"]
    x = embedding[token_ids] * np.sqrt(config["hidden_size"])
    for index in range(config["num_hidden_layers"]):
        prefix = f"model.layers.{index}."
        w = {
            name.removeprefix(prefix).removesuffix(".weight"): each for name, each in tensors.items() if prefix in name
        }
        attended = _attention(config, w, _norm(x, w["input_layernorm"], eps), _sees(config, index, len(x)))
        x = x + _norm(attended, w["post_attention_layernorm"], eps)
        y = _norm(x, w["pre_feedforward_layernorm"], eps)
        y = (_gelu(y @ w["mlp.gate_proj"].T) * (y @ w["mlp.up_proj"].T)) @ w["mlp.down_proj"].T
        x = x + _norm(y, w["post_feedforward_layernorm"], eps)
    return _cap(_norm(x, tensors["model.norm.weight"], eps) @ embedding.T, config["final_logit_softcapping"])


def _attention(config: Mapping[str, Any], w: Mapping[str, Array], x: Array, sees: Array) -> Array:
    heads, kv_heads, width = (config[k] for k in ("num_attention_heads", "num_key_value_heads", "head_dim"))
    theta = (config.get("rope_parameters") or config)["rope_theta"]

    def split(name: str, count: int) -> Array:
        return (x @ w[f"self_attn.{name}"].T).reshape(len(x), count, width).transpose(1, 0, 2)

    q, k = _rotate(split("q_proj", heads), theta), _rotate(split("k_proj", kv_heads), theta)
    k, v = (np.repeat(each, heads // kv_heads, axis=0) for each in (k, split("v_proj", kv_heads)))
    scores = _cap(q @ k.transpose(0, 2, 1) / np.sqrt(config["query_pre_attn_scalar"]), config["attn_logit_softcapping"])
    scores = np.exp(np.where(sees, scores, -np.inf) - scores.max(axis=-1, keepdims=True))
    mixed = (scores / scores.sum(axis=-1, keepdims=True)) @ v
    return mixed.transpose(1, 0, 2).reshape(len(x), heads * width) @ w["self_attn.o_proj"].T


def _sees(config: Mapping[str, Any], index: int, length: int) -> Array:
    """Which key (column) each query (row) sees: itself and the past, in sliding layers the window's tokens only."""
    distance = np.arange(length)[:, None] - np.arange(length)
    kinds = config.get("layer_types") or ("sliding_attention", "full_attention") * config["num_hidden_layers"]
    window = config["sliding_window"] if kinds[index] == "sliding_attention" else length
    return (distance >= 0) & (distance < window)


def _rotate(x: Array, theta: float) -> Array:
    half = x.shape[-1] // 2
    angle = np.arange(x.shape[1])[:, None] * theta ** (-np.arange(half) / half)
    a, b = x[..., :half], x[..., half:]
    return np.concatenate([a * np.cos(angle) - b * np.sin(angle), b * np.cos(angle) + a * np.sin(angle)], axis=-1)


def _norm(x: Array, weight: Array, eps: float) -> Array:
    return x / np.sqrt(np.mean(x**2, axis=-1, keepdims=True) + eps) * (1 + weight)


def _cap(x: Array, cap: float | None) -> Array:
    return x if cap is None else cap * np.tanh(x / cap)


def _gelu(x: Array) -> Array:
    return 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))
