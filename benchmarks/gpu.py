"""Speed and memory of packs at the full shape of Gemma 2 2B, with random bfloat16 weights, on one accelerator.

    python -m benchmarks.gpu [--batches 1x80,4x256] [--targets attention_qv,all_linear] [--keep] [--reduced]

Needs nothing but jax, keras, keras-hub, numpy, h5py and this repository. Each comparison runs in a process of its own,
and the report is written after each: a run that is cut short keeps what it has measured, and `--keep` adds to it.
Where there is no accelerator it runs at a reduced shape on the CPU, which shows that it works and measures no GPU.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks import memory
from benchmarks.instruments import fresh
from benchmarks.instruments.flops import peak_tflops
from benchmarks.instruments.measuring import ratio
from benchmarks.instruments.reporting import FOLDER, Report, Table, this_machine
from benchmarks.memory import Found, PackSize
from trainer.config import Targets

GB = 10**9
STOCK = "KerasHub fit"


@dataclass(frozen=True)
class Plan:
    """What is measured, and how long.

    model          name of a random model
    slots          of the packs
    rank           of all trials; in the mixed pack the `mixed` ones take turns
    batches        dialogues × tokens of a step of one trial; nothing is padding, everything learned
    targets        choices of targets
    rounds         measurements of each arm
    unit_seconds   of one measurement, about
    unit_steps     at most
    """

    model: str = "2B"
    slots: int = 16
    rank: int = 16
    mixed: tuple[int, ...] = (4, 8, 16)
    batches: tuple[tuple[int, int], ...] = ((1, 80), (4, 256))
    targets: tuple[Targets, ...] = ("attention_qv", "all_linear")
    rounds: int = 5
    unit_seconds: float = 1.0
    unit_steps: int = 300

    def examples(self, batch_size: int) -> int:
        """Dialogues that are enough for all measurements of a trial."""
        return batch_size * self.unit_steps * (self.rounds + 1)


REDUCED = Plan(model="reduced", batches=((1, 80),), rounds=2, unit_seconds=0.2, unit_steps=20)


@dataclass(frozen=True)
class Request:
    """One comparison, measured in one process: the arms of a choice of targets and of a batch."""

    plan: Plan
    targets: Targets
    batch_size: int
    tokens: int


@dataclass(frozen=True)
class Cell:
    """What was found out about one request.

    rates    useful tokens per second of each arm, in each round
    flops    useful operations per token of each arm
    memory   of a pack with one slot and with all, by slots
    """

    targets: Targets
    batch_size: int
    tokens: int
    rates: dict[str, list[float]]
    flops: dict[str, float]
    memory: dict[str, Found]

    @property
    def key(self) -> tuple[str, int, int]:
        """What was asked."""
        return self.targets, self.batch_size, self.tokens


def names(plan: Plan) -> tuple[str, str, str]:
    """Name the packs: of one slot, of all slots with one rank, and of all with mixed ranks."""
    mixed = ", ".join(map(str, plan.mixed))
    return "1 slot", f"{plan.slots} slots", f"{plan.slots} slots, ranks {mixed}"


def file_name(plan: Plan) -> str:
    """Name the report: a run at the reduced shape must not take the place of a real one."""
    return "gpu_reduced" if plan.model == REDUCED.model else "gpu"


# ---- in the process of one comparison -------------------------------------------------------------------------------


def measure_steps(request: Request) -> dict[str, Any]:
    """Let the arms of a comparison take turns in this process."""
    from benchmarks.arms.models import SHAPES, random_base, random_causal_lm, random_tokens
    from benchmarks.arms.step_arms import Arm, Feed, KerasArm, PackArm, compare, trials
    from benchmarks.instruments.flops import flops_per_token

    plan, shape = request.plan, SHAPES[request.plan.model]
    examples = plan.examples(request.batch_size)
    feed = Feed(random_tokens(examples, request.tokens, shape.vocabulary_size), request.batch_size)
    base = random_base(shape, "bfloat16")
    one, many, mixed = (
        trials(slots, targets=request.targets, ranks=ranks, batch_size=request.batch_size)
        for slots, ranks in ((1, (plan.rank,)), (plan.slots, (plan.rank,)), (plan.slots, plan.mixed))
    )
    arms: dict[str, Arm] = {
        name: PackArm(base, feed, configs) for name, configs in zip(names(plan), (one, many, mixed), strict=True)
    }
    arms[STOCK] = KerasArm(random_causal_lm(shape, "bfloat16"), feed, one[0])
    ranks = dict(zip(arms, [*([c.rank for c in configs] for configs in (one, many, mixed)), [plan.rank]], strict=True))
    return {
        "rates": compare(arms, rounds=plan.rounds, unit_seconds=plan.unit_seconds),
        "flops": {name: flops_per_token(shape, request.targets, sum(r) / len(r)) for name, r in ranks.items()},
    }


def find_device() -> dict[str, str]:
    """Say what JAX computes on."""
    import jax

    device = jax.local_devices()[0]
    return {"platform": device.platform, "kind": device.device_kind}


def answer(text: str) -> dict[str, Any]:
    """Do what the process was started for."""
    asked = json.loads(text)
    if not asked:
        return find_device()
    plan = Plan(**asked["plan"] | {"mixed": tuple(asked["plan"]["mixed"])})
    return measure_steps(Request(**asked | {"plan": plan}))


# ---- in the process that asks ---------------------------------------------------------------------------------------


def measure_cell(request: Request, environment: Mapping[str, str]) -> Cell:
    """Compare the arms, then measure the memory of two packs, each in a process of its own."""
    plan = request.plan
    found = fresh.measure("benchmarks.gpu", asdict(request), environment)
    examples = plan.examples(request.batch_size)  # the same number: its programs are compiled already
    sizes = [
        PackSize(
            plan.model, "bfloat16", slots, (plan.rank,), request.targets, request.batch_size, request.tokens, examples
        )
        for slots in (1, plan.slots)
    ]
    needed = {f"{size.slots}": memory.in_fresh_process(size, environment) for size in sizes}
    rates = ", ".join(f"{arm} {median(rounds):,.0f}" for arm, rounds in found["rates"].items())
    print(f"{request.targets}, {request.batch_size} × {request.tokens}: {rates} tokens/s", flush=True)
    return Cell(request.targets, request.batch_size, request.tokens, **found, memory=needed)


def report(cells: Sequence[Cell], plan: Plan, device: Mapping[str, str], given: argparse.Namespace) -> Report:
    """Tell what has been measured so far."""
    reduced = plan.model == REDUCED.model
    peak = given.peak_tflops or peak_tflops(device["kind"])
    speed = [
        _speed_table(cells, plan),
        _ratio_table(cells, plan),
        *([_utilisation_table(cells, plan, peak)] if peak else []),
    ]
    question = (
        "**This is a reduced shape on the CPU: it shows that the benchmark runs, and measures no GPU.** "
        if reduced
        else f"How fast does a pack train Gemma 2 2B on one {device['kind']}? "
    )
    return Report(
        name=file_name(plan),
        command=f"python -m benchmarks.gpu{' --reduced' if reduced else ''} --rounds {plan.rounds}",
        question=(
            f"{question}The model `{plan.model}` with random bfloat16 weights, rank {plan.rank}; nothing is padding, "
            f"and all tokens but the first are learned. All arms of a row take turns in one run, {plan.rounds} times, "
            "and nothing is compiled meanwhile. Medians; ratios of the same round with the lowest and the highest."
        ),
        tables=[*speed, _memory_table(cells, plan)],
        data={"device": dict(device), "plan": asdict(plan), "cells": [asdict(cell) for cell in cells]},
        seconds=time.perf_counter() - given.started,
        machine=this_machine() | {"accelerator": device["kind"]},
    )


def _key(cell: Cell) -> list[str]:
    return [cell.targets, f"{cell.batch_size} × {cell.tokens}"]


KEY = ("targets", "tokens per trial and step")


def _speed_table(cells: Sequence[Cell], plan: Plan) -> Table:
    arms = [STOCK, *names(plan)]
    rows = [[*_key(cell), *(f"{median(cell.rates[arm]):,.0f}" for arm in arms)] for cell in cells]
    return Table("Useful tokens per second", [*KEY, *arms], rows)


def _ratio_table(cells: Sequence[Cell], plan: Plan) -> Table:
    one, many, mixed = names(plan)
    pairs = [(one, STOCK), (many, one), (many, STOCK), (mixed, STOCK)]
    return Table(
        "Factor by factor",
        [*KEY, *(f"{ours} against {theirs}" for ours, theirs in pairs)],
        [[*_key(cell), *(f"{ratio(cell.rates[a], cell.rates[b])}" for a, b in pairs)] for cell in cells],
        "Stock KerasHub is `enable_lora` + Keras AdamW + compiled `fit`, one trial, padding nothing.",
    )


def _utilisation_table(cells: Sequence[Cell], plan: Plan, peak: float) -> Table:
    arms = [STOCK, *names(plan)]
    rows = [
        [
            *_key(cell),
            f"{cell.flops[arms[2]] / GB:.3g}",
            *(f"{median(cell.rates[arm]) * cell.flops[arm] / peak / 1e12:.1%}" for arm in arms),
        ]
        for cell in cells
    ]
    return Table(
        "Model FLOP utilisation",
        [*KEY, "GFLOP per token", *arms],
        rows,
        "Useful operations of a frozen base (the formula is in `benchmarks/instruments/flops.py`), against "
        f"{peak:,.4g} TFLOP/s.",
    )


def _memory_table(cells: Sequence[Cell], plan: Plan) -> Table:
    many = f"{plan.slots}"
    rows = []
    for cell in cells:
        one, all_slots = cell.memory["1"], cell.memory[many]
        sizes = (one.loaded, one.peak, all_slots.peak, one.estimated, all_slots.estimated)
        against = f"{all_slots.peak / one.peak:.2f}×"
        rows.append([*_key(cell), *(f"{size / GB:.2f}" for size in sizes), against])
    return Table(
        "Peak memory, GB",
        [*KEY, "base model", "1 slot", f"{many} slots", "estimated, 1", f"estimated, {many}", f"{many} against 1"],
        rows,
        "Bytes in use of the device, or resident in the process on a CPU; each in a process of its own, once. Mixed "
        "ranks need what the largest needs. The estimate is `trainer.pack.memory`'s; on a CPU it has room for the "
        "compiler, which has nothing to do here.",
    )


def kept_cells(plan: Plan, device: Mapping[str, str], folder: Path = FOLDER) -> list[Cell]:
    """Cells of the last report, if it was made on such a device with the same model."""
    path = folder / f"{file_name(plan)}.json"
    if not path.is_file():
        return []
    data = json.loads(path.read_text())["data"]
    if data["device"] != dict(device) or data["plan"]["model"] != plan.model:
        return []
    return [
        Cell(**cell | {"memory": {slots: Found(**found) for slots, found in cell["memory"].items()}})
        for cell in data["cells"]
    ]


def main() -> None:
    """Measure cell by cell, and write the report after each; with `--one`, measure one in this process."""
    given = _arguments()
    if given.one:
        print(json.dumps(answer(given.one)))
        return
    given.started = time.perf_counter()
    device = fresh.measure("benchmarks.gpu", {})
    plan = _plan(given, device)
    cells = {cell.key: cell for cell in (kept_cells(plan, device) if given.keep else [])}
    with tempfile.TemporaryDirectory() as folder:
        # What one process has compiled, the next need not.
        environment = {"JAX_COMPILATION_CACHE_DIR": folder}
        for targets in plan.targets:
            for batch_size, tokens in plan.batches:
                cell = measure_cell(Request(plan, targets, batch_size, tokens), environment)
                cells[cell.key] = cell
                made = report(list(cells.values()), plan, device, given)
                made.write(FOLDER)
    print(made.markdown())


def _plan(given: argparse.Namespace, device: Mapping[str, str]) -> Plan:
    plan = REDUCED if given.reduced or device["platform"] == "cpu" else Plan()
    return replace(
        plan,
        rounds=given.rounds or plan.rounds,
        batches=given.batches or plan.batches,
        targets=given.targets or plan.targets,
    )


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu", description=__doc__.splitlines()[0])
    parser.add_argument("--batches", type=_batches, help="dialogues × tokens, such as 1x80,4x256 (default)")
    parser.add_argument("--targets", type=lambda text: tuple(text.split(",")), help="attention_qv,all_linear (default)")
    parser.add_argument("--rounds", type=int, help="measurements of each arm (default: 5; reduced: 2)")
    parser.add_argument("--peak-tflops", type=float, help="the device's dense bf16 peak, where the table lacks it")
    parser.add_argument("--keep", action="store_true", help="keep cells of the last report that are not measured now")
    parser.add_argument("--reduced", action="store_true", help="a small shape; the default where there is only a CPU")
    parser.add_argument(fresh.OPTION, help=argparse.SUPPRESS)
    return parser.parse_args()


def _batches(text: str) -> tuple[tuple[int, int], ...]:
    pairs = (part.split("x") for part in text.split(","))
    return tuple((int(batch_size), int(tokens)) for batch_size, tokens in pairs)


if __name__ == "__main__":
    main()
