"""Peak memory of packs with 1 and with 16 slots, each measured in a process of its own.

python -m benchmarks.memory [--rounds 5] [--quick]
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from statistics import median
from typing import Any, cast

from benchmarks.instruments import fresh
from benchmarks.instruments.measuring import ratio
from benchmarks.instruments.reporting import Report, Table
from sweeps.host.accelerators import accelerator_memory
from trainer.config import Targets
from trainer.machine.host_memory import ENVIRONMENT

MB = 10**6
FULL = (("builtin", 1, 80), ("builtin", 4, 256), ("100M", 1, 80))  # model, dialogues and tokens of a step of a slot
QUICK = FULL[:1]


@dataclass(frozen=True)
class PackSize:
    """What is measured in one process.

    model        `builtin`, or a name of `SHAPES`: a random model
    dtype        of its weights
    slots, ranks trials, whose ranks take turns
    targets      of the adapters
    batch_size, tokens   of one step of a slot; nothing is padding, everything learned
    examples     in the training set
    """

    model: str
    dtype: str
    slots: int
    ranks: tuple[int, ...]
    targets: Targets
    batch_size: int
    tokens: int
    examples: int


@dataclass(frozen=True)
class Found:
    """Bytes of one process: of the device on an accelerator, else resident in the host's memory.

    loaded      after the base model was loaded
    peak        of the whole process
    training    peak of a step, without compiling before it (on an accelerator that of the whole process)
    arguments, temporary   of the compiled training step, as XLA plans them
    estimated   by `trainer.pack.memory`
    """

    loaded: int
    peak: int
    training: int
    arguments: int
    temporary: int
    estimated: int


def measure(rounds: int, *, quick: bool) -> Report:
    """Measure all sizes, with 1 and with 16 slots."""
    started = time.perf_counter()
    sizes = QUICK if quick else FULL
    cells = [_pair(model, batch_size, tokens, rounds) for model, batch_size, tokens in sizes]
    return Report(
        name="memory",
        command=f"python -m benchmarks.memory --rounds {rounds}{' --quick' if quick else ''}",
        question=(
            f"What do 16 slots need that one does not? Rank 16, all linear layers, float32; every measurement "
            f"in a process of its own, {rounds} of each, medians. The model `100M` is a random Gemma 2 of "
            "about 100 million weights."
        ),
        tables=tables(cells),
        data=[{name: [asdict(size), *map(asdict, found)] for name, (size, found) in cell.items()} for cell in cells],
        seconds=time.perf_counter() - started,
    )


Pair = Mapping[str, tuple[PackSize, Sequence[Found]]]


def _pair(model: str, batch_size: int, tokens: int, rounds: int) -> Pair:
    sizes = [
        PackSize(model, "float32", slots, (16,), "all_linear", batch_size, tokens, examples=16 * batch_size)
        for slots in (1, 16)
    ]
    begin = partial(in_fresh_process, environment=ENVIRONMENT, on_cpu=accelerator_memory("auto")[0] == "cpu")
    pair = {f"{size.slots}": (size, [begin(size) for _ in range(rounds)]) for size in sizes}
    peaks = ", ".join(f"{slots}: {median(f.peak for f in found) / MB:,.0f}" for slots, (_, found) in pair.items())
    print(f"{model}, {batch_size} × {tokens} tokens, peak MB by slots: {peaks}", flush=True)
    return pair


def in_fresh_process(size: PackSize, environment: Mapping[str, str] | None = None, *, on_cpu: bool = False) -> Found:
    """Measure one size in a process of its own; `on_cpu`: in which JAX is set as in a CPU worker's."""
    return Found(**fresh.measure("benchmarks.memory", {"size": asdict(size), "on_cpu": on_cpu}, environment))


