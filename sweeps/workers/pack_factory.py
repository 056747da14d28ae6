"""Builds a sweep's engine in a worker's process: loads the base model, reads the data, compiles."""

from __future__ import annotations

import contextlib
import gc
import hashlib
import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, get_args

from sweeps.host.accelerators import Kind, accelerator_memory, part_of_host
from sweeps.host.node_cache import cache_folder, compiled_folder, fetched_once
from trainer.base.names import is_fetched
from trainer.base.shapes import BaseShape, shape_of
from trainer.config import Targets
from trainer.errors import BaseModelError, ConfigError
from trainer.machine.compilation import keep_compiled, simulate_chips, suit_cpu
from trainer.machine.host_memory import keep_freed_memory
from trainer.metrics import metric_name
from trainer.pack.memory import MAX_SLOTS, PackNeeds
from trainer.pack.order import EpochOrder, make_buckets
from trainer.pack.sizes import rows_bytes

if TYPE_CHECKING:
    from sweeps.spec import SweepSpec
    from trainer.base.base import BaseModel
    from trainer.dialogues.tokens import TokenSet
    from trainer.machine.chips import Chips
    from trainer.pack.pack import Pack


FEW_BATCH_SIZES = 8  # each has programs of its own, so no more than these are compiled beforehand
NO_LIMIT = 2**60  # bytes, where nobody can tell


