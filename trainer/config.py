"""The configuration of one trial: what a search space may vary, each field with its unit and range."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Self, get_args

from trainer.errors import ConfigError

Targets = Literal["attention_qv", "attention", "all_linear"]
Schedule = Literal["constant", "linear", "cosine"]

MAX_EPOCHS = 1000
MAX_BATCH_SIZE = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialConfig:
    """Hyperparameters of one LoRA fine-tune; the defaults are the notebook's, where it has them.

    rank               columns of A (KerasHub's layout: per head for query, key and value)
    alpha              LoRA alpha; the product is scaled by `alpha / rank`. None: `scale` is used.
    scale              factor of the LoRA product when `alpha` is None (KerasHub always uses 1)
    targets            matrices that get an adapter: `attention_qv` (KerasHub's default),
                       `attention` (query, key, value, output), `all_linear` (those and the three FFN matrices)
    dropout            probability that an input of A is zeroed in training
    learning_rate      peak of the schedule
    weight_decay       decoupled, times the learning rate (Keras AdamW)
    warmup_fraction    part of all steps in which the learning rate rises linearly from 0
    schedule           what follows: `constant`, `linear` to 0, or `cosine` to 0
    clip_norm          global norm that gradients are clipped to; None: no clipping
    batch_size         dialogues per step
    epochs             passes over the training set
    seed               of the adapter's first values, of the data order and of dropout
    """

    rank: int = 2
    alpha: float | None = None
    scale: float = 1.0
    targets: Targets = "attention_qv"
    dropout: float = 0.0
    learning_rate: float = 1e-4
    weight_decay: float = 0.01
    warmup_fraction: float = 0.0
    schedule: Schedule = "constant"
    clip_norm: float | None = None
    batch_size: int = 1
    epochs: int = 2
    seed: int = 0

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            check_parameter(field.name, getattr(self, field.name))

    @classmethod
    def from_params(cls, params: Mapping[str, Any]) -> Self:
        """Build a configuration from a trial's parameters.

        Raises:
            ConfigError: an unknown name, or a value outside its range.
        """
        unknown = sorted(set(params) - set(PARAMETER_NAMES))
        if unknown:
            raise ConfigError(f"Unknown parameter {unknown[0]!r}. Choose from: {', '.join(PARAMETER_NAMES)}.")
        return cls(**params)

    @property
    def lora_scale(self) -> float:
        """The factor of the LoRA product."""
        return self.scale if self.alpha is None else self.alpha / self.rank


def check_parameter(name: str, value: Any) -> None:
    """Check one parameter's type and range.

    Raises:
        ConfigError: naming the rule, the value and the choices.
    """
    if name not in _RULES:
        raise ConfigError(f"Unknown parameter {name!r}. Choose from: {', '.join(PARAMETER_NAMES)}.")
    rule, holds = _RULES[name]
    if not holds(value):
        raise ConfigError(f"`{name}` must be {rule}, but got {value!r}.")


def _is_int(value: Any, low: int, high: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and low <= value <= high


def _is_real(value: Any) -> bool:
    if isinstance(value, int) and not isinstance(value, bool):
        return abs(value) < 2**1023  # larger whole numbers fit no double
    return isinstance(value, float) and math.isfinite(value)


_Rule = tuple[str, Callable[[Any], bool]]
_RULES: dict[str, _Rule] = {
    "rank": ("a whole number from 1 to 4096", lambda v: _is_int(v, 1, 4096)),
    "alpha": ("a positive number or null", lambda v: v is None or (_is_real(v) and v > 0)),
    "scale": ("a positive number", lambda v: _is_real(v) and v > 0),
    "targets": (f"one of {', '.join(get_args(Targets))}", lambda v: v in get_args(Targets)),
    "dropout": ("a number from 0 to below 1", lambda v: _is_real(v) and 0 <= v < 1),
    "learning_rate": ("a number above 0 and at most 10", lambda v: _is_real(v) and 0 < v <= 10),
    "weight_decay": ("a number from 0 to 1", lambda v: _is_real(v) and 0 <= v <= 1),
    "warmup_fraction": ("a number from 0 to 1", lambda v: _is_real(v) and 0 <= v <= 1),
    "schedule": (f"one of {', '.join(get_args(Schedule))}", lambda v: v in get_args(Schedule)),
    "clip_norm": ("a positive number or null", lambda v: v is None or (_is_real(v) and v > 0)),
    "batch_size": (f"a whole number from 1 to {MAX_BATCH_SIZE}", lambda v: _is_int(v, 1, MAX_BATCH_SIZE)),
    "epochs": (f"a whole number from 1 to {MAX_EPOCHS}", lambda v: _is_int(v, 1, MAX_EPOCHS)),
    "seed": ("a whole number from 0 to 2**32 - 1", lambda v: _is_int(v, 0, 2**32 - 1)),
}

PARAMETER_NAMES: tuple[str, ...] = tuple(_RULES)
