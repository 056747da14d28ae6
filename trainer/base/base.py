"""Base models: a KerasHub preset name, a local KerasHub or Hugging Face folder, or the built-in model.

The forward pass is KerasHub's, its blocks set up by `trainer.base.block_setup`; Hugging Face folders are read by
`trainer.base.hugging_face`, which refuses what KerasHub's layers cannot compute.
"""

from __future__ import annotations

import contextlib
import hashlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from trainer.base.block_setup import set_up_blocks
from trainer.base.folders import without_vocabulary
from trainer.base.hugging_face import load_backbone
from trainer.base.names import fetch, find_base, unloadable
from trainer.base.tokenizer import Tokenizer
from trainer.errors import BaseModelError

if TYPE_CHECKING:
    from trainer.machine.chips import Chips

Dtype = Literal["float32", "bfloat16"]

_DIGEST_SAMPLES = 4096


@dataclass(frozen=True, eq=False)
class BaseModel:
    """A frozen Gemma 2 with its tokenizer.

    name       what was asked for: a preset name, a path, or `builtin`
    dtype      of its weights and matmuls
    causal_lm  the `keras_hub.models.GemmaCausalLM`
    tokenizer  its vocabulary
    on         the chips that hold it; None: the first
    """

    name: str
    dtype: Dtype
    causal_lm: Any
    tokenizer: Tokenizer
    on: Chips | None = None

    @cached_property
    def chips(self) -> Chips:
        """The chips that hold it."""
        from trainer.machine.chips import Chips

        return self.on or Chips.first()

    @property
    def backbone(self) -> Any:
        """The `keras_hub.models.GemmaBackbone`."""
        return self.causal_lm.backbone

    @cached_property
    def weights(self) -> list[Any]:
        """The frozen arrays, in the order of `backbone.variables`: compiled functions take them as arguments.

        Each is on all chips, whole, or split over the chips that share the base model.
        """
        import jax

        arrays = [variable.value for variable in self.backbone.variables]
        return arrays if self.chips.per_base > 1 else jax.device_put(arrays, self.chips.everywhere)

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
        import jax

        variables = self.backbone.variables
        samples = jax.jit(_spread_values)([variable.value for variable in variables])  # one program for all arrays
        sha = hashlib.sha256()
        for variable, values in zip(variables, samples, strict=True):
            sha.update(f"{variable.path} {variable.value.shape}".encode())
            sha.update(np.asarray(values).tobytes())
        return sha.hexdigest()


def _spread_values(arrays: list[Any]) -> list[Any]:
    import jax.numpy as jnp

    flat = (array.ravel()[:: max(1, array.size // _DIGEST_SAMPLES)][:_DIGEST_SAMPLES] for array in arrays)
    return [values.astype(jnp.bfloat16).astype(jnp.float32) for values in flat]


def load_base(model: str, *, dtype: Dtype = "float32", chips: Chips | None = None) -> BaseModel:
    """Load a base model.

    Args:
        model: `builtin`, a KerasHub preset name (with its network and credentials), `kaggle://…` or `hf://…`, or the
            path of a KerasHub preset folder or of a Hugging Face folder with `tokenizer.model`.
        dtype: of weights and matmuls; norms, softmax and the loss are always computed in float32.
        chips: that hold it; None: the first that JAX sees.

    Raises:
        BaseModelError: it cannot be found, is not a Gemma 2, or is damaged.
    """
    source, config = find_base(fetch(model))
    from trainer.machine.keras_backend import own_settings

    with own_settings(), chips.holding_weights() if chips else contextlib.nullcontext():
        causal_lm = _load_hugging_face(Path(source), config, dtype) if config else _load_preset(model, source, dtype)
    set_up_blocks(causal_lm.backbone, config)
    tokenizer = Tokenizer(causal_lm.preprocessor.tokenizer.proto)
    if tokenizer.vocabulary_size > causal_lm.backbone.vocabulary_size:
        raise BaseModelError(
            f"The tokenizer of {model!r} has {tokenizer.vocabulary_size} pieces, but its embedding only "
            f"{causal_lm.backbone.vocabulary_size} rows. They must belong together."
        )
    return BaseModel(model, dtype, causal_lm, tokenizer, chips)


def _load_hugging_face(folder: Path, config: dict[str, Any], dtype: Dtype) -> Any:
    from trainer.machine.keras_backend import keras_hub

    proto = Tokenizer((folder / "tokenizer.model").read_bytes()).proto  # checked before KerasHub sees it
    preprocessor = keras_hub.models.GemmaCausalLMPreprocessor(keras_hub.models.GemmaTokenizer(proto=proto))
    return keras_hub.models.GemmaCausalLM(load_backbone(folder, config, dtype), preprocessor)


def _load_preset(model: str, source: str, dtype: Dtype) -> Any:
    from trainer.machine.keras_backend import keras_hub

    try:
        causal_lm = keras_hub.models.GemmaCausalLM.from_preset(source, dtype=dtype)
    except Exception as error:
        raise unloadable(model, error) from error
    if causal_lm.preprocessor is None:
        raise without_vocabulary(model)
    return causal_lm
