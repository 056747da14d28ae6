"""Ray for one sweep: a quiet local one that is gone afterwards, or somebody's cluster by its address."""

from __future__ import annotations

import contextlib
import gc
import importlib.util
import logging
import os
import secrets
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sweeps.errors import ClusterError, WorkerError
from sweeps.host.accelerators import cores
from sweeps.host.processes import runs
from sweeps.host.ray_internals import accelerators_seen, end_log_monitor
from sweeps.host.temporary import temporary_folder
from sweeps.host.user_home import ensure_home
from sweeps.sentences import sentence_of

if TYPE_CHECKING:
    import psutil

    from sweeps.settings import ComputeSettings

PACKAGES = ("sweeps", "trainer", "search_spaces", "adapter_registry")  # ours: all that a process of Ray needs of us
OBJECT_STORE_BYTES = 100 * 1024**2  # nothing large goes through it: configurations, and reports of a few numbers
RAYLET_PATIENCE_S = 45.0  # where Ray notices by itself that its raylet died, it takes half a minute
LONGEST_SOCKET_FOLDER = 40  # a socket's path holds 107 bytes, and Ray adds up to 65 to its folder

# Set where the user has not decided otherwise. Ray and Tune read most of them when they are imported.
ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",  # no calls home
    "RAY_AIR_NEW_OUTPUT": "0",  # Tune prints nothing; what is shown is drawn from our own events
    "RAY_CHDIR_TO_TRIAL_DIR": "0",  # paths in a spec mean the same everywhere
    "RAY_TRAIN_COUNT_PREEMPTION_AS_FAILURE": "1",  # or Tune would try such a trial again by itself, as nobody else does
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",  # under `uv run` Ray would upload the whole checkout
    "RAY_TRAIN_ENABLE_V2_MIGRATION_WARNINGS": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",  # metrics go to MLflow from the workers
    "TUNE_DISABLE_SIGINT_HANDLER": "1",  # the first Ctrl-C drains, see `sweeps.host.interrupts`
    "TUNE_DISABLE_STRICT_METRIC_CHECKING": "1",
    "TUNE_GLOBAL_CHECKPOINT_S": "1e9",  # Tune's own state is never read
    "TUNE_PRINT_ALL_TRIAL_ERRORS": "0",
    "TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S": "0",
}

SYSTEM_CONFIG = {
    # Idle processes that Ray starts in advance fit no trial: Tune gives its actors an environment of their own.
    "prestart_worker_first_driver": False,
    "enable_worker_prestart": False,
    # Ray would run the training at nice 15, behind anything else that wants a core.
    "worker_niceness": 0,
    # Nobody asks a local Ray for its metrics or its tasks' history, and telling them takes a hundredth of two cores.
    "enable_metrics_collection": False,
    "task_events_report_interval_ms": 0,
}


def prepare_environment() -> None:
    """Set Ray's and Tune's variables, and a home where there is none; call it before either is imported."""
    ensure_home()
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)


def count_accelerators() -> Mapping[str, float]:
    """Cores and accelerators of this machine, as a Ray that is started here counts them, without starting one."""
    prepare_environment()
    import ray

    if ray.is_initialized():
        found: Mapping[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]  # Ray has no types here
        return found
    counts = accelerators_seen()
    return {"CPU": float(cores()), **{kind: float(count) for kind, count in counts.items()}}


@contextlib.contextmanager
def ray_session(settings: ComputeSettings) -> Iterator[None]:
    """Use the Ray that runs in this process already, else the cluster at the address, else a local one of our own."""
    import ray

    if ray.is_initialized():
        yield
        return
    longest = None if settings.address else LONGEST_SOCKET_FOLDER
    with contextlib.ExitStack() as stack:
        with _told_if_refused(settings.address):
            folder = stack.enter_context(temporary_folder(longest=longest))
            stack.enter_context(_importable_packages())
            ray.init(**(_cluster(settings.address) if settings.address else _local(settings, folder)))
        with contextlib.nullcontext() if settings.address else _of_our_own():
            try:
                yield
            finally:
                with _no_collection():
                    ray.shutdown()


