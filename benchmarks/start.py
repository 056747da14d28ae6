"""How long a user waits for the first metric after typing `sweeps launch`: on a machine that knows the sweep, and cold.

    python -m benchmarks.start            # a few minutes
    python -m benchmarks.start --quick    # once, on few dialogues, to see that it runs

The quickstart's model, data and slots. The first launch begins with an empty home, and compiles; those after it find
its compiled programs. When a metric was measured is what MLflow has noted beside it.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from benchmarks.arms.processes import environment, own_home, run_module
from benchmarks.instruments.reporting import Report, Table

if TYPE_CHECKING:
    from adapter_registry.runs.mlflow_tracker import MlflowTracker


@dataclass(frozen=True, kw_only=True)
class Size:
    """How much is done: warm launches after the cold one, dialogues of the training set, and slots, all of them taken.

    The trials end after an epoch: what is measured lies before.
    """

    launches: int = 5
    dialogues: int = 320
    slots: int = 6


FULL = Size()
QUICK = Size(launches=1, dialogues=32, slots=2)


@dataclass(frozen=True, kw_only=True)
class Launch:
    """Seconds after one `sweeps launch`.

    metric       until a trial's first training loss was measured
    score        until its first validation loss
    end          until the command has ended, with a champion
    """

    metric: float
    score: float
    end: float


def launch(home: Path, number: int, size: Size) -> Launch:
    """Launch a sweep of its own name in a home, and wait for its end."""
    from adapter_registry.runs.mlflow_tracker import MlflowTracker
    from benchmarks.arms.plan import quickstart, write_plan
    from sweeps.home import find_home

    name = f"start-{number}"
    spec = quickstart(name, trials=size.slots, dialogues=size.dialogues, slots=size.slots, epochs=1)
    plan = write_plan(spec, home.parent / f"{name}.yaml")
    places = own_home(home)
    began = time.time()
    seconds = run_module("sweeps", "launch", plan, "--plain", log=home.parent / f"{name}.txt", **places)
    found = find_home(environment(**places))
    with MlflowTracker(found.tracking_uri, spec.experiment, found.artifact_root) as tracker:
        metric, score = (first_at(tracker, name, of) - began for of in ("train_loss", "val_loss"))
    return Launch(metric=metric, score=score, end=seconds)


def first_at(tracker: MlflowTracker, sweep: str, metric: str) -> float:
    """Return when a metric was first measured in any trial of a sweep, in seconds since 1970."""
    run_id = tracker.find_sweep(sweep)
    trials = tracker.trials(run_id) if run_id else []
    points = (tracker.client.get_metric_history(trial.run_id, metric) for trial in trials)
    first_ms: int = min(point.timestamp for each in points for point in each)
    return first_ms / 1000


def table(launches: Sequence[Launch]) -> Table:
    """Tell how long the first launch took, and those after it."""
    cold, *warm = launches
    what = {
        "first training loss of a trial": [each.metric for each in warm],
        "first validation loss of a trial": [each.score for each in warm],
        "champion, end of the command": [each.end for each in warm],
    }
    rows = [
        [name, f"{median(seconds):.1f} s", f"{min(seconds):.1f}–{max(seconds):.1f} s", f"{first:.1f} s"]
        for (name, seconds), first in zip(what.items(), asdict(cold).values(), strict=True)
    ]
    return Table(
        "Seconds after `sweeps launch`",
        ["until", "warm", "smallest and largest", "cold"],
        rows,
        f"Medians of {len(warm)} launches that find compiled programs, and the one before them, which compiles. "
        "Nothing runs between two launches.",
    )


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="once, on few dialogues, to see that it runs")
    arguments = parser.parse_args()
    size = QUICK if arguments.quick else FULL
    began = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="start-benchmark-", ignore_cleanup_errors=True) as folder:
        launches = []
        for number in range(1 + size.launches):
            print("cold …" if number == 0 else f"warm, {number} of {size.launches} …", flush=True)
            launches.append(launch(Path(folder) / "home", number, size))
    report = Report(
        name="start",
        command=" ".join(["python -m benchmarks.start", *sys.argv[1:]]),
        question=(
            "How long after `sweeps launch` does the first metric come? "
            f"The quickstart with {size.dialogues} dialogues, {size.slots} slots and as many trials of one epoch."
        ),
        tables=[table(launches)],
        data={"size": asdict(size), "launches": [asdict(each) for each in launches]},
        seconds=time.perf_counter() - began,
    )
    report.tell(keep=not arguments.quick)


if __name__ == "__main__":
    main()
