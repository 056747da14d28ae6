"""Trial-steps spent and the winner's loss: our search against random search and the exhaustive grid.

    python -m benchmarks.search            # less than half an hour on two cores, much of it for the table
    python -m benchmarks.search --quick    # a small table and one seed, to see that it runs
    python -m benchmarks.search --table benchmarks/results/search_table.json    # with a table from before

Every point of a grid over the quickstart's space is trained once, by the real engine; searches then read their losses
from that table, through the real searcher, ledger, pruner and driver.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from benchmarks.arms.curves import CurveTable, searched_spec
from benchmarks.arms.processes import run_module
from benchmarks.arms.replay import ReplaySettings
from benchmarks.arms.whole_sweep import run_in
from benchmarks.instruments.reporting import FOLDER, Report, Table

if TYPE_CHECKING:
    from search_spaces import SearchSpace
    from sweeps.settings import SearchSettings
    from trainer.config import TrialConfig

TABLE = "search_table.json"
RATE = "learning_rate_place"
WITHIN = 0.01  # of the exhaustive winner's loss
SHARE = 0.25  # of the exhaustive budget


@dataclass(frozen=True, kw_only=True)
class Size:
    """How much is done.

    trials       numbers of trials that a search may take
    seeds        of the searches
    table        seeds of the table's trials; search seed s reads the grid of the s-th of them, over and over
    rates        learning rates of the grid
    dialogues    of the training set; half of the quickstart's, so that the table takes minutes
    """

    trials: Sequence[int] = (24, 48)
    seeds: Sequence[int] = (0, 1, 2, 3, 4)
    table: Sequence[int] = (0,)
    rates: int = 8
    dialogues: int = 160


FULL = Size()
QUICK = Size(trials=(6,), seeds=(0,), table=(0,), rates=3, dialogues=32)


@dataclass(frozen=True, kw_only=True)
class Found:
    """One search.

    share        trial-steps spent, as part of those of the exhaustive grid
    excess       of the winner's loss over that of the exhaustive winner, as part of the latter; None: nobody finished
    pruned       trials that were stopped early
    """

    arm: str
    trials: int
    seed: int
    share: float
    excess: float | None
    pruned: int

    @property
    def good(self) -> bool:
        """Whether it came close enough with little enough."""
        return self.excess is not None and self.excess <= WITHIN and self.share <= SHARE


@dataclass(frozen=True)
class Points:
    """Makes a trial's configuration of what a search has drawn: a point of the table.

    The learning rate is drawn as its place in the ascending list: the shipped space's range has an order, too, which
    a choice among numbers would hide from the sampler.
    """

    table: CurveTable
    base: TrialConfig

    def __call__(self, params: Mapping[str, Any]) -> TrialConfig:
        """Return the configuration."""
        drawn = {name: value for name, value in params.items() if name != RATE}
        return replace(self.base, **drawn, learning_rate=self.table.learning_rates[params[RATE]])


def grid_space(space: SearchSpace, table: CurveTable) -> SearchSpace:
    """Return the quickstart's space with the learning rates of the table."""
    from search_spaces import Int, SearchSpace

    kept = {name: d for name, d in space.parameters.items() if name != "learning_rate"}
    return SearchSpace({**kept, RATE: Int(0, len(table.learning_rates) - 1)})


# ---- what is measured -----------------------------------------------------------------------------------------------


def make_table(path: Path, size: Size) -> CurveTable:
    """Train the table in a process of its own, so that Ray finds nothing of JAX here."""
    seeds = ("--seeds", *map(str, size.table))
    fewer = ("--dialogues", str(size.dialogues))
    with tempfile.TemporaryDirectory(prefix="search-table-") as folder:
        cache = ("--cache", Path(folder) / "compiled")
        run_module(
            "benchmarks.arms.curves", path, *seeds, "--rates", str(size.rates), *fewer, *cache, log=Path(folder) / "log"
        )
    return CurveTable.read(path)


def search_all(path: Path, size: Size, folder: Path) -> list[Found]:
    """Run every search, one after the other on one local Ray."""
    from sweeps.host.local_ray import prepare_environment, quiet_ray, ray_session
    from sweeps.settings import ComputeSettings, PrunerSettings

    table, spec = CurveTable.read(path), searched_spec(size.dialogues)
    default = spec.search.settings()
    arms = {
        "ours": default,
        "random": replace(default, sampler="random", pruner=PrunerSettings(kind="none")),
    }
    prepare_environment()
    compute = ComputeSettings(slots=spec.compute.slots)
    found = []
    with quiet_ray(), ray_session(compute):
        for trials in size.trials:
            for seed in size.seeds:
                for arm, settings in arms.items():
                    print(f"{arm}, {trials} trials, seed {seed} …", flush=True)
                    search = replace(settings, trials=trials, seed=seed)
                    point = Points(table, replace(spec.training.config, seed=table.seeds[seed % len(table.seeds)]))
                    found.append(search_once(folder, path, arm, search, point, compute.slots))
    return found


