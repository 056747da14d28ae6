"""Ray Tune as a careful user sets it up: a process per trial, KerasHub's `fit` in it, one core each.

    python -m benchmarks.peers.tune_sweep PLAN.yaml OUT.json --cache FOLDER --adapters FOLDER [--asha]

Processes are used again for the next trial, data is tokenized once per process, compiled programs are shared through
a folder, Ray runs without a dashboard and Tune without output. Nothing is written to MLflow, which ours does.
"""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path
from typing import Any

from benchmarks.arms.processes import plan_parser
from benchmarks.instruments.outcome import TrialOutcome, write_outcome

REDUCTION_FACTOR = 4  # as our default pruner's
ENVIRONMENT = {
    "NPROC": "1",  # threads that XLA starts for a computation
    "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "TF_CPP_MIN_LOG_LEVEL": "2",
    "KERAS_BACKEND": "jax",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_TRAIN_ENABLE_V2_MIGRATION_WARNINGS": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
}


def trainable() -> type[Any]:
    """Return Tune's class of a trial; Ray Tune is imported here, after the environment is set."""
    from ray import tune

    class KerasTrial(tune.Trainable):
        """Trains one trial an epoch at a time; used again for the next one."""

        def setup(self, config: dict[str, Any]) -> None:
            """Read the data, and begin the first trial of this process."""
            from benchmarks.arms.plan import configs, read_plan
            from benchmarks.peers.plan_data import read_tokens
            from trainer.machine.compilation import keep_compiled

            keep_compiled(config["cache"])
            self._spec = read_plan(Path(config["plan"]))
            self._configs = configs(self._spec)
            self._tokens = read_tokens(self._spec)
            self.reset_config(config)

        def reset_config(self, new_config: dict[str, Any]) -> bool:
            """Begin another trial."""
            from benchmarks.peers.keras_fit import KerasFit
            from benchmarks.peers.plan_data import fit_options
            from trainer.machine.keras_backend import keras

            keras.utils.clear_session()
            self._number, self._epoch = new_config["number"], 0
            self._adapters = Path(new_config["adapters"])
            train, validation = self._tokens
            options = fit_options(self._spec, self._configs[self._number])
            self._fit = KerasFit.load(self._spec.base.model, train=train, validation=validation, **options)
            return True

        def step(self) -> dict[str, Any]:
            """Train an epoch, score it, and keep its adapter."""
            self._epoch += 1
            self._fit.epoch()
            loss = self._fit.validation_loss()
            self._fit.save(self._adapters / f"trial_{self._number}_epoch_{self._epoch}.lora.h5")
            return {"val_loss": loss, "done": self._epoch >= self._configs[self._number].epochs}

    return KerasTrial


def run(arguments: argparse.Namespace) -> list[TrialOutcome]:
    """Run the plan's trials, as many at once as there are cores."""
    import ray
    from ray import tune

    from benchmarks.arms.plan import configs, read_plan
    from sweeps.host.temporary import temporary_folder

    planned = configs(read_plan(arguments.plan))
    cores = len(os.sched_getaffinity(0))
    heard = _listener()
    scheduler = tune.schedulers.ASHAScheduler(
        time_attr="training_iteration",
        max_t=max(config.epochs for config in planned),
        grace_period=1,
        reduction_factor=REDUCTION_FACTOR,
    )
    paths = {name: str(getattr(arguments, name).absolute()) for name in ("plan", "cache", "adapters")}
    with temporary_folder() as folder:
        ray.init(address="local", num_cpus=cores, include_dashboard=False, log_to_driver=False, _temp_dir=str(folder))
        tuner = tune.Tuner(
            tune.with_resources(trainable(), {"cpu": 1}),
            param_space={"number": tune.grid_search(list(range(len(planned)))), **paths},
            tune_config=tune.TuneConfig(
                metric="val_loss",
                mode="min",
                scheduler=scheduler if arguments.asha else None,
                reuse_actors=True,
            ),
            run_config=tune.RunConfig(
                storage_path=str(folder / "tune"),
                checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),  # adapters are all that is kept
                callbacks=[heard],
                verbose=0,
            ),
        )
        results = tuner.fit()
        ray.shutdown()
    if results.errors:
        raise results.errors[0]
    return [
        TrialOutcome(
            number=number, state="complete" if len(losses) == planned[number].epochs else "pruned", losses=tuple(losses)
        )
        for number, losses in sorted(heard.losses.items())
    ]


def _listener() -> Any:
    """Return a callback of Tune's that remembers every validation loss, by trial number."""
    from ray.tune import Callback

    class Losses(Callback):
        """Tune's own loggers would write the same into files; they are off, which is faster."""

        def __init__(self) -> None:
            self.losses: dict[int, list[float]] = {}

        def on_trial_result(
            self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
        ) -> None:
            """Remember a result."""
            self.losses.setdefault(trial.config["number"], []).append(result["val_loss"])

    return Losses()


def main() -> None:
    """Run the sweep."""
    parser = plan_parser(__doc__)
    parser.add_argument("--asha", action="store_true", help="stop trials early, by Tune's ASHA")
    arguments = parser.parse_args()
    began = time.perf_counter()
    os.environ.update(ENVIRONMENT)  # Ray's processes take it from here
    arguments.adapters.mkdir(parents=True, exist_ok=True)
    outcomes = run(arguments)
    write_outcome(arguments.out, outcomes, {"inside_s": time.perf_counter() - began})


if __name__ == "__main__":
    main()
