"""SweepSpec: one sweep, whole.

Build it with `parse_spec` or `load_spec`: they also check what lies between sections, and speak in sentences.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field

from search_spaces.yaml_text import write_yaml
from sweeps.settings import Accelerator, BudgetSettings, ComputeSettings
from sweeps.spec.data import DataSpec
from sweeps.spec.fields import Address, AnySequence, Experiment, Line, ModelName, Prompt, Slots, SweepName
from sweeps.spec.metrics import metric_names
from sweeps.spec.search import SearchSpec
from sweeps.spec.section import Section
from sweeps.spec.training import TrainingSpec
from trainer.config import PARAMETER_NAMES, TrialConfig


class BaseSpec(Section):
    """The base model: `builtin`, a KerasHub preset, or a folder; and the dtype of its weights."""

    model: Line
    dtype: Literal["float32", "bfloat16"] = "float32"


class ComputeSpec(Section):
    """Where a sweep runs.

    accelerator    what each worker owns; `auto`: a TPU or GPU if there is one, else CPU cores
    chips          GPUs or TPU chips of a worker, which spreads its slots over them; on a CPU they are simulated
    chips_per_base   chips that share one base model, for one too large for a single chip
    priority       weight of the sweep where several share a cluster: twice that of another, twice its accelerators
    slots          trials that train together in one worker; `auto`: as many as memory holds
    address        of a Ray cluster; null: a local Ray, started and shut down with the sweep
    max_failures   times that a trial goes on in another worker after its own was lost
    checkpoint_minutes   between two checkpoints of a trial; there is one at the end of every epoch, too
    """

    accelerator: Accelerator = ComputeSettings.accelerator
    workers: int = Field(default=ComputeSettings.workers, ge=1, le=1024)
    priority: int = Field(default=ComputeSettings.priority, ge=1, le=1000)
    slots: Slots = "auto"
    chips: int = Field(default=ComputeSettings.chips, ge=1, le=64)
    chips_per_base: int = Field(default=ComputeSettings.chips_per_base, ge=1, le=64)
    address: Address | None = None
    max_failures: int = Field(default=ComputeSettings.max_failures, ge=0, le=100)
    checkpoint_minutes: float = Field(default=ComputeSettings.checkpoint_s / 60, gt=0, le=1440)

    def settings(self, *, slots: int) -> ComputeSettings:
        """Return the section with the number of slots that `auto` came to, or that was asked for."""
        return ComputeSettings(
            workers=self.workers,
            slots=slots,
            accelerator=self.accelerator,
            chips=self.chips,
            chips_per_base=self.chips_per_base,
            priority=self.priority,
            address=self.address,
            max_failures=self.max_failures,
            checkpoint_s=60 * self.checkpoint_minutes,
        )


class BudgetSpec(Section):
    """What the sweep may use up, resumed runs included; null: no limit. Reached, it is drained and can be resumed.

    max_trials               trials that may end, of all that `search.trials` asks for
    max_hours                hours in which workers run
    max_accelerator_hours    the same, for each worker
    """

    max_trials: int | None = Field(default=None, ge=1, le=1_000_000)
    max_hours: float | None = Field(default=None, gt=0, le=1e6)
    max_accelerator_hours: float | None = Field(default=None, gt=0, le=1e6)

    def settings(self) -> BudgetSettings:
        """Return the section as the driver knows it."""
        return BudgetSettings(**self.model_dump())


class SamplesSpec(Section):
    """Prompts that every trial answers after each epoch."""

    prompts: Annotated[tuple[Prompt, ...], AnySequence, Field(max_length=64)] = ()
    max_new_tokens: int = Field(default=48, ge=1, le=2048)


class PromotionSpec(Section):
    """The registered model that the best adapter becomes a version of; whether at the end of the sweep by itself."""

    model: ModelName
    automatic: bool = True


class SweepSpec(Section):
    """One sweep, whole: written out by `to_yaml`, read back equal by `read_spec`."""

    name: SweepName
    base: BaseSpec
    data: DataSpec
    search: SearchSpec
    training: TrainingSpec = TrainingSpec()
    compute: ComputeSpec = ComputeSpec()
    budget: BudgetSpec = BudgetSpec()
    samples: SamplesSpec = SamplesSpec()
    promotion: PromotionSpec
    experiment: Experiment = "gemma-sweeps"

    @property
    def metrics(self) -> tuple[str, ...]:
        """Names of all validation metrics of a trial."""
        return metric_names(self.data.validation)

    @property
    def helpers(self) -> frozenset[str]:
        """Parameters of the space that only decide conditions, and mean nothing to a trial."""
        return frozenset(self.search.space.parameters) - set(PARAMETER_NAMES)

    def trial_config(self, params: Mapping[str, Any]) -> TrialConfig:
        """Return the configuration of the trial whose drawn parameters (in the ledger) are `params`.

        Raises:
            SearchSpaceError: naming each parameter that is missing, unknown or outside the space.
            ConfigError: parameters that the trainer refuses.
        """
        complete = self.search.space.complete(params)
        own = {name: value for name, value in complete.items() if name not in self.helpers}
        return dataclasses.replace(self.training.config, **own)  # type: ignore[arg-type]

    def extremes(self, name: str) -> tuple[Any, ...]:
        """Return values that bound what a field of TrialConfig can be in this sweep: range ends, or all choices."""
        distribution = self.search.space.parameters.get(name)
        fixed = (getattr(self.training.config, name),)
        if distribution is None:
            return fixed
        drawn = tuple(value for _, value in distribution.corners())
        return drawn if not distribution.conditions else tuple(dict.fromkeys((*drawn, *fixed)))

    def to_mapping(self) -> dict[str, Any]:
        """Return plain values with every default written out, fit for YAML and JSON."""
        written = self.model_dump(mode="json")
        varied = self.search.space.parameters
        written["training"] = {key: value for key, value in written["training"].items() if key not in varied}
        return written

    def to_yaml(self) -> str:
        """Return the whole spec as YAML: what MLflow keeps and a resumed sweep starts from."""
        return write_yaml(self.to_mapping())
