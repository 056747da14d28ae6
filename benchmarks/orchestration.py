"""What Ray, Optuna and MLflow cost around the training itself.

    python -m benchmarks.orchestration            # about twenty minutes on two cores
    python -m benchmarks.orchestration --quick    # a few trials, to see that it runs

Real trials: through the driver, and through a bare loop over the same pack, both with compiled programs on disk.
Model-free trials: a thousand of them through the real driver, to see whether anything grows with their number.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from benchmarks.arms.processes import in_turns, run_module
from benchmarks.arms.watched import Watched
from benchmarks.arms.whole_sweep import run_in, tracker_of
from benchmarks.instruments.calls import CountingFactory, counted_calls
from benchmarks.instruments.growth import MemoryOverTrials
from benchmarks.instruments.measuring import ratio
from benchmarks.instruments.reporting import Report, Table
from trainer.machine.host_memory import ENVIRONMENT

if TYPE_CHECKING:
    from sweeps.progress import ProgressEvent

MEGABYTE = 2**20


@dataclass(frozen=True, kw_only=True)
class Size:
    """How much is done.

    trials, dialogues, rounds, slots    of the real comparison
    free_trials                         model-free ones
    tick_s, steps_per_epoch             of the model-free engine
    """

    trials: int = 64
    dialogues: int = 96
    rounds: int = 3
    slots: int = 8
    free_trials: int = 1000
    tick_s: float = 0.002
    steps_per_epoch: int = 10


FULL = Size()
QUICK = Size(trials=4, dialogues=32, rounds=1, slots=2, free_trials=40)


# ---- real trials ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class RealRun:
    """One arm in one round.

    process_s    wall time of its process
    total_s      of loading, training and ending, imports of the arm's own module left out
    watched      what the engine saw
    occupancy    of the slots while trials waited, as the driver says; None in the bare loop
    trials       that were trained to their end
    """

    process_s: float
    total_s: float
    watched: Watched
    occupancy: float | None
    trials: int


@dataclass(frozen=True)
class RealBench:
    """Runs the two arms in processes of their own, which share the folder of compiled programs."""

    folder: Path
    size: Size

    def compile(self) -> None:
        """Put the programs on disk, by as many trials as there are slots."""
        self._bare(self.size.slots)

    def bare(self, turn: int) -> RealRun:
        """Train the plan's trials in a bare loop."""
        return self._bare(self.size.trials)

    def sweep(self, turn: int) -> RealRun:
        """Train them through the driver."""
        return self._run(self.size.trials, "benchmarks.arms.driven")

    def _bare(self, trials: int) -> RealRun:
        # Begun as a worker's process is.
        return self._run(trials, "benchmarks.arms.bare", "--slots", str(self.size.slots), **ENVIRONMENT)

    def _run(self, trials: int, module: str, *options: str, **env: str) -> RealRun:
        from benchmarks.arms.plan import quickstart, write_plan

        size = self.size
        home = Path(tempfile.mkdtemp(dir=self.folder))
        plan = quickstart("benchmark", trials=trials, dialogues=size.dialogues, slots=size.slots)
        out = home / "outcome.json"
        folders = ("--cache", self.folder / "compiled", "--adapters", home / "adapters")
        seconds = run_module(
            module, write_plan(plan, home / "plan.yaml"), out, *folders, *options, log=home / "log.txt", **env
        )
        found: dict[str, Any] = json.loads(out.read_text())
        complete = sum(trial["state"] == "complete" for trial in found["trials"])
        marks = found["marks"]
        watched = Watched.read(out.with_suffix(".watch.json"))
        return RealRun(seconds, marks["inside_s"], watched, marks.get("occupancy"), complete)


def measure_real(folder: Path, size: Size) -> dict[str, list[RealRun]]:
    """Compile in a round that is not counted, then let both arms take turns."""
    bench = RealBench(folder, size)
    print("compiling …", flush=True)
    bench.compile()
    return in_turns({"bare loop": bench.bare, "sweep": bench.sweep}, rounds=size.rounds)


