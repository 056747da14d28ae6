"""Small random Gemma 2 checkpoints in Hugging Face's layout, in every shape that such a folder may have."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save_file

Config = dict[str, Any]
Tensors = dict[str, NDArray[Any]]

TOKEN_IDS = np.random.default_rng(1).integers(4, 320, 24)  # longer than every window below

PLAIN: Config = {
    "architectures": ["Gemma2ForCausalLM"],
    "model_type": "gemma2",
    "vocab_size": 320,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "hidden_activation": "gelu_pytorch_tanh",
    "rms_norm_eps": 1e-6,
    "rope_parameters": {"rope_type": "default", "rope_theta": 10_000.0},
    "query_pre_attn_scalar": 8,
    "sliding_window": 7,
    "attn_logit_softcapping": 50.0,
    "final_logit_softcapping": 30.0,
    "tie_word_embeddings": True,
}
SLIDING, FULL = "sliding_attention", "full_attention"

SHAPES: dict[str, Config] = {
    "plain": {},
    "another query scale": {"query_pre_attn_scalar": 27},
    "a query scale of hidden/heads, as 27B": {"head_dim": 20, "query_pre_attn_scalar": 8},
    "another rotary base": {"rope_parameters": {"rope_type": "default", "rope_theta": 123.0}},
    "a large epsilon": {"rms_norm_eps": 0.3},
    "a window of one token": {"sliding_window": 1},
    "a window longer than the sequence": {"sliding_window": 4096},
    "one key-value head": {"num_key_value_heads": 1},
    "as many key-value heads as heads, and more rows than pieces": {"num_key_value_heads": 4, "vocab_size": 390},
    "wide heads": {"head_dim": 20},
    "an odd number of layers": {"num_hidden_layers": 3},
    "full attention first": {"layer_types": [FULL, SLIDING]},
    "two full layers in a row": {"num_hidden_layers": 3, "layer_types": [SLIDING, FULL, FULL]},
    "only sliding layers": {"layer_types": [SLIDING, SLIDING]},
    "no sliding layer": {"layer_types": [FULL, FULL]},
    "tight soft caps": {"attn_logit_softcapping": 1.5, "final_logit_softcapping": 2.5},
    "no soft caps": {"attn_logit_softcapping": None, "final_logit_softcapping": None},
}
"""What each shape changes in `PLAIN`; all of them can be made by transformers."""


def shapes_of(config: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    """Name and shape of every tensor of a checkpoint."""
    d, f, width = config["hidden_size"], config["intermediate_size"], config["head_dim"]
    q, kv = config["num_attention_heads"] * width, config["num_key_value_heads"] * width
    layer = {
        "self_attn.q_proj": (q, d),
        "self_attn.k_proj": (kv, d),
        "self_attn.v_proj": (kv, d),
        "self_attn.o_proj": (d, q),
        "mlp.gate_proj": (f, d),
        "mlp.up_proj": (f, d),
        "mlp.down_proj": (d, f),
    }
    layer |= {f"{name}_layernorm": (d,) for name in ("input", "post_attention", "pre_feedforward", "post_feedforward")}
    shapes = {"model.embed_tokens.weight": (config["vocab_size"], d), "model.norm.weight": (d,)}
    for index in range(config["num_hidden_layers"]):
        shapes |= {f"model.layers.{index}.{name}.weight": shape for name, shape in layer.items()}
    return shapes


def random_tensors(config: Mapping[str, Any], dtype: Any = np.float32) -> Tensors:
    """Values large enough for soft caps, norms' scales and epsilon to matter."""
    rng = np.random.default_rng(0)
    return {name: rng.normal(0, 0.4, shape).astype(dtype) for name, shape in shapes_of(config).items()}


def write_folder(folder: Path, config: Mapping[str, Any], tensors: Tensors, proto: bytes, *, shards: int = 1) -> None:
    """Write a checkpoint and its tokenizer."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    (folder / "tokenizer.model").write_bytes(proto)
    if shards == 1:
        save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
        return
    names = sorted(tensors)
    files = {name: f"model-{place % shards + 1:05}-of-{shards:05}.safetensors" for place, name in enumerate(names)}
    for file in set(files.values()):
        save_file({name: tensors[name] for name in names if files[name] == file}, folder / file)
    index = {"metadata": {"total_size": 0}, "weight_map": files}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index), encoding="utf-8")


STORAGE = {"float32": np.float32, "bfloat16": ml_dtypes.bfloat16, "float16": np.float16}
