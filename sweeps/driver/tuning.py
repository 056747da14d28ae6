"""Ray Tune, set up to hold nothing that matters: no checkpoints, no loggers, no output, a folder that is thrown away.

Imported by `sweeps.driver.driver` once Ray runs: importing Ray Tune takes more than a second.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ray
from ray import tune
from ray.tune import Callback
from ray.util import deregister_serializer, register_serializer

from sweeps.driver.scheduler import LedgerScheduler
from sweeps.driver.searcher import LedgerSearcher
from sweeps.host.ray_internals import register_class, sent_to_each_trial
from sweeps.host.temporary import temporary_folder
from sweeps.workers.trial_client import TrialClient, nothing

if TYPE_CHECKING:
    from ray.tune.experiment import Trial

    from sweeps.driver.steering import Steering
    from sweeps.workers.pool import WorkerPool

TRAINABLE = "sweep-trial"


def tune_trials(steering: Steering, pool: WorkerPool, *, at_once: int, starting: int) -> None:
    """Run Tune until the ledger has no more trials, the sweep is drained, or something ends it; the pool lives on.

    Args:
        steering: knows the trials.
        pool: trains them.
        at_once: trials that are alive at the same time, each with a process.
        starting: of these processes, how many may start at the same time.

    Raises:
        SweepsError: why the sweep was aborted (no worker can be started, or all were lost).
    """
    with suppress(_AbortedError), _light_trials(), temporary_folder() as folder:
        _tuner(steering, pool, folder, at_once=at_once, starting=starting).fit()
    if steering.error is not None:
        raise steering.error


@contextmanager
def _light_trials() -> Iterator[None]:
    """Let Tune run `TrialClient`, and keep from its processes what would make them import all of Ray Tune."""
    register_class(TRAINABLE, TrialClient)
    unused = sent_to_each_trial()
    for kind in unused:
        register_serializer(kind, serializer=nothing, deserializer=nothing)
    try:
        yield
    finally:
        for kind in unused:
            deregister_serializer(kind)


def _tuner(steering: Steering, pool: WorkerPool, folder: Path, *, at_once: int, starting: int) -> tune.Tuner:
    searcher = LedgerSearcher(steering, workers=pool.prefix, processes=at_once, starting=starting)
    return tune.Tuner(
        TRAINABLE,
        tune_config=tune.TuneConfig(
            search_alg=searcher,
            scheduler=LedgerScheduler(steering, searcher, release=pool.release, has_loaded=pool.has_loaded),
            max_concurrent_trials=at_once,
            num_samples=-1,
            reuse_actors=True,
        ),
        run_config=tune.RunConfig(
            storage_path=str(folder),
            # Tune does not try again what died before it began. `Steering` does, whenever a process dies.
            failure_config=tune.FailureConfig(max_failures=0),
            checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
            callbacks=[_SweepCallback(steering, searcher)],
            verbose=0,
        ),
    )


class _AbortedError(BaseException):
    """Leaves Tune's loop at once: it cleans up for a long time after an `Exception`."""


class _SweepCallback(Callback):
    """Tells the searcher whose process has begun, and leaves Tune's loop when the sweep is over."""

    def __init__(self, steering: Steering, searcher: LedgerSearcher) -> None:
        self._steering = steering
        self._searcher = searcher

    def on_trial_start(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        self._searcher.began(trial.trial_id)

    def on_step_end(self, iteration: int, trials: list[Trial], **info: Any) -> None:
        if not self._steering.is_over:
            return
        for trial in trials:
            actor = trial.temporary_state.ray_actor
            if actor is not None:
                ray.kill(actor)
        raise _AbortedError

    def __getstate__(self) -> dict[str, Any]:
        return {}  # Tune pickles its configuration into a file that nobody reads here
