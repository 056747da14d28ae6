"""`config.json` of a Hugging Face folder: every key that changes what Gemma 2 computes, checked and completed.

Whatever KerasHub's layers cannot compute is refused by its key. Keys that are not there have the values that
transformers gives them.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from trainer.errors import BaseModelError

DEFAULTS: dict[str, Any] = {
    "hidden_activation": "gelu_pytorch_tanh",
    "tie_word_embeddings": True,
    "attention_bias": False,
    "use_bidirectional_attention": None,
    "quantization_config": None,
    "query_pre_attn_scalar": 256,
    "rms_norm_eps": 1e-6,
    "sliding_window": 4096,
    "attn_logit_softcapping": 50.0,
    "final_logit_softcapping": 30.0,
    "layer_types": None,
}
ROPE_THETA = 10_000.0
LAYER_TYPES = ("sliding_attention", "full_attention")

_CHOICES: dict[str, tuple[Any, ...]] = {
    "model_type": ("gemma2",),
    "hidden_activation": ("gelu_pytorch_tanh",),
    "tie_word_embeddings": (True,),
    "attention_bias": (False,),
    "use_bidirectional_attention": (None, False),
    "quantization_config": (None,),
    "rope_type": ("default",),
}
_SIZES = (
    *("vocab_size", "num_hidden_layers", "num_attention_heads", "num_key_value_heads"),
    *("hidden_size", "intermediate_size", "head_dim"),
)


def complete_config(path: Path, config: dict[str, Any]) -> dict[str, Any]:
    """Check a configuration and fill in what it leaves out.

    Returns:
        The configuration with every key of `DEFAULTS`, with `rope_theta` and `rope_type` at the top level, and with
        `layer_types` as a list.

    Raises:
        BaseModelError: a key has a value that this package cannot compute with, or a size is missing.
    """
    if config.get("model_type") == "gemma2":  # the keys of another architecture mean other things
        config = DEFAULTS | config | _rope(path, config)
    for key, choices in _CHOICES.items():
        require(path, key, config.get(key), choices)
    for keys, rule, holds in (
        ((*_SIZES, "sliding_window"), "a positive integer", _is_size),
        (("query_pre_attn_scalar", "rms_norm_eps", "rope_theta"), "a positive number", _is_positive),
        (("attn_logit_softcapping", "final_logit_softcapping"), "a positive number, or null for none", _is_cap),
    ):
        for key in keys:
            _check(path, config, key, rule, holds)
    kv_heads, layers = config["num_key_value_heads"], config["num_hidden_layers"]
    rule = f"a multiple of `num_key_value_heads` ({kv_heads})"
    _check(path, config, "num_attention_heads", rule, lambda heads: heads % kv_heads == 0)
    _check(path, config, "head_dim", "even, because rotary embedding turns pairs", lambda width: width % 2 == 0)
    if config["layer_types"] is None:
        config["layer_types"] = [LAYER_TYPES[index % 2] for index in range(layers)]
    rule = f"a list of {layers} (`num_hidden_layers`) times {' or '.join(map(repr, LAYER_TYPES))}"
    _check(path, config, "layer_types", rule, lambda kinds: _are_layer_types(kinds, layers))
    return config


def require(path: Path, key: str, value: Any, choices: tuple[Any, ...]) -> None:
    """Refuse a value that is not one of a key's choices.

    Raises:
        BaseModelError: naming the key, the choices and the value.
    """
    if not any(value == choice and isinstance(value, type(choice)) for choice in choices):
        raise BaseModelError(
            f"`{key}` in {str(path)!r} must be {' or '.join(map(_in_json, choices))} (Gemma 2), "
            f"but got {_in_json(value)}."
        )


def _rope(path: Path, config: dict[str, Any]) -> dict[str, Any]:
    """Rotary parameters, wherever the version of transformers that wrote them keeps them."""
    rope = config.get("rope_scaling") or config.get("rope_parameters") or {}
    if not isinstance(rope, dict) or any(isinstance(value, dict) for value in rope.values()):
        key = "rope_scaling" if config.get("rope_scaling") else "rope_parameters"
        raise BaseModelError(
            f"`{key}` in {str(path)!r} must be one object with `rope_type` and `rope_theta` for all layers (Gemma 2), "
            f"but got {_in_json(rope)}."
        )
    top = config.get("rope_theta", ROPE_THETA)
    return {
        "rope_type": rope.get("rope_type", rope.get("type", "default")),
        "rope_theta": rope.get("rope_theta", ROPE_THETA if top is None else top),
    }


def _check(path: Path, config: dict[str, Any], key: str, rule: str, holds: Callable[[Any], bool]) -> None:
    value = config.get(key)
    if not holds(value):
        raise BaseModelError(f"`{key}` in {str(path)!r} must be {rule}, but got {_in_json(value)}.")


def _in_json(value: Any) -> str:
    """As the file spells it, cut where it is long."""
    words = {None: "null", True: "true", False: "false"}
    text = words[value] if value is None or isinstance(value, bool) else repr(value)
    return text if len(text) <= 200 else f"{text[:200]} …"


def _is_size(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _is_positive(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < sys.float_info.max


def _is_cap(value: Any) -> bool:
    return value is None or _is_positive(value)


def _are_layer_types(value: Any, layers: int) -> bool:
    return isinstance(value, list) and len(value) == layers and all(kind in LAYER_TYPES for kind in value)