def tables(cells: Sequence[Pair]) -> list[Table]:
    """Tell what was measured with 1 and with 16 slots."""
    return [
        Table(
            "Peak memory of a pack, MB",
            ["model", "tokens per slot", "1 slot", "16 slots", "16 against 1", "estimated, 1", "estimated, 16"],
            [[*_key(c), *_both(c, "peak"), _against(c, "peak"), *_both(c, "estimated")] for c in cells],
            "Of the whole process, compiling included; the estimate is `trainer.pack.memory`'s, by which `slots: auto` "
            "chooses.",
        ),
        Table(
            "Of which training, MB",
            ["model", "tokens per slot", "loaded", "1 slot", "16 slots", "16 against 1"],
            [
                [*_key(cell), _middle(cell, "1", "loaded"), *_both(cell, "training"), _against(cell, "training")]
                for cell in cells
            ],
            "Peak of a step, once what compiling has left was given back. Loaded: before there is a pack.",
        ),
        Table(
            "The compiled step as XLA plans it, MB",
            ["model", "tokens per slot", "arguments, 1", "arguments, 16", "temporary, 1", "temporary, 16"],
            [[*_key(cell), *_both(cell, "arguments"), *_both(cell, "temporary")] for cell in cells],
        ),
    ]


def _key(cell: Pair) -> list[str]:
    size = cell["1"][0]
    return [size.model, f"{size.batch_size} × {size.tokens}"]


def _both(cell: Pair, what: str) -> list[str]:
    return [_middle(cell, "1", what), _middle(cell, "16", what)]


def _middle(cell: Pair, slots: str, what: str) -> str:
    return f"{median(getattr(found, what) for found in cell[slots][1]) / MB:,.0f}"


def _against(cell: Pair, what: str) -> str:
    many, one = ([getattr(found, what) for found in cell[slots][1]] for slots in ("16", "1"))
    return f"{ratio(many, one)}"


# ---- in the process of one measurement ------------------------------------------------------------------------------


def measure_one(size: PackSize, *, on_cpu: bool) -> Found:
    """Load a model, train a pack for a step, and say what this process has needed."""
    from trainer.machine.compilation import suit_cpu

    if on_cpu:
        suit_cpu()
    from benchmarks.arms.models import random_tokens
    from benchmarks.arms.step_arms import Feed, PackArm, trials
    from benchmarks.instruments.peak import forget_peak, memory
    from trainer.machine.host_memory import keep_freed_memory
    from trainer.pack.memory import Layout, PackNeeds
    from trainer.pack.sizes import TOKENS_PER_PASS, backend

    base, shape = _load(size)
    loaded = memory("now")
    feed = Feed(random_tokens(size.examples, size.tokens, shape.vocabulary_size), size.batch_size)
    configs = trials(size.slots, targets=size.targets, ranks=size.ranks, batch_size=size.batch_size)
    arm = PackArm(base, feed, configs)
    needs = PackNeeds(
        backend=backend(),
        shape=shape,
        dtype=size.dtype,
        rank=max(size.ranks),
        targets=size.targets,
        steps=((size.batch_size, size.tokens),),
        evaluated=size.tokens,
    )
    estimated = needs.bytes(Layout(slots=size.slots, tokens_per_pass=TOKENS_PER_PASS[backend()]))
    keep_freed_memory(estimated)  # as a worker does
    before = memory("peak")
    forget_peak()
    arm.advance(1)
    training = memory("peak")
    plan = arm.plan()
    return Found(
        loaded=loaded,
        peak=max(before, training),
        training=training,
        arguments=plan.argument_size_in_bytes,
        temporary=plan.temp_size_in_bytes,
        estimated=estimated,
    )


def _load(size: PackSize) -> tuple[Any, Any]:
    from benchmarks.arms.models import SHAPES, random_base
    from trainer.base.base import Dtype, load_base
    from trainer.base.shapes import read_shape

    dtype = cast(Dtype, size.dtype)
    if size.model in SHAPES:
        return random_base(SHAPES[size.model], dtype), SHAPES[size.model]
    return load_base(size.model, dtype=dtype), read_shape(size.model)


def main() -> None:
    """Measure, write the report, print it; with `--one`, measure in this process and print a JSON object."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.memory", description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5, help="processes for each size (default: 5)")
    parser.add_argument("--quick", action="store_true", help="one small size, once: shows that it works")
    parser.add_argument(fresh.OPTION, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        request = json.loads(given.one)
        size = PackSize(**request["size"] | {"ranks": tuple(request["size"]["ranks"])})
        print(json.dumps(asdict(measure_one(size, on_cpu=request["on_cpu"]))))
        return
    report = measure(1 if given.quick else given.rounds, quick=given.quick)
    report.tell(keep=not given.quick)


if __name__ == "__main__":
    main()
