"""Plain settings of the parts that run a sweep; a spec is turned into these, and they can be kept as JSON."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Literal, Self

SamplerKind = Literal["tpe", "random", "grid"]
PrunerKind = Literal["successive_halving", "median", "none"]
Direction = Literal["minimize", "maximize"]
Accelerator = Literal["auto", "cpu", "gpu", "tpu"]


@dataclass(frozen=True, kw_only=True)
class PrunerSettings:
    """When a trial is stopped early.

    min_evaluations    evaluations that every trial gets (successive halving: the first rung)
    reduction_factor   of the trials at a rung, one in this many goes on
    warmup_trials      trials that must be complete before the median prunes
    enqueued           whether trials that the sweep is created with are stopped, too; else they train to their end
    """

    kind: PrunerKind = "successive_halving"
    min_evaluations: int = 1
    reduction_factor: int = 4
    warmup_trials: int = 4
    enqueued: bool = False


@dataclass(frozen=True, kw_only=True)
class SearchSettings:
    """What the ledger must know to ask for trials, and to rank them, today and after a resume."""

    metric: str = "val_loss"
    trials: int = 12
    sampler: SamplerKind = "tpe"
    seed: int = 0
    evaluations_per_epoch: int = 1
    pruner: PrunerSettings = field(default_factory=PrunerSettings)

    @property
    def direction(self) -> Direction:
        """Accuracies are to be high; losses, perplexities and bits are to be low."""
        return "maximize" if self.metric.endswith("accuracy") else "minimize"

    def to_json(self) -> dict[str, Any]:
        """Return plain values, for the ledger."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Self:
        """Read what `to_json` wrote."""
        return cls(**{**values, "pruner": PrunerSettings(**values["pruner"])})


@dataclass(frozen=True, kw_only=True)
class BudgetSettings:
    """What a sweep may use up, resumed runs included; None: no limit. A sweep that has reached one is drained.

    max_trials               trials that may end; no more than these are begun
    max_hours                wall time in which workers run
    max_accelerator_hours    the same, times the workers that hold an accelerator (or CPU cores)
    """

    max_trials: int | None = None
    max_hours: float | None = None
    max_accelerator_hours: float | None = None


@dataclass(frozen=True, kw_only=True)
class ComputeSettings:
    """Where a sweep runs.

    workers         Ray actors, each with one base model
    slots           trials that train together in one worker
    accelerator     what each worker owns; `auto`: a TPU or GPU if the cluster has one, else CPU cores
    chips           how many of them a worker owns; its slots are spread over them (CPU: so many are simulated)
    chips_per_base  chips that share one base model, each with a part of it
    priority        weight of the sweep where several want the accelerators of one cluster
    address         of a Ray cluster; None: a local Ray that is started and shut down with the sweep
    max_failures    times that a trial goes on in another worker after its own was lost
    checkpoint_s    seconds between two checkpoints of a trial; there is one at the end of every epoch, too
    spare_trials    trials that stand in each worker's line, so that a freed slot is taken without asking anybody;
                    each costs a light process (0.1 GB), and is sampled one result earlier
    poll_s          seconds between two looks at the workers
    """

    workers: int = 1
    slots: int = 4
    accelerator: Accelerator = "auto"
    chips: int = 1
    chips_per_base: int = 1
    priority: int = 1
    address: str | None = None
    max_failures: int = 2
    checkpoint_s: float = 300.0
    spare_trials: int = 1
    poll_s: float = 0.5

    @property
    def concurrent_trials(self) -> int:
        """Number of Tune trials that are alive at the same time."""
        return self.workers * (self.slots + self.spare_trials)
