"""The built-in model's shape, its making and its saving; imports Keras."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp

from trainer.base.block_setup import set_up_blocks
from trainer.machine.keras_backend import keras, keras_hub

# Gemma 2 in small: alternate layers see 32 tokens back, two query heads share a key head. KerasHub counts the two
# halves of the gated FFN together: its width is half of `intermediate_dim`.
ARCHITECTURE: dict[str, Any] = {
    **{"vocabulary_size": 3000, "num_layers": 4, "hidden_dim": 128, "intermediate_dim": 768},
    **{"num_query_heads": 4, "num_key_value_heads": 2, "head_dim": 32},
    **{"use_post_ffw_norm": True, "use_post_attention_norm": True},
    **{"attention_logit_soft_cap": 50.0, "final_logit_soft_cap": 30.0},
    **{"use_sliding_window_attention": True, "sliding_window_size": 32},
}
MAX_TOKENS = 256  # of the preset's preprocessor

Weights = list[Any]


def build(vocabulary: bytes, *, seed: int) -> Any:
    """A `GemmaCausalLM` with random weights."""
    keras.utils.set_random_seed(seed)
    tokenizer = keras_hub.models.GemmaTokenizer(proto=vocabulary)
    preprocessor = keras_hub.models.GemmaCausalLMPreprocessor(tokenizer, sequence_length=MAX_TOKENS)
    backbone = keras_hub.models.GemmaBackbone(**ARCHITECTURE, dtype="float32")
    set_up_blocks(backbone, {})
    return keras_hub.models.GemmaCausalLM(backbone=backbone, preprocessor=preprocessor)


def loss_function(model: Any) -> Callable[[Weights, Any], Any]:
    """Mean next-token loss of rows of tokens, int32 (batch, length + 1), as a function of the weights."""
    fixed = [variable.value for variable in model.non_trainable_variables]

    def loss(weights: Weights, tokens: Any) -> Any:
        inputs = {"token_ids": tokens[:, :-1], "padding_mask": jnp.ones_like(tokens[:, 1:], bool)}
        logits, _ = model.stateless_call(weights, fixed, inputs)
        chosen = jnp.take_along_axis(logits, tokens[:, 1:, None], axis=-1)[..., 0]
        return jnp.mean(jax.nn.logsumexp(logits, axis=-1) - chosen)

    return loss


def weights_of(model: Any) -> Weights:
    """The trainable weights, as arrays."""
    return [variable.value for variable in model.trainable_variables]


def set_rounded(model: Any, weights: Weights) -> None:
    """Put `weights`, rounded to bfloat16, into the model."""
    for variable, weight in zip(model.trainable_variables, weights, strict=True):
        variable.assign(weight.astype(jnp.bfloat16).astype(variable.dtype))


def save(model: Any, folder: Path) -> None:
    """Write the model, its tokenizer and preprocessor as a KerasHub preset folder."""
    folder.mkdir(parents=True, exist_ok=True)
    with warnings.catch_warnings():
        # Keras reads the unused optimizer's rate in a way that NumPy 2 deprecates.
        warnings.filterwarnings("ignore", "__array__ implementation", DeprecationWarning)
        model.save_to_preset(str(folder))


def optimizer(model: Any, steps: int, *, peak: float, warmup: int, decay: float, clip: float) -> Any:
    """Keras AdamW with a linear warm-up and a cosine to zero, built for the model's weights; norms do not decay."""
    rate = keras.optimizers.schedules.CosineDecay(0.0, steps - warmup, warmup_target=peak, warmup_steps=warmup)
    made = keras.optimizers.AdamW(rate, weight_decay=decay, beta_2=0.98, global_clipnorm=clip)
    made.exclude_from_weight_decay(var_names=["scale"])
    made.build(model.trainable_variables)
    return made
