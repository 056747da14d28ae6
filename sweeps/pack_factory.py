"""Builds a sweep's engine in a worker's process: loads the base model, reads the data, compiles."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, get_args

from sweeps.accelerators import accelerator_memory
from trainer.compilation import compile_quickly_on_cpu, keep_compiled, simulate_chips
from trainer.config import Targets
from trainer.errors import ConfigError

if TYPE_CHECKING:
    from sweeps.spec import SweepSpec
    from trainer.chips import Chips
    from trainer.pack import Pack


@dataclass(frozen=True, kw_only=True)
class PackFactory:
    """A picklable recipe; calling it is the engine factory of `run_sweep`.

    spec           of the sweep
    cache_folder   where compiled programs are kept between processes and sweeps
    """

    spec: SweepSpec
    cache_folder: str

    def __call__(self, *, slots: int) -> Pack:
        """Load, compile and score the base model.

        Raises:
            TrainerError: base model, data or configuration cannot be used.
        """
        if accelerator_memory(self.spec.compute.accelerator)[0] == "cpu":
            compile_quickly_on_cpu()
            simulate_chips(self.spec.compute.chips)
        from sweeps.datasets import read_data, tokenize_data
        from trainer.base import load_base
        from trainer.generation import SamplePlan
        from trainer.pack import Pack

        keep_compiled(self.cache_folder)
        spec = self.spec
        base = load_base(spec.base.model, dtype=spec.base.dtype, chips=self._chips())
        train, validation = tokenize_data(read_data(spec), base.tokenizer, spec)
        prompts = spec.samples.prompts
        plan = SamplePlan(prompts=tuple(prompts), max_new_tokens=spec.samples.max_new_tokens) if prompts else None
        pack = Pack(
            base,
            train,
            validation,
            slots=slots,
            rank_capacity=max(spec.extremes("rank")),
            targets=widest_targets(spec),
            dropout=max(spec.extremes("dropout")) > 0,
            samples=plan,
            evaluations_per_epoch=spec.training.evaluations_per_epoch,
        )
        _ = pack.base_metrics
        pack.warm_up(sorted(set(spec.extremes("batch_size"))))
        return pack

    def _chips(self) -> Chips:
        import jax

        from trainer.chips import Chips

        compute = self.spec.compute
        seen = jax.local_devices()
        if len(seen) < compute.chips:
            raise ConfigError(
                f"`compute.chips` must be at most the chips that a worker sees, {len(seen)} × {seen[0].device_kind}, "
                f"but got {compute.chips}. Ask for fewer chips, or name the accelerator (`compute.accelerator`)."
            )
        return Chips.of(seen[: compute.chips], per_base=compute.chips_per_base)


def widest_targets(spec: SweepSpec) -> Targets:
    """The largest choice of targets that a trial of the sweep may make."""
    order = get_args(Targets)
    widest: Targets = max(spec.extremes("targets"), key=order.index)
    return widest
