"""Complete learning curves of every point of a grid over the quickstart's space, trained once by the real engine.

    python -m benchmarks.arms.curves results/search_table.json --seeds 0 1

The cosine schedule ends with a trial's last epoch, so a trial of three epochs does not begin as one of a single epoch
does: every number of epochs is a curve of its own.
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import json
import math
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from sweeps.spec import SweepSpec
    from trainer.config import TrialConfig

SLOTS = 8


@dataclass(frozen=True, kw_only=True)
class Curve:
    """One trial, trained to its end.

    steps_total         optimiser steps
    evaluations_total   of a trial that does not diverge
    losses              (step, validation loss) of each evaluation
    failed_at           step at which it diverged, else None
    """

    rank: int
    learning_rate: float
    epochs: int
    seed: int
    steps_total: int
    evaluations_total: int
    losses: tuple[tuple[int, float], ...]
    failed_at: int | None = None

    @property
    def last_loss(self) -> float:
        """The loss that it ended with; infinite when it diverged."""
        return math.inf if self.failed_at is not None else self.losses[-1][1]


Point = tuple[int, float, int, int]


@dataclass(frozen=True)
class CurveTable:
    """All points of the grid, each with every seed.

    base_loss   validation loss of the base model without an adapter
    seconds     that training them all took
    """

    curves: tuple[Curve, ...]
    base_loss: float
    seconds: float

    def find(self, config: TrialConfig) -> Curve:
        """Look a trial up.

        Raises:
            KeyError: it is no point of the grid.
        """
        return self._by_point[config.rank, config.learning_rate, config.epochs, config.seed]

    @cached_property
    def seeds(self) -> list[int]:
        """Seeds of the trials."""
        return sorted({curve.seed for curve in self.curves})

    @cached_property
    def learning_rates(self) -> list[float]:
        """Learning rates of the grid, ascending."""
        return sorted({curve.learning_rate for curve in self.curves})

    def of_seed(self, seed: int) -> list[Curve]:
        """Return the whole grid with one seed."""
        return [curve for curve in self.curves if curve.seed == seed]

    def exhaustive_steps(self, seed: int) -> int:
        """Optimiser steps of the whole grid with one seed."""
        return sum(curve.steps_total for curve in self.of_seed(seed))

    def winner(self, seed: int) -> Curve:
        """Return the point of the grid with the lowest last loss."""
        return min(self.of_seed(seed), key=lambda curve: curve.last_loss)

    def write(self, path: Path) -> None:
        """Write the table as JSON, a line for each curve."""
        lines = ",\n".join(f"  {json.dumps(asdict(curve))}" for curve in self.curves)
        head = f'{{"base_loss": {self.base_loss!r}, "seconds": {self.seconds:.1f}, "curves": [\n'
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{head}{lines}\n]}}\n")

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read what `write` wrote."""
        found: dict[str, Any] = json.loads(path.read_text())
        curves = (Curve(**{**each, "losses": tuple(map(tuple, each["losses"]))}) for each in found["curves"])
        return cls(tuple(curves), found["base_loss"], found["seconds"])

    @cached_property
    def _by_point(self) -> dict[Point, Curve]:
        return {(c.rank, c.learning_rate, c.epochs, c.seed): c for c in self.curves}


def searched_spec(dialogues: int | None = None) -> SweepSpec:
    """Return the quickstart example, which is searched; fewer dialogues for a rehearsal of the benchmark."""
    from sweeps.spec import load_spec

    fewer = [] if dialogues is None else [f"data.select.limit={dialogues}"]
    return load_spec("quickstart", ["samples={}", *fewer])


def grid(spec: SweepSpec, rates: int, seeds: Sequence[int]) -> list[TrialConfig]:
    """List the points: every rank and number of epochs of the space, and `rates` learning rates from end to end."""
    ranks: Any = spec.search.space.parameters["rank"].grid()
    epochs: Any = spec.search.space.parameters["epochs"].grid()
    low, high = spec.extremes("learning_rate")
    learning_rates = [round(low * (high / low) ** (place / (rates - 1)), 8) for place in range(rates)]
    return [
        dataclasses.replace(spec.training.config, rank=r, learning_rate=rate, epochs=e, seed=seed)
        for seed, e, r, rate in itertools.product(seeds, reversed(epochs), ranks, learning_rates)
    ]


def train_table(spec: SweepSpec, points: Sequence[TrialConfig], cache: Path) -> CurveTable:
    """Train every point in packs."""
    from benchmarks.arms.bare import train_all
    from sweeps.workers.pack_factory import PackFactory
    from trainer.events import Diverged, Evaluated, Event, Finished

    losses: dict[str, list[tuple[int, float]]] = {str(number): [] for number in range(len(points))}
    ends: dict[str, Finished | Diverged] = {}

    def hear(event: Event) -> None:
        if isinstance(event, Evaluated):
            losses[event.key].append((event.step, event.metrics[spec.search.metric]))
        elif isinstance(event, Finished | Diverged):
            ends[event.key] = event
            print(f"{len(ends)} of {len(points)} points", flush=True)

    engine = PackFactory(spec=spec, cache_folder=str(cache))(slots=min(SLOTS, len(points)))
    began = time.perf_counter()
    train_all(engine, points, hear)
    seconds = time.perf_counter() - began
    steps_per_epoch = next(e.step // points[int(k)].epochs for k, e in ends.items() if isinstance(e, Finished))
    curves = (
        Curve(
            rank=config.rank,
            learning_rate=config.learning_rate,
            epochs=config.epochs,
            seed=config.seed,
            steps_total=steps_per_epoch * config.epochs,
            evaluations_total=spec.training.evaluations_per_epoch * config.epochs,
            losses=tuple(losses[key]),
            failed_at=ends[key].step if isinstance(ends[key], Diverged) else None,
        )
        for key, config in zip(losses, points, strict=True)
    )
    return CurveTable(tuple(curves), engine.base_metrics[spec.search.metric], seconds)


def main() -> None:
    """Train and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--rates", type=int, default=8, help="learning rates")
    parser.add_argument("--dialogues", type=int, help="of the training set; by default as many as the quickstart has")
    parser.add_argument("--cache", type=Path, required=True, help="folder of compiled programs")
    arguments = parser.parse_args()
    spec = searched_spec(arguments.dialogues)
    train_table(spec, grid(spec, arguments.rates, arguments.seeds), arguments.cache).write(arguments.out)


if __name__ == "__main__":
    main()
