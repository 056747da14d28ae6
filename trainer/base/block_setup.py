"""What every loaded base model's blocks are set up with: what KerasHub's constructors lose, or would compute wrong.

Without it a Gemma is stock KerasHub's: right on a CPU for most presets, and wrong elsewhere without a word.
"""

from __future__ import annotations

from typing import Any

NORMS = ("pre_attention_norm", "post_attention_norm", "pre_ffw_norm", "post_ffw_norm")


def set_up_blocks(backbone: Any, config: dict[str, Any]) -> None:
    """Set up the blocks of a backbone, once it is built and before anything is traced.

    Args:
        backbone: a `keras_hub.models.GemmaBackbone`.
        config: of a Hugging Face folder, as `complete_config` returns it; empty where KerasHub's own says everything.
    """
    for index, block in enumerate(backbone.transformer_layers):
        _keep_soft_cap(block.attention)
        if config:
            _follow(block, config["layer_types"][index], config)
        else:
            # KerasHub's block does not hand it on, which is wrong for 27B: 1/√144, not 1/√128.
            block.attention.query_head_dim_normalize = backbone.query_head_dim_normalize


def _keep_soft_cap(attention: Any) -> None:
    """On a TPU KerasHub hands a soft cap on to Keras's fused attention, which forgets it inside `jit`."""
    if attention.logit_soft_cap is not None:
        attention._use_fused_attention_op = _never


def _never() -> bool:
    return False


def _follow(block: Any, kind: str, config: dict[str, Any]) -> None:
    """What `GemmaBackbone` has no argument for, or does not hand on to its blocks."""
    attention = block.attention
    attention.use_sliding_window_attention = kind == "sliding_attention"
    attention.rope_layer.max_wavelength = float(config["rope_theta"])
    # Once it is built, the layer needs its head_dim for nothing but the scale of the queries, 1/√head_dim.
    attention.head_dim = config["query_pre_attn_scalar"]
    for norm in NORMS:
        getattr(block, norm).epsilon = config["rms_norm_eps"]