@contextlib.contextmanager
def _told_if_refused(address: str | None) -> Iterator[None]:
    """Tell in one sentence why there is no Ray; its own accounts run over pages."""
    try:
        yield
    except Exception as error:
        if address:
            raise ClusterError(f"The Ray cluster at {address} cannot be joined: {sentence_of(error)}") from error
        raise WorkerError(f"Ray cannot be started on this machine: {sentence_of(error)}") from error


@contextlib.contextmanager
def _of_our_own() -> Iterator[None]:
    """Use a local Ray that was just started for this process alone."""
    end_log_monitor()
    with _not_without_raylet():
        yield


@contextlib.contextmanager
def _no_collection() -> Iterator[None]:
    """Let no thread collect garbage: Ray ends the process when one frees a reference of its while it shuts down.

    What Tune leaves behind holds such references in cycles, so a collection frees them, in whichever thread allocates:
    in that which draws the picture, say. No thread but the driver's own holds one otherwise.
    """
    before = gc.isenabled()
    gc.disable()
    try:
        gc.collect()  # a collection that another thread is about to begin finds nothing to do
        yield
    finally:
        if before:
            gc.enable()


@contextlib.contextmanager
def _not_without_raylet() -> Iterator[None]:
    """End this process when its raylet has died and it has not ended by itself: Ray's calls may then hang for ever."""
    import psutil

    raylets = [child for child in psutil.Process().children(recursive=True) if child.name() == "raylet"]
    over = threading.Event()
    if raylets:
        threading.Thread(target=_end_after, args=(raylets, over), name="raylet-watch", daemon=True).start()
    try:
        yield
    finally:
        over.set()


def _end_after(raylets: Sequence[psutil.Process], over: threading.Event) -> None:
    import psutil

    while any(runs(raylet) for raylet in raylets):
        if over.wait(1.0):
            return
    if over.wait(RAYLET_PATIENCE_S):
        return
    print(
        "Error: Ray's raylet has died, and Ray hangs without it. `sweeps resume` goes on.", file=sys.stderr, flush=True
    )
    for child in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):
            child.kill()
    os._exit(1)  # no exception would reach the thread that hangs


@contextlib.contextmanager
def _importable_packages() -> Iterator[None]:
    """Let Ray's processes find our packages where this process found them, installed or not."""
    roots = dict.fromkeys(str(folder.parent) for folder in map(package_folder, PACKAGES) if folder is not None)
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [*roots, before]))
    try:
        yield
    finally:
        os.environ.pop("PYTHONPATH")
        if before is not None:
            os.environ["PYTHONPATH"] = before


def package_folder(package: str) -> Path | None:
    """Return a package's folder, without importing it; None where it is not."""
    found = importlib.util.find_spec(package)
    places = list(found.submodule_search_locations or []) if found else []
    return Path(places[0]) if places else None


def _local(settings: ComputeSettings, folder: Path) -> dict[str, Any]:
    # A local Ray whose server is gone does not come back; its processes would wait a minute for it.
    os.environ.setdefault("RAY_gcs_rpc_server_reconnect_timeout_s", "10")
    if not os.environ.get("RAY_AUTH_TOKEN_PATH"):  # without a token Ray makes one, and keeps it in the home for ever
        os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
    return {
        "address": "local",
        "_temp_dir": str(folder),
        "num_cpus": max(cores(), settings.workers),
        "include_dashboard": False,
        "object_store_memory": OBJECT_STORE_BYTES,
        # Else Ray prints a warning when more processes than cores start at once, as the trials' light ones do.
        "_system_config": SYSTEM_CONFIG | {"worker_maximum_startup_concurrency": settings.concurrent_trials + cores()},
        **_common(),
    }


def _cluster(address: str) -> dict[str, Any]:
    return {"address": address, **_common()}


def _common() -> dict[str, Any]:
    return {"log_to_driver": False, "logging_level": logging.ERROR}


@contextlib.contextmanager
def quiet_ray() -> Iterator[None]:
    """Keep Ray's messages off the terminal; what matters comes as an exception or as an event."""
    logger = logging.getLogger("ray")
    before = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(before)