@dataclass(frozen=True, kw_only=True)
class PackFactory:
    """A picklable recipe; calling it is the engine factory of `run_sweep`.

    spec           of the sweep
    cache_folder   where compiled programs are kept between processes and sweeps; None: in the machine's own cache
    tracking_uri   of MLflow, where data may have been sent; None: as the environment says
    slots          that a worker begins with; it is asked for fewer after it ran out of memory
    fits           whether so many slots are known to fit; else a worker takes as many of them as its memory holds
    """

    spec: SweepSpec
    cache_folder: str | None
    tracking_uri: str | None = None
    slots: int | None = None
    fits: bool = True

    def __call__(self, *, slots: int) -> Pack:
        """Load, compile and score the base model.

        Raises:
            TrainerError: base model, data or configuration cannot be used, or not one slot fits the memory.
            HomeError: the machine has no folder for what is fetched.
        """
        kind, available = accelerator_memory(self.spec.compute.accelerator)  # before any of it is taken here
        if kind == "cpu":
            suit_cpu()
            simulate_chips(self.spec.compute.chips)
        with _left_out("sklearn", "matplotlib"):  # Keras imports both where they are, a second, and needs neither here
            from sweeps.datasets import read_data, tokenize_data
            from trainer.pack.generation import SamplePlan
            from trainer.pack.pack import Pack
        gc.freeze()  # a million objects of modules, which each collection would look through while JAX traces
        keep_compiled(self.cache_folder or str(compiled_folder()))
        spec = self.spec
        base = self._load_base()
        train, validation = tokenize_data(read_data(spec, self.tracking_uri), base.tokenizer, spec)
        prompts = spec.samples.prompts
        plan = SamplePlan(prompts=tuple(prompts), max_new_tokens=spec.samples.max_new_tokens) if prompts else None
        sets = [train, *validation.values()]
        needs = pack_needs(spec, shape_of(base.backbone), sets)
        groups = base.chips.groups
        # Asked for fewer than at first, it has run out of memory: there is less than it seemed.
        memory = _memory_of_chip(base.chips, kind, available) * slots // (self.slots or slots)
        if not self.fits:
            slots = min(slots, groups * needs.slots_that_fit(memory, most=MAX_SLOTS[needs.backend]))
        if slots == 0:
            raise ConfigError(f"`compute.slots` {too_large(needs, memory)}")
        layout = needs.layout(-(-slots // groups), memory)
        pack = Pack(
            base,
            train,
            validation,
            slots=slots,
            tokens_per_pass=layout.tokens_per_pass,
            remat=layout.remat,
            rank_capacity=max(spec.extremes("rank")),
            targets=widest_targets(spec),
            dropout=max(spec.extremes("dropout")) > 0,
            samples=plan,
            evaluations_per_epoch=spec.training.evaluations_per_epoch,
        )
        _check_base(base, pack.base_metrics)
        pack.warm_up(_batch_sizes(spec))
        if kind == "cpu":
            keep_freed_memory(needs.bytes(layout))
        return pack

    def _load_base(self) -> BaseModel:
        """Load the base model, which only the first worker of a machine downloads."""
        from trainer.base.base import load_base

        model = self.spec.base.model
        folder = cache_folder() / "base-models" / hashlib.sha256(model.encode()).hexdigest()[:32]
        with fetched_once(folder) if is_fetched(model) else contextlib.nullcontext():
            return load_base(model, dtype=self.spec.base.dtype, chips=self._chips())

    def _chips(self) -> Chips:
        import jax

        from trainer.machine.chips import Chips

        compute = self.spec.compute
        seen = jax.local_devices()
        if len(seen) < compute.chips:
            raise ConfigError(
                f"`compute.chips` must be at most the chips that a worker sees, {len(seen)} × {seen[0].device_kind}, "
                f"but got {compute.chips}. Ask for fewer chips, or name the accelerator (`compute.accelerator`)."
            )
        return Chips.of(seen[: compute.chips], per_base=compute.chips_per_base)


@contextlib.contextmanager
def _left_out(*packages: str) -> Iterator[None]:
    """Let imports do without some packages, as if they were not installed; those of other threads, too."""
    absent = [package for package in packages if package not in sys.modules]
    sys.modules.update(dict.fromkeys(absent))  # type: ignore[arg-type]  # None stands for what cannot be imported
    try:
        yield
    finally:
        for package in absent:
            sys.modules.pop(package, None)


def _memory_of_chip(chips: Chips, kind: Kind, available: int | None) -> int:
    """Bytes of one chip; on a CPU its part of the memory that this machine had when the process began."""
    stats = chips.mesh.devices.flat[0].memory_stats() or {}
    if limit := stats.get("bytes_limit"):
        return int(limit)
    if available is None:
        return NO_LIMIT
    return int(available * part_of_host()) // chips.groups if kind == "cpu" else available


def too_large(needs: PackNeeds, bytes_of_chip: int) -> str:
    """Say, of `compute.slots`, that not even one fits."""
    needed = needs.bytes(needs.layout(1, bytes_of_chip))
    return (
        f"must be at least 1, but one slot needs about {needed / 1e9:.1f} GB and the {needs.backend} has "
        f"{bytes_of_chip / 1e9:.1f} GB. Choose a smaller base model, rank, batch size or `max_tokens`, or bfloat16."
    )


def pack_needs(spec: SweepSpec, shape: BaseShape, sets: Sequence[TokenSet] | None) -> PackNeeds:
    """What a sweep's packs need of the memory of a chip.

    Args:
        spec: of the sweep.
        shape: of its base model.
        sets: the training set, then those for validation; None while the vocabulary is not at hand.
    """
    data, longest = 0, spec.data.max_tokens
    steps = [(size, longest) for size in _batch_sizes(spec)]
    if sets:
        lengths = [[len(example.token_ids) for example in each.examples] for each in sets]
        targets = [[int(example.loss_mask.sum()) for example in each.examples] for each in sets]
        data, longest = sum(map(rows_bytes, lengths, targets)), max(map(max, lengths[1:]))
        buckets, most = make_buckets(lengths[0]), len(lengths[0])
        orders = [EpochOrder(buckets, size) for size in sorted({min(size, most) for size in _batch_sizes(spec)})]
        steps = [(order.batch_size, buckets.lengths[bucket]) for order in orders for bucket in order.filled_buckets]
    return PackNeeds(
        backend="cpu" if accelerator_memory(spec.compute.accelerator)[0] == "cpu" else "accelerator",
        shape=shape,
        dtype=spec.base.dtype,
        rank=max(spec.extremes("rank")),
        targets=widest_targets(spec),
        steps=tuple(steps),
        evaluated=longest,
        data_bytes=data,
        dropout=max(spec.extremes("dropout")) > 0,
        chips_per_base=spec.compute.chips_per_base,
    )


def _batch_sizes(spec: SweepSpec) -> list[int]:
    """The batch sizes that trials may have, where they are few; else the ends of their range."""
    drawn = spec.search.space.parameters.get("batch_size")
    few = drawn.grid() if drawn is not None and (drawn.count() or math.inf) <= FEW_BATCH_SIZES else ()
    return sorted({*spec.extremes("batch_size"), *few})


def _check_base(base: BaseModel, metrics: Mapping[str, float]) -> None:
    """Refuse a base model that cannot score its data: else each of its trials would be told to have diverged."""
    loss = metrics[metric_name("val", "loss")]
    if not math.isfinite(loss):
        raise BaseModelError(
            f"The base model {base.name!r} must score the validation set with a finite loss, but got {loss}: its "
            f"weights hold values that are not finite, or are too large for {base.dtype}. Fetch or export it again, or "
            "choose another `base.dtype`."
        )


def widest_targets(spec: SweepSpec) -> Targets:
    """The largest choice of targets that a trial of the sweep may make."""
    order = get_args(Targets)
    widest: Targets = max(spec.extremes("targets"), key=order.index)
    return widest
