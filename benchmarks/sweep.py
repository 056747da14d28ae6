"""Makespan of whole sweeps, cold: `sweeps launch` against Ray Tune with one KerasHub `fit` per process.

    python -m benchmarks.sweep            # one to two hours on two cores
    python -m benchmarks.sweep --quick    # four trials, to see that it runs

Every arm is a process that starts with an empty home and an empty compilation cache, trains the same configurations
on the same dialogues, scores and stores each epoch, starts its own local Ray where it needs one, and ends it.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from statistics import mean, median
from typing import TYPE_CHECKING, Any

from benchmarks.arms.processes import environment, in_turns, own_home, run_module
from benchmarks.instruments.measuring import Ratio, ratio
from benchmarks.instruments.outcome import ArmOutcome, TrialOutcome, from_ledger, read_outcome
from benchmarks.instruments.reporting import Report, Table

if TYPE_CHECKING:
    from sweeps.spec import SweepSpec


@dataclass(frozen=True, kw_only=True)
class Size:
    """How much is done.

    trials      numbers of trials, and in how many rounds each is measured; the first is decomposed
    dialogues   of the training set; so few that the peer trains 64 trials in some ten minutes
    epochs      of every trial; None: drawn from the quickstart's space, 1 to 3
    slots       of the pack
    """

    trials: Mapping[int, int]
    dialogues: int = 64
    epochs: int | None = None
    slots: int = 8


FULL = Size(trials={16: 3, 64: 1})
QUICK = Size(trials={4: 1}, dialogues=32, slots=2)

PEER, OURS = "Tune + fit", "ours"
PEER_STOPPING, OURS_STOPPING = "Tune + fit, ASHA", "ours, early stopping"

# The chain from the peer to us, each arm one change away from the one before.
CHAIN = (
    (PEER, ""),
    ("one process, fit padded to the limit", "start-up"),
    ("one process, fit in length buckets", "padding"),
    ("our pack, 1 slot", "factored"),
    ("our pack, all slots", "packed"),
    (OURS, "orchestration"),
    (OURS_STOPPING, "early stopping"),
)

Arm = Callable[[int], ArmOutcome]


@dataclass(frozen=True)
class Bench:
    """Runs arms in folders of their own below `folder`."""

    folder: Path
    size: Size

    def plan(self, trials: int, *, pruned: bool = False) -> SweepSpec:
        """Return the plan of so many trials; the larger one begins with the trials of the smaller."""
        from benchmarks.arms.plan import quickstart

        size = self.size
        return quickstart(
            "benchmark", trials=trials, dialogues=size.dialogues, epochs=size.epochs, slots=size.slots, pruned=pruned
        )

    def main_arms(self, trials: int) -> dict[str, Arm]:
        """Return the arms that take turns."""
        return {
            PEER: partial(self._module, "benchmarks.peers.tune_sweep", (), trials),
            OURS: partial(self._launch, trials, False),
            OURS_STOPPING: partial(self._launch, trials, True),
            PEER_STOPPING: partial(self._module, "benchmarks.peers.tune_sweep", ("--asha",), trials),
        }

    def chain_arms(self, trials: int) -> dict[str, Arm]:
        """Return the arms between the peer and us."""
        names = [name for name, _ in CHAIN]
        one_process = "benchmarks.peers.one_process"
        return {
            names[1]: partial(self._module, one_process, (), trials),
            names[2]: partial(self._module, one_process, ("--buckets",), trials),
            names[3]: partial(self._module, "benchmarks.arms.bare", ("--slots", "1"), trials),
            names[4]: partial(self._module, "benchmarks.arms.bare", ("--slots", str(self.size.slots)), trials),
        }

    def _module(self, module: str, options: Sequence[str], trials: int, turn: int) -> ArmOutcome:
        """Run a module that takes a plan and writes an outcome."""
        home, plan = self._new_home(trials, pruned=False)
        out = home / "outcome.json"
        folders = ("--cache", home / "compiled", "--adapters", home / "adapters")
        seconds = run_module(module, plan, out, *folders, *options, log=home / "log.txt")
        return read_outcome(out, seconds=seconds)

    def _launch(self, trials: int, pruned: bool, turn: int) -> ArmOutcome:
        """Run `sweeps launch` as a user types it, and read what the ledger says."""
        home, plan = self._new_home(trials, pruned=pruned)
        places = own_home(home / "sweeps-data")
        seconds = run_module("sweeps", "launch", plan, "--plain", log=home / "log.txt", **places)
        return ArmOutcome(trials=_told_by_ledger(places), seconds=seconds)

    def _new_home(self, trials: int, *, pruned: bool) -> tuple[Path, Path]:
        from benchmarks.arms.plan import write_plan

        home = Path(tempfile.mkdtemp(dir=self.folder))
        return home, write_plan(self.plan(trials, pruned=pruned), home / "plan.yaml")


def _told_by_ledger(places: Mapping[str, str]) -> tuple[TrialOutcome, ...]:
    from sweeps.home import find_home
    from sweeps.ledger.ledger import Ledger

    ledger = Ledger.open(find_home(environment(**places)).ledger, "benchmark")
    return from_ledger(ledger.trials())


# ---- what is measured -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Measured:
    """Outcomes of every round, by arm, of one number of trials; `steps` of the trials when none is stopped early."""

    trials: int
    steps: int
    rounds: Mapping[str, Sequence[ArmOutcome]]

    def seconds(self, arm: str) -> list[float]:
        """Makespans of an arm, by round."""
        return [outcome.seconds for outcome in self.rounds[arm]]

    def faster(self, ours: str, peer: str) -> Ratio:
        """How many times faster one arm is than another."""
        return ratio(self.seconds(peer), self.seconds(ours))


def measure(bench: Bench) -> list[Measured]:
    """Run every arm of every size; the first size is decomposed as well."""
    from benchmarks.arms.plan import configs

    found = []
    for place, (trials, rounds) in enumerate(bench.size.trials.items()):
        arms = bench.main_arms(trials) | (bench.chain_arms(trials) if place == 0 else {})
        done = in_turns(arms, rounds=rounds)
        spec = bench.plan(trials)
        batches = -(-bench.size.dialogues // spec.training.config.batch_size)
        steps = sum(batches * config.epochs for config in configs(spec))
        found.append(Measured(trials, steps, done))
    return found


# ---- what is told ---------------------------------------------------------------------------------------------------


def makespans(measured: Sequence[Measured]) -> Table:
    """Tell how long each arm took, and how much faster ours is."""
    arms = (PEER, OURS, OURS_STOPPING, PEER_STOPPING)
    rows = [
        [each.trials, len(each.rounds[PEER]), *(f"{median(each.seconds(arm)):.0f} s" for arm in arms)]
        + [str(each.faster(*pair)) for pair in ((OURS, PEER), (OURS_STOPPING, PEER), (OURS_STOPPING, PEER_STOPPING))]
        for each in measured
    ]
    return Table(
        "Makespan, cold",
        ["trials", "rounds", *arms, "full length", "early stopping here only", "early stopping on both sides"],
        rows,
        "Medians; in brackets the smallest and largest ratio of a round. Ours keeps a ledger and writes metrics, "
        "checkpoints and adapters to MLflow; the peer writes adapters only. Both validate once per epoch.",
    )


def decomposition(measured: Measured) -> Table:
    """Tell what each change contributes; the factors multiply to the whole by construction."""
    seconds = {name: median(measured.seconds(name)) for name, _ in CHAIN}
    names = [name for name, _ in CHAIN]
    rows: list[list[Any]] = [[PEER, "", f"{seconds[PEER]:.1f} s", "1.00×", "1.00×"]]
    for before, (name, change) in zip(names, CHAIN[1:], strict=False):
        factor, total = seconds[before] / seconds[name], seconds[PEER] / seconds[name]
        rows.append([name, change, f"{seconds[name]:.1f} s", f"{factor:.2f}×", f"{total:.2f}×"])
    return Table(
        f"Where it comes from: {measured.trials} trials",
        ["arm", "what changes", "makespan", "factor", "so far"],
        rows,
        "Each arm is a cold process that differs from the one above in one thing. `start-up`: no Ray, no process per "
        "trial, but all cores in one computation. `factored`: our compiled step instead of `fit`. `orchestration`: "
        "Ray, the ledger, MLflow and promotion around the same pack.",
    )


def end_check(measured: Sequence[Measured]) -> Table:
    """Tell that all arms trained the same trials, and to the same losses."""
    rows = []
    for each in measured:
        reference = each.rounds[OURS][0]
        for name, outcomes in each.rounds.items():
            outcome = outcomes[0]
            apart = outcome.differences(reference)
            difference = f"{mean(apart):+.2%} ({min(apart):+.2%} to {max(apart):+.2%})" if apart else "–"
            counts = (outcome.completed, outcome.evaluations)
            rows.append([f"{name}, {each.trials} trials", *counts, f"{outcome.best_loss:.4f}", difference])
    return Table(
        "All arms trained the same trials",
        ["arm", "trials trained to their end", "evaluations", "best validation loss", "against the same trial of ours"],
        rows,
        "Against ours: how far the last validation loss of a trial lies above that of the same trial in ours; the "
        "mean over trials, the lowest and the highest. `fit` draws its own first values and, without buckets, its own "
        "order of dialogues.",
    )


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a few short trials, to see that it runs")
    parser.add_argument("--trials", type=int, nargs="+", help="numbers of trials, instead of 16 and 64; one round")
    arguments = parser.parse_args()
    size = QUICK if arguments.quick else FULL
    if arguments.trials:
        size = Size(**{**asdict(size), "trials": dict.fromkeys(arguments.trials, 1)})
    began = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="sweep-benchmark-", ignore_cleanup_errors=True) as folder:
        measured = measure(Bench(Path(folder), size))
    report = Report(
        name="sweep",
        command=" ".join(["python -m benchmarks.sweep", *sys.argv[1:]]),
        question=(
            "How long does a whole sweep take, from nothing to its champion, compared with Ray Tune that runs "
            "KerasHub's `fit` in a process per trial, padded to the token limit? Trials of the quickstart's space on "
            f"{size.dialogues} dialogues, {size.slots} slots."
        ),
        tables=[makespans(measured), decomposition(measured[0]), end_check(measured)],
        data={"size": asdict(size), "measured": [asdict(each) for each in measured]},
        seconds=time.perf_counter() - began,
    )
    report.tell(keep=not arguments.quick)


if __name__ == "__main__":
    main()