# ---- model-free trials ----------------------------------------------------------------------------------------------


@dataclass
class FreeRun:
    """A sweep of model-free trials.

    seconds       wall time of the driver
    ended_at      seconds after the first trial was handed out, of each trial's end
    resident      bytes of the driver when so many trials had ended
    calls         to MLflow, by the client's method, of all processes
    occupancy     of the slots while trials waited
    """

    trials: int
    seconds: float = 0.0
    ended_at: list[float] = field(default_factory=list)
    resident: dict[int, int] = field(default_factory=dict)
    calls: dict[str, int] = field(default_factory=dict)
    occupancy: float | None = None
    states: dict[str, int] = field(default_factory=dict)

    def trials_per_second(self, first: int, last: int) -> float:
        """Rate at which the trials between two numbers of ended trials ended."""
        begin = self.ended_at[first - 1] if first else 0.0
        return (last - first) / (self.ended_at[last - 1] - begin)


def measure_free(folder: Path, size: Size) -> FreeRun:
    """Run a sweep of model-free trials with the default search."""
    from collections import Counter

    from search_spaces import load_space
    from sweeps.progress import TrialEnded, TrialStarted
    from sweeps.settings import ComputeSettings, SearchSettings
    from sweeps.workers.rehearsal import RehearsalSettings

    run = FreeRun(size.free_trials)
    log = folder / "calls"
    began: list[float] = []
    with MemoryOverTrials() as memory:

        def hear(event: ProgressEvent) -> None:
            if isinstance(event, TrialStarted) and not began:
                began.append(time.perf_counter())
            if isinstance(event, TrialEnded):
                run.ended_at.append(time.perf_counter() - began[0])
                memory.ended += 1

        result = run_in(
            folder,
            "model-free",
            search=SearchSettings(trials=size.free_trials),
            space=load_space("quickstart"),
            engine_factory=RehearsalSettings(tick_s=size.tick_s, steps_per_epoch=size.steps_per_epoch),
            compute=ComputeSettings(slots=size.slots),
            on_event=hear,
            tracker_factory=CountingFactory(partial(_tracker, folder), str(log)),
        )
    run.seconds, run.occupancy = result.seconds, result.occupancy
    run.states = dict(Counter(trial.state for trial in result.trials))
    run.resident = {n: memory.resident_bytes(n) for n in _milestones(size.free_trials)}
    run.calls = dict(counted_calls(log).most_common())
    return run


def _tracker(folder: Path) -> Any:
    return tracker_of(folder)()


