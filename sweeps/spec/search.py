"""The section `search`: the space, how it is searched, and when a trial is stopped early."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Self

from pydantic import Field, ValidationInfo, field_validator, model_serializer, model_validator

from search_spaces import Mistake, Scalar, SearchSpace, SearchSpaceError
from search_spaces.wording import choices, did_you_mean, show
from sweeps.errors import SpecError
from sweeps.settings import Direction, PrunerKind, PrunerSettings, SamplerKind, SearchSettings
from sweeps.spec.fields import AnySequence, Line, Seed, Space
from sweeps.spec.metrics import direction_of
from sweeps.spec.section import Section

PRUNER_KEYS: Mapping[str, tuple[str, ...]] = {
    "successive_halving": ("min_evaluations", "reduction_factor", "enqueued"),
    "median": ("min_evaluations", "warmup_trials", "enqueued"),
    "none": (),
}

_HALVINGS = frozenset({"asha", "sha", "halving", "hyperband"})  # by which others know it


class PrunerSpec(Section):
    """When a trial is stopped early.

    min_evaluations    evaluations that every trial gets
    reduction_factor   of the trials at a rung, one in this many goes on (successive halving)
    warmup_trials      trials that must be complete before the median prunes
    enqueued           whether trials of `search.enqueue` are stopped, too; else they train to their end
    """

    kind: PrunerKind = PrunerSettings.kind
    min_evaluations: int = Field(default=PrunerSettings.min_evaluations, ge=1, le=10_000)
    reduction_factor: int = Field(default=PrunerSettings.reduction_factor, ge=2, le=100)
    warmup_trials: int = Field(default=PrunerSettings.warmup_trials, ge=1, le=10_000)
    enqueued: bool = PrunerSettings.enqueued

    @model_validator(mode="after")
    def _keys_belong_to_the_kind(self) -> Self:
        keys = PRUNER_KEYS[self.kind]
        if foreign := sorted(self.model_fields_set - {"kind", *keys}):
            rule = f"has no meaning for kind {self.kind}; keys of that kind: {choices(('kind', *keys))}"
            fix = f"Remove it, or set all of it: `search.pruner={{kind: {self.kind}}}`."
            raise SpecError(Mistake(key, f"{rule}. {fix}") for key in foreign)
        return self

    @model_serializer
    def _short(self) -> dict[str, Any]:
        return {"kind": self.kind} | {key: getattr(self, key) for key in PRUNER_KEYS[self.kind]}


class SearchSpec(Section):
    """What is searched, how, and for the best of which metric."""

    space: Space
    trials: int = Field(default=SearchSettings.trials, ge=1, le=100_000)
    sampler: SamplerKind = SearchSettings.sampler
    seed: Seed = SearchSettings.seed
    metric: Line = SearchSettings.metric
    pruner: PrunerSpec = PrunerSpec()
    enqueue: Annotated[tuple[dict[str, Any], ...], AnySequence] = ()

    @property
    def direction(self) -> Direction:
        """Whether the metric is to be low or high."""
        return direction_of(self.metric)

    def settings(self, *, evaluations_per_epoch: int = SearchSettings.evaluations_per_epoch) -> SearchSettings:
        """Return what the ledger keeps of this section, and of `training`."""
        pruner = PrunerSettings(**{key: getattr(self.pruner, key) for key in PrunerSpec.model_fields})
        return SearchSettings(
            metric=self.metric,
            trials=self.trials,
            sampler=self.sampler,
            seed=self.seed,
            evaluations_per_epoch=evaluations_per_epoch,
            pruner=pruner,
        )

    @field_validator("pruner", mode="before")
    @classmethod
    def _has_a_kind(cls, pruner: Any) -> Any:
        if isinstance(pruner, Mapping | PrunerSpec):
            return pruner
        kind = "successive_halving" if str(pruner).lower() in _HALVINGS else str(pruner).lower()
        fix = f" Write {{kind: {kind}}}." if kind in PRUNER_KEYS else did_you_mean(kind, PRUNER_KEYS)
        raise ValueError(f"must be a mapping with a `kind` of {choices(PRUNER_KEYS)}, but got {show(pruner)}.{fix}")

    @field_validator("enqueue")
    @classmethod
    def _lies_inside(cls, enqueue: tuple[dict[str, Any], ...], info: ValidationInfo) -> tuple[dict[str, Scalar], ...]:
        """Write the parameters as the space does, and without its constants."""
        space: SearchSpace | None = info.data.get("space")
        if space is None:  # it has mistakes of its own
            return enqueue
        mistakes: list[Mistake] = []
        inside = []
        for i, params in enumerate(enqueue):
            try:
                checked = space.check(params)
                inside.append({name: value for name, value in checked.items() if name in space.varied})
            except SearchSpaceError as error:
                mistakes += error.under(str(i)).mistakes
        if mistakes:
            raise SpecError(mistakes)
        return tuple(inside)
