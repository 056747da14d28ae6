"""A plan's trials through the real driver, with a watch around the engine: the counterpart of `benchmarks.arms.bare`.

    python -m benchmarks.arms.driven PLAN.yaml OUT.json --cache FOLDER --adapters FOLDER

Ledger and MLflow store are made in the folder of the adapters. What `sweeps launch` adds to the driver (checks before
it, plots and promotion after it) is left out here, and part of `benchmarks.sweep`.
"""

from __future__ import annotations

import time

from benchmarks.arms.processes import plan_parser
from benchmarks.instruments.outcome import from_ledger, write_outcome


def main() -> None:
    """Run the sweep."""
    arguments = plan_parser(__doc__).parse_args()
    began = time.perf_counter()

    from benchmarks.arms.plan import read_plan
    from benchmarks.arms.watched import WatchedFactory
    from benchmarks.arms.whole_sweep import run_in
    from sweeps.workers.pack_factory import PackFactory

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
    write_outcome(
        arguments.out,
        from_ledger(result.trials),
        {"inside_s": time.perf_counter() - began, "occupancy": result.occupancy},
    )


if __name__ == "__main__":
    main()