def _milestones(trials: int) -> list[int]:
    """Return a tenth, a half and all of the trials: 100, 500 and 1,000 of 1,000."""
    return [max(1, trials // 10), trials // 2, trials]


# ---- what is told ---------------------------------------------------------------------------------------------------


def overhead(found: dict[str, list[RealRun]]) -> Table:
    """Tell how much longer the sweep takes than the bare loop."""
    bare, sweep = found["bare loop"], found["sweep"]
    measures: dict[str, Callable[[RealRun], float]] = {
        "first join → last finish": lambda run: run.watched.training_s,
        "in all: load, train, end": lambda run: run.total_s,
        "wall time of the process": lambda run: run.process_s,
    }
    rows = []
    for name, of in measures.items():
        ours, theirs = [of(run) for run in sweep], [of(run) for run in bare]
        more = ratio(ours, theirs)
        spread = f"{100 * (more.median - 1):+.1f} % ({100 * (more.low - 1):+.1f} to {100 * (more.high - 1):+.1f})"
        rows.append([name, f"{median(theirs):.1f} s", f"{median(ours):.1f} s", spread])
    return Table(
        f"{bare[0].trials} short real trials, full length: bare training loop and whole sweep over the same pack",
        ["from → to", "bare loop", "sweep", "more"],
        rows,
        f"Medians; in brackets the smallest and largest of a round, of which there were {len(bare)}. Compiled programs "
        "are on disk for both. The sweep starts Ray, keeps the ledger, and writes metrics, checkpoints and adapters to "
        "MLflow.",
    )


def engine_table(found: dict[str, list[RealRun]]) -> Table:
    """Tell how full the slots were, and what was compiled while trials trained."""
    rows = []
    for name, runs in found.items():
        late = [run.watched.compiled_late for run in runs]
        after = [
            [each for each in these if each[0] > run.watched.training_s / 2]
            for these, run in zip(late, runs, strict=True)
        ]
        rows.append(
            [
                name,
                _percent([run.watched.occupancy for run in runs]),
                _percent([run.occupancy for run in runs]),
                f"{median(run.watched.steps for run in runs):.0f}, "
                f"{median(run.watched.evaluations for run in runs):.0f}",
                f"{median(map(len, late)):.0f}, {median(sum(c[1] for c in these) for these in late):.2f} s",
                f"{median(map(len, after)):.0f}",
            ]
        )
    return Table(
        "Slots and compilations of the same runs",
        [
            "arm",
            "slots taken while trials wait",
            "as the driver says",
            "packed steps, evaluations",
            "compiled after the first join",
            "in the second half",
        ],
        rows,
        "Taken: part of the slots' time between the first trial's join and the last. Slots that do not keep step need "
        "more packed steps than in the bare loop, which has the next trial at hand. Compilations count every program, "
        "down to a single copy, also those that are read from disk.",
    )


def free_table(run: FreeRun) -> Table:
    """Tell what a thousand trials cost."""
    tenth, _, whole = _milestones(run.trials)
    rows: list[Sequence[Any]] = [
        ["trials", f"{run.trials:,} ({', '.join(f'{count} {state}' for state, count in run.states.items())})"],
        ["trials per second", f"{run.trials_per_second(0, whole):.1f}"],
        [f"… the first {tenth}", f"{run.trials_per_second(0, tenth):.1f}"],
        [f"… the last {tenth}", f"{run.trials_per_second(whole - tenth, whole):.1f}"],
        *([f"driver's memory at {n:,} trials", f"{size / MEGABYTE:.0f} MiB"] for n, size in run.resident.items()),
        ["MLflow calls per trial", f"{sum(run.calls.values()) / run.trials:.1f}"],
        *([f"… {name}", f"{count / run.trials:.2f}"] for name, count in run.calls.items() if count >= run.trials / 10),
        ["slots taken while trials wait", _percent([run.occupancy])],
    ]
    return Table(
        "Model-free trials through the real driver: local Ray, SQLite ledger, MLflow over SQLite",
        ["", "measured"],
        rows,
        "Trials that take no time: this is the most that the driver hands out, so slots wait for it. Default search.",
    )


def _percent(shares: Sequence[float | None]) -> str:
    known = [share for share in shares if share is not None]
    return f"{100 * median(known):.1f} %" if known else "–"


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a few trials, to see that it runs")
    parser.add_argument("--part", choices=["real", "free"], help="only one of the two")
    arguments = parser.parse_args()
    size = QUICK if arguments.quick else FULL
    began = time.perf_counter()
    tables, data = [], {"size": asdict(size)}
    with tempfile.TemporaryDirectory(prefix="orchestration-", ignore_cleanup_errors=True) as folder:
        if arguments.part != "free":
            real = measure_real(Path(folder), size)
            tables += [overhead(real), engine_table(real)]
            data["real"] = {name: [asdict(run) for run in runs] for name, runs in real.items()}
        if arguments.part != "real":
            free = measure_free(Path(folder) / "model-free", size)
            tables.append(free_table(free))
            data["free"] = asdict(free)
    report = Report(
        name="orchestration",
        command=" ".join(["python -m benchmarks.orchestration", *sys.argv[1:]]),
        question="What do Ray, Optuna and MLflow cost around the training, and does anything grow with the trials?",
        tables=tables,
        data=data,
        seconds=time.perf_counter() - began,
    )
    report.tell(keep=not arguments.quick)


if __name__ == "__main__":
    main()