def search_once(folder: Path, path: Path, arm: str, search: SearchSettings, point: Points, slots: int) -> Found:
    """Run one search to its end."""
    from sweeps.settings import ComputeSettings

    name = f"{arm}-{search.trials}-{search.seed}"
    spent = folder / f"{name}.jsonl"
    result = run_in(
        folder,
        name,
        search=search,
        space=grid_space(searched_spec().search.space, point.table),
        engine_factory=ReplaySettings(table=str(path), spent=str(spent)),
        compute=ComputeSettings(slots=min(slots, search.trials), poll_s=0.1),
        configure=point,
    )
    steps = sum(json.loads(line)["steps"] for line in spent.read_text().splitlines())
    best = point.table.winner(point.base.seed).last_loss
    value = None if result.best is None else result.best.value
    return Found(
        arm=arm,
        trials=search.trials,
        seed=search.seed,
        share=steps / point.table.exhaustive_steps(point.base.seed),
        excess=None if value is None else value / best - 1,
        pruned=sum(trial.state == "pruned" for trial in result.trials),
    )


# ---- what is told ---------------------------------------------------------------------------------------------------


def summary(found: Sequence[Found]) -> Table:
    """Tell the medians of every arm."""
    rows = []
    for arm, trials in dict.fromkeys((each.arm, each.trials) for each in found):
        own = [each for each in found if (each.arm, each.trials) == (arm, trials)]
        excess = median(float("inf") if each.excess is None else each.excess for each in own)
        share = median(each.share for each in own)
        good = sum(each.good for each in own)
        pruned = median(each.pruned for each in own)
        rows.append([arm, trials, pruned, f"{share:.3f}", f"{100 * excess:+.2f} %", f"{good} of {len(own)}"])
    return Table(
        "Our search (TPE, successive halving: the defaults) and random search without early stopping",
        ["arm", "trials", "stopped early", "share of the exhaustive budget", "winner's loss over the best", "within"],
        rows,
        f"Medians over the seeds. `within`: seeds whose winner is within {WITHIN:.0%} of the exhaustive winner's "
        f"validation loss for at most {SHARE:g} of the exhaustive budget. Steps are counted in the slots, those that a "
        "trial trains while the pruner decides included.",
    )


def each_seed(found: Sequence[Found]) -> Table:
    """Tell every search."""
    rows = []
    for each in found:
        excess = "nobody finished" if each.excess is None else f"{100 * each.excess:+.2f} %"
        rows.append([f"{each.arm}, {each.trials} trials", each.seed, f"{each.share:.3f}", excess])
    return Table("Every search", ["arm", "seed", "share of the exhaustive budget", "winner's loss over the best"], rows)


def exhaustive(table: CurveTable) -> Table:
    """Tell what the grid holds."""
    rows = []
    for seed in table.seeds:
        curves, best = table.of_seed(seed), table.winner(seed)
        close = sum(curve.last_loss <= (1 + WITHIN) * best.last_loss for curve in curves)
        winner = f"rank {best.rank}, learning rate {best.learning_rate:g}, {best.epochs} epochs"
        rows.append([seed, len(curves), table.exhaustive_steps(seed), winner, f"{best.last_loss:.4f}", close])
    columns = ["trials' seed", "points", "trial-steps", "winner", "its validation loss", f"points within {WITHIN:.0%}"]
    note = f"Base model without an adapter: {table.base_loss:.4f}. All points took {table.seconds:.0f} s in packs."
    return Table("The exhaustive grid", columns, rows, note)


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a small table and one seed, to see that it runs")
    parser.add_argument("--table", type=Path, help="a table from before, instead of training one")
    arguments = parser.parse_args()
    size = QUICK if arguments.quick else FULL
    began = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="search-benchmark-") as folder:
        kept = Path(folder) if arguments.quick else FOLDER
        path = (arguments.table or kept / TABLE).absolute()
        table = CurveTable.read(path) if arguments.table else make_table(path, size)
        found = search_all(path, size, Path(folder))
    report = Report(
        name="search",
        command=" ".join(["python -m benchmarks.search", *sys.argv[1:]]),
        question="How many trial-steps does a search spend until its winner is as good as that of the whole grid?",
        tables=[summary(found), exhaustive(table), each_seed(found)],
        data={"size": asdict(size), "searches": [asdict(each) for each in found]},
        seconds=time.perf_counter() - began,
    )
    report.tell(keep=not arguments.quick)


if __name__ == "__main__":
    main()
