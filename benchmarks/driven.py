"""A plan's trials through the real driver, with a watch around the engine: the counterpart of `benchmarks.bare`.

    python -m benchmarks.driven PLAN.yaml OUT.json --cache FOLDER --adapters FOLDER

Ledger and MLflow store are made in the folder of the adapters. What `sweeps launch` adds to the driver (checks before
it, plots and promotion after it) is left out here, and part of `benchmarks.sweep`.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from benchmarks.outcome import TrialOutcome, write_outcome


def main() -> None:
    """Run the sweep."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("plan", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--cache", type=Path, required=True, help="folder of compiled programs")
    parser.add_argument("--adapters", type=Path, required=True, help="folder of ledger and MLflow store")
    arguments = parser.parse_args()
    began = time.perf_counter()

    from benchmarks.plan import read_plan
    from benchmarks.watched import WatchedFactory
    from benchmarks.whole_sweep import run_in
    from sweeps.pack_factory import PackFactory

    spec = read_plan(arguments.plan)
    recipe = PackFactory(spec=spec, cache_folder=str(arguments.cache))
    watch = arguments.out.with_suffix(".watch.json").absolute()
    result = run_in(
        arguments.adapters.absolute(),
        spec.name,
        search=spec.search.settings(),
        space=spec.search.space,
        engine_factory=WatchedFactory(inner=recipe, log=str(watch)),
        compute=spec.compute.settings(slots=min(spec.compute.slots, spec.search.trials)),
        configure=spec.trial_config,
        enqueue=spec.search.enqueue,
    )
    outcomes = [
        TrialOutcome(number=t.number, state=t.state, losses=tuple(t.evaluations[e] for e in sorted(t.evaluations)))
        for t in result.trials
    ]
    write_outcome(arguments.out, outcomes, {"inside_s": time.perf_counter() - began, "occupancy": result.occupancy})


if __name__ == "__main__":
    main()
