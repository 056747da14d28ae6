"""The section `training`: what all trials share; its keys, ranges and defaults are those of TrialConfig."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from pydantic import Field, model_serializer, model_validator

from search_spaces import Mistake
from search_spaces.scalars import plain
from search_spaces.wording import show, unknown_key
from sweeps.errors import SpecError
from sweeps.spec.section import Section
from trainer.config import PARAMETER_NAMES, TrialConfig, check_parameter
from trainer.errors import ConfigError

_FAMILIAR = {
    **dict.fromkeys(("lr", "max_lr", "peak_lr"), "learning_rate"),
    **dict.fromkeys(("r", "rank", "dim"), "rank"),
    **dict.fromkeys(("num_epochs", "num_train_epochs", "epoch", "n_epochs"), "epochs"),
    **dict.fromkeys(("bs", "batch", "per_device_train_batch_size"), "batch_size"),
    **dict.fromkeys(("wd", "decay"), "weight_decay"),
    **dict.fromkeys(("warmup", "warmup_ratio"), "warmup_fraction"),
    **dict.fromkeys(("scheduler", "lr_scheduler_type", "lr_schedule"), "schedule"),
    **dict.fromkeys(("max_grad_norm", "grad_clip", "gradient_clip"), "clip_norm"),
    **dict.fromkeys(("target_modules", "target_layers"), "targets"),
    **{name: name for name in ("alpha", "dropout")},
}  # how other trainers call them, without `lora_`


class TrainingSpec(Section):
    """What all trials share: in YAML, `evaluations_per_epoch` and any field of TrialConfig that the space leaves.

    config   the trial's configuration where the space says nothing
    """

    evaluations_per_epoch: int = Field(default=1, ge=1, le=1000)
    config: TrialConfig = TrialConfig()

    @model_validator(mode="before")
    @classmethod
    def _gather(cls, raw: Any) -> Any:
        if not isinstance(raw, Mapping) or isinstance(raw.get("config"), TrialConfig):
            return raw
        own = ("evaluations_per_epoch",)
        known = (*PARAMETER_NAMES, *own)
        mistakes = [Mistake(str(key), unknown_key(meant(key), known)) for key in raw if key not in known]
        params = {key: plain(value) for key, value in raw.items() if key in PARAMETER_NAMES}
        for key, value in params.items():
            try:
                check_value(key, value)
            except ConfigError as error:
                mistakes.append(Mistake(key, f"{error}{_several(key, value)}"))
        if mistakes:
            raise SpecError(mistakes)
        return {key: raw[key] for key in own if key in raw} | {"config": TrialConfig(**params)}

    @model_serializer
    def _flat(self) -> dict[str, Any]:
        return dataclasses.asdict(self.config) | {"evaluations_per_epoch": self.evaluations_per_epoch}


def meant(name: Any) -> Any:
    """Return the parameter that others know by this name; any other name as it is."""
    return _FAMILIAR.get(str(name).lower().replace("-", "_").removeprefix("lora_"), name)


def _several(name: str, value: Any) -> str:
    """How to search the values of a list, where each of them may be set."""
    try:
        for each in value if isinstance(value, list) else [value]:
            check_value(name, each)
    except ConfigError:
        return ""
    return f" To try several, write search.space.{name}: {{type: choice, values: {show(value)}}}."


def check_value(name: str, value: Any) -> None:
    """Check a parameter of TrialConfig, numbers beyond a double included.

    Raises:
        ConfigError: naming the rule, the value and the choices.
    """
    try:
        check_parameter(name, value)
    except OverflowError:
        raise ConfigError(f"`{name}` must be a number that fits a double, but got {show(value)}.") from None
