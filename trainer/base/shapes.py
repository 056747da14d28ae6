"""Shapes of a base model, known before it is loaded: for checks, and for the memory that slots will need."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trainer.base.json_file import read_json
from trainer.base.names import find_base
from trainer.config import Targets
from trainer.errors import BaseModelError, ConfigError

BYTES = {"float32": 4, "bfloat16": 2}


@dataclass(frozen=True, kw_only=True)
class BaseShape:
    """Sizes of a Gemma 2; `ffn_dim` is the width of one gate, half of KerasHub's `intermediate_dim`."""

    layers: int
    hidden_dim: int
    ffn_dim: int
    heads: int
    kv_heads: int
    head_dim: int
    vocabulary_size: int

    def kernels(self, targets: Targets) -> dict[str, tuple[int, ...]]:
        """Kernel shape of each target layer of one block, as KerasHub lays it out."""
        d, f, h = self.hidden_dim, self.ffn_dim, self.head_dim
        attention: dict[str, tuple[int, ...]] = {"query": (self.heads, d, h), "value": (self.kv_heads, d, h)}
        if targets == "attention_qv":
            return attention
        attention |= {"key": (self.kv_heads, d, h), "attention_output": (self.heads, h, d)}
        if targets == "attention":
            return attention
        return attention | {"ffw_gating": (d, f), "ffw_gating_2": (d, f), "ffw_linear": (f, d)}

    def check_split(self, chips_per_base: int) -> None:
        """Refuse a number of chips that cannot share the base model: heads, FFN and vocabulary are split evenly.

        Raises:
            ConfigError: naming the size that stands in the way, and the numbers that would do.
        """
        sizes = {
            "attention heads": self.heads,
            "key/value heads": self.kv_heads,
            "rows of the FFN": self.ffn_dim,
            "pieces of the vocabulary": self.vocabulary_size,
        }
        limit = math.gcd(*sizes.values())
        name, size = next(((n, s) for n, s in sizes.items() if s % chips_per_base), ("", 0))
        if name:
            fitting = ", ".join(str(n) for n in range(1, limit + 1) if limit % n == 0)
            raise ConfigError(
                f"`chips_per_base` must divide the {size:,} {name} of this base model, but got {chips_per_base}. "
                f"Choose from: {fitting}."
            )

    @property
    def block_parameters(self) -> int:
        """Number of weights of one block."""
        return sum(math.prod(kernel) for kernel in self.kernels("all_linear").values()) + 4 * self.hidden_dim

    @property
    def parameters(self) -> int:
        """Number of weights."""
        return self.layers * self.block_parameters + (self.vocabulary_size + 1) * self.hidden_dim

    def adapter_parameters(self, targets: Targets, rank: int) -> int:
        """Number of values in an adapter of a rank."""
        kernels = self.kernels(targets).values()
        return self.layers * sum(rank * (math.prod(kernel[:-1]) + kernel[-1]) for kernel in kernels)

    def checkpoint_bytes(self, targets: Targets, rank: int) -> int:
        """Size of a trial's checkpoint, a little more rather than less: adapter, two moments, and a name for each."""
        arrays = 3 * 2 * self.layers * len(self.kernels(targets))
        return 3 * 4 * self.adapter_parameters(targets, rank) + 512 * arrays + 65_536


_PRESET_SHAPES: Mapping[str, BaseShape] = {
    size: BaseShape(
        layers=layers, hidden_dim=d, ffn_dim=ffn, heads=heads, kv_heads=kv, head_dim=head_dim, vocabulary_size=256_000
    )
    for size, layers, d, ffn, heads, kv, head_dim in (
        ("2b", 26, 2304, 9216, 8, 4, 256),
        ("9b", 42, 3584, 14336, 16, 8, 256),
        ("27b", 46, 4608, 36864, 32, 16, 128),
    )
}


def max_rank(kernel: tuple[int, ...], target: str) -> int:
    """The rank of a full matrix of this kernel; per head for query, key and value, whose A is per head."""
    inputs = kernel[-2] if target in ("query", "key", "value") else math.prod(kernel[:-1])
    return min(inputs, kernel[-1])


def check_rank(kernels: Mapping[str, tuple[int, ...]], rank: int) -> None:
    """Refuse a rank above the smallest matrix that would get an adapter.

    Args:
        kernels: kernel shape of each target layer.
        rank: of the adapter.

    Raises:
        ConfigError: naming the matrix and its size.
    """
    smallest, kernel = min(kernels.items(), key=lambda item: max_rank(item[1], item[0]))
    limit = max_rank(kernel, smallest)
    if rank > limit:
        raise ConfigError(
            f"`rank` must be at most {limit}, the size of `{smallest}` in this base model "
            f"(kernel {'×'.join(map(str, kernel))}), but got {rank}. Choose a smaller rank."
        )


def read_shape(model: str) -> BaseShape | None:
    """Read a base model's shape from its name or its folder's configuration; None where only loading would tell.

    Raises:
        BaseModelError: the base model does not exist, or its configuration lacks a size.
    """
    source, hugging_face = find_base(model)
    if hugging_face:
        return _from_hugging_face(hugging_face)
    size = model.removesuffix("_en").rsplit("_", 1)[-1]
    if model.startswith("gemma2_") and size in _PRESET_SHAPES:
        return _PRESET_SHAPES[size]
    path = Path(source) / "config.json"
    if not path.is_file():
        return None
    config = read_json(path)
    try:
        return _from_keras_hub(config["config"])
    except (KeyError, TypeError, ValueError) as error:
        raise BaseModelError(f"{str(path)!r} must hold the sizes of a Gemma 2, but {error} is missing.") from None


def shape_of(backbone: Any) -> BaseShape:
    """The shape of a `keras_hub.models.GemmaBackbone` that was loaded."""
    return _from_keras_hub(vars(backbone))


def _from_keras_hub(config: Mapping[str, Any]) -> BaseShape:
    return BaseShape(
        layers=int(config["num_layers"]),
        hidden_dim=int(config["hidden_dim"]),
        ffn_dim=int(config["intermediate_dim"]) // 2,
        heads=int(config["num_query_heads"]),
        kv_heads=int(config["num_key_value_heads"]),
        head_dim=int(config["head_dim"]),
        vocabulary_size=int(config["vocabulary_size"]),
    )


def _from_hugging_face(config: Mapping[str, Any]) -> BaseShape:
    return BaseShape(
        layers=int(config["num_hidden_layers"]),
        hidden_dim=int(config["hidden_size"]),
        ffn_dim=int(config["intermediate_size"]),
        heads=int(config["num_attention_heads"]),
        kv_heads=int(config["num_key_value_heads"]),
        head_dim=int(config["head_dim"]),
        vocabulary_size=int(config["vocab_size"]),
    )
