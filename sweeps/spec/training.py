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
        mistakes = [Mistake(str(key), unknown_key(key, known)) for key in raw if key not in known]
        params = {key: plain(value) for key, value in raw.items() if key in PARAMETER_NAMES}
        for key, value in params.items():
            try:
                check_value(key, value)
            except ConfigError as error:
                mistakes.append(Mistake(key, str(error)))
        if mistakes:
            raise SpecError(mistakes)
        return {key: raw[key] for key in own if key in raw} | {"config": TrialConfig(**params)}

    @model_serializer
    def _flat(self) -> dict[str, Any]:
        return dataclasses.asdict(self.config) | {"evaluations_per_epoch": self.evaluations_per_epoch}


def check_value(name: str, value: Any) -> None:
    """Check a parameter of TrialConfig, numbers beyond a double included.

    Raises:
        ConfigError: naming the rule, the value and the choices.
    """
    try:
        check_parameter(name, value)
    except OverflowError:
        raise ConfigError(f"`{name}` must be a number that fits a double, but got {show(value)}.") from None
