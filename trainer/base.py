"""Base models: a KerasHub preset name, a local KerasHub or Hugging Face folder, or the built-in model.

Loading goes through KerasHub; what its Hugging Face reader and its 27B preset get wrong for Gemma 2 is mended here,
and what KerasHub's layers cannot express is refused.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np

from trainer.base_names import find_base, first_line, rope_of
from trainer.errors import BaseModelError
from trainer.tokens import Tokenizer

Dtype = Literal["float32", "bfloat16"]

_DIGEST_SAMPLES = 4096


@dataclass(frozen=True, eq=False)
class BaseModel:
    """A frozen Gemma 2 with its tokenizer.

    name       what was asked for: a preset name, a path, or `builtin`
    dtype      of its weights and matmuls
    causal_lm  the `keras_hub.models.GemmaCausalLM`
    tokenizer  its vocabulary
    """

    name: str
    dtype: Dtype
    causal_lm: Any
    tokenizer: Tokenizer

    @property
    def backbone(self) -> Any:
        """The `keras_hub.models.GemmaBackbone`."""
        return self.causal_lm.backbone

    @cached_property
    def weights(self) -> list[Any]:
        """The frozen arrays, in the order of `backbone.variables`: compiled functions take them as arguments."""
        return [variable.value for variable in self.backbone.variables]

    @property
    def bytes(self) -> int:
        """Memory of the weights."""
        return sum(int(array.nbytes) for array in self.weights)

    @cached_property
    def digest(self) -> str:
        """Fingerprint of architecture and weights, equal for float32 and bfloat16 copies of the same model.

        It hashes shapes and up to 4096 evenly spread values of each array, rounded to bfloat16: enough to tell two
        models apart, and fast for 27 billion parameters.
        """
        import jax.numpy as jnp

        sha = hashlib.sha256()
        for variable in self.backbone.variables:
            array = variable.value
            sha.update(f"{variable.path} {array.shape}".encode())
            stride = max(1, array.size // _DIGEST_SAMPLES)
            samples = jnp.ravel(array)[::stride][:_DIGEST_SAMPLES].astype(jnp.bfloat16)
            sha.update(np.asarray(samples.astype(jnp.float32)).tobytes())
        return sha.hexdigest()


def load_base(model: str, *, dtype: Dtype = "float32") -> BaseModel:
    """Load a base model.

    Args:
        model: `builtin`, a KerasHub preset name (with its network and credentials), `kaggle://…` or `hf://…`, or the
            path of a KerasHub preset folder or of a Hugging Face folder with `tokenizer.model`.
        dtype: of weights and matmuls; norms, softmax and the loss are always computed in float32.

    Raises:
        BaseModelError: it cannot be found, is not a Gemma 2, or is damaged.
    """
    source, config = find_base(model)
    from trainer.keras_backend import keras_hub

    overrides = {"layer_norm_epsilon": config["rms_norm_eps"]} if "rms_norm_eps" in config else {}
    try:
        causal_lm = keras_hub.models.GemmaCausalLM.from_preset(source, dtype=dtype, **overrides)
        proto = causal_lm.preprocessor.tokenizer.proto
    except Exception as error:
        raise BaseModelError(
            f"The base model {model!r} could not be loaded: {type(error).__name__}: {first_line(error)}. "
            "A preset needs network and Kaggle credentials once; a folder needs its weights, configuration and "
            "tokenizer whole."
        ) from error
    _mend_attention(causal_lm.backbone, config)
    tokenizer = Tokenizer(proto)
    if tokenizer.vocabulary_size > causal_lm.backbone.vocabulary_size:
        raise BaseModelError(
            f"The tokenizer of {model!r} has {tokenizer.vocabulary_size} pieces, but its embedding only "
            f"{causal_lm.backbone.vocabulary_size} rows. They must belong together."
        )
    return BaseModel(model, dtype, causal_lm, tokenizer)


def _mend_attention(backbone: Any, config: dict[str, Any]) -> None:
    """Give each attention layer the query scale, the window and the rotary base that the model was trained with.

    KerasHub's decoder block ignores `query_head_dim_normalize=False`, which is wrong for 27B (1/√144, not 1/√128),
    and its Hugging Face reader knows neither another query scale, nor another rotary base, nor `layer_types`.
    """
    for index, block in enumerate(backbone.transformer_layers):
        attention = block.attention
        attention.query_head_dim_normalize = backbone.query_head_dim_normalize
        if not config:
            continue
        if config["query_pre_attn_scalar"] != backbone.head_dim:
            # With query_head_dim_normalize off, the layer scales by 1/√(hidden_dim // num_query_heads).
            attention.query_head_dim_normalize = False
            attention.hidden_dim = int(config["query_pre_attn_scalar"]) * backbone.num_query_heads
        attention.rope_layer.max_wavelength = float(
            rope_of(config).get("rope_theta", config.get("rope_theta", 10_000.0))
        )
        if config.get("layer_types"):
            attention.use_sliding_window_attention = config["layer_types"][index] == "sliding_attention"
