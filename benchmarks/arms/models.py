"""Random base models of any shape, in any dtype, and random token sets: what speed and memory can be measured with."""

from __future__ import annotations

from typing import Any, cast

import numpy as np

from trainer.base.base import BaseModel, Dtype
from trainer.base.block_setup import set_up_blocks
from trainer.base.shapes import BaseShape, read_shape
from trainer.base.tokenizer import Tokenizer
from trainer.dialogues.tokens import Example, TokenSet

# `2B` is Gemma 2's own; the others have its proportions.
SHAPES: dict[str, BaseShape] = {
    "2B": cast(BaseShape, read_shape("gemma2_2b_en")),
    "100M": BaseShape(
        layers=12, hidden_dim=640, ffn_dim=2560, heads=8, kv_heads=4, head_dim=64, vocabulary_size=48_000
    ),
    "reduced": BaseShape(layers=2, hidden_dim=64, ffn_dim=256, heads=4, kv_heads=2, head_dim=16, vocabulary_size=1024),
}


def random_causal_lm(shape: BaseShape, dtype: Dtype, *, seed: int = 0) -> Any:
    """Build a `GemmaCausalLM` without a tokenizer, on a `random_backbone`."""
    from trainer.machine.keras_backend import keras_hub

    return keras_hub.models.GemmaCausalLM(backbone=random_backbone(shape, dtype, seed=seed), preprocessor=None)


def random_backbone(shape: BaseShape, dtype: Dtype, *, seed: int = 0, sliding_window: int = 4096) -> Any:
    """Build a Gemma 2 `GemmaBackbone` with KerasHub's first values; equal for equal seeds.

    Each array is drawn in `dtype` on the default device, one after another: the host never holds the model, and the
    device no float32 copy of it.

    Args:
        shape: of the backbone.
        dtype: of its weights.
        seed: of Keras, for the whole process.
        sliding_window: tokens that a local layer sees.
    """
    from trainer.machine.keras_backend import keras, keras_hub

    keras.utils.set_random_seed(seed)
    backbone = keras_hub.models.GemmaBackbone(
        vocabulary_size=shape.vocabulary_size,
        num_layers=shape.layers,
        num_query_heads=shape.heads,
        num_key_value_heads=shape.kv_heads,
        hidden_dim=shape.hidden_dim,
        intermediate_dim=2 * shape.ffn_dim,
        head_dim=shape.head_dim,
        use_post_ffw_norm=True,
        use_post_attention_norm=True,
        attention_logit_soft_cap=50.0,
        final_logit_soft_cap=30.0,
        use_sliding_window_attention=True,
        sliding_window_size=sliding_window,
        dtype=dtype,
    )
    set_up_blocks(backbone, {})
    return backbone


def random_base(shape: BaseShape, dtype: Dtype, *, seed: int = 0) -> BaseModel:
    """Build a random base model. It has no tokenizer: a pack needs one only to write samples."""
    return BaseModel("random", dtype, random_causal_lm(shape, dtype, seed=seed), cast(Tokenizer, None))


def random_tokens(count: int, length: int, vocabulary_size: int, *, seed: int = 0) -> TokenSet:
    """Draw `count` examples of exactly `length` tokens; all but the first are targets, so that none is padding."""
    ids = np.random.default_rng(seed).integers(10, vocabulary_size, (count, length)).astype(np.int32)
    mask = np.arange(length) > 0
    examples = tuple(Example(token_ids=row, loss_mask=mask, text_bytes=length - 1) for row in ids)
    return TokenSet(f"random {length}", examples, f"{seed} {count} {length} {vocabulary_size}")
