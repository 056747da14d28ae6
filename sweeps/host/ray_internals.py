"""The names of Ray that are not public, all in this place, each with what it is needed for.

Another Ray may have them elsewhere, or no more: pyproject.toml holds Ray to one minor version, and in any other that
lacks one of them a sweep ends with a sentence. When Ray is raised, look here first.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sweeps.errors import WorkerError

RAY = ">=2.60,<2.61"  # as in pyproject.toml


def register_class(name: str, kind: type) -> None:
    """Let Tune run a class that is no `Trainable`.

    `ray.tune.register_trainable` takes subclasses alone, and these import all of Ray Tune in each trial's process.
    """
    with _in_this_version():
        from ray.tune.registry import TRAINABLE_CLASS, _global_registry

        _global_registry.register(TRAINABLE_CLASS, name, kind)


def sent_to_each_trial() -> tuple[type, ...]:
    """Return the classes of what Tune sends to each trial's process, whose unpacking imports pandas and Ray Data.

    That is the trial's storage and a description of it. Neither has a public name, nor does Tune do without them.
    """
    with _in_this_version():
        from ray.train._internal.storage import StorageContext
        from ray.tune.experiment.trial import _TrialInfo

        return StorageContext, _TrialInfo


def end_log_monitor() -> None:
    """End the process that looks for new lines in log files ten times a second, for a driver that wants none.

    `ray.init(log_to_driver=False)` starts it all the same.
    """
    with _in_this_version():
        import ray

        node: Any = ray._private.worker._global_node
        node.kill_log_monitor(check_alive=False)


def accelerators_seen() -> dict[str, int]:
    """Count the GPUs and TPU chips that a Ray started here would offer, without starting one.

    What is public only counts those of a Ray that runs.
    """
    with _in_this_version():
        from ray._private.accelerators import get_accelerator_manager_for_resource

        managers = {kind: get_accelerator_manager_for_resource(kind) for kind in ("GPU", "TPU")}
        counts = {kind: manager.get_current_node_num_accelerators() for kind, manager in managers.items() if manager}
        for kind, manager in managers.items():
            visible = manager.get_current_process_visible_accelerator_ids() if manager else None
            if visible is not None:
                counts[kind] = min(counts[kind], len(visible))
    return counts


@contextmanager
def _in_this_version() -> Iterator[None]:
    try:
        yield
    except (ImportError, AttributeError) as error:
        import ray

        raise WorkerError(
            f"Ray must be a version that Gemma Sweeps was tested with ({RAY}), but {ray.__version__} is installed, "
            f"which lacks something ({error}). Install the other: pip install 'ray[tune]{RAY}'."
        ) from None
