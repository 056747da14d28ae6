"""System metrics of each worker on the sweep's run: MLflow's own monitors, sent through the sweep's metric queue.

MLflow's monitoring thread ends for good at the first outage and counts its steps from 0 in every process. Here
the steps are seconds since the sweep began, so that curves of several workers, and of a worker that was started
again, lie on one axis.
"""

from __future__ import annotations

import logging
import threading
import time
from types import TracebackType
from typing import Any, Self, final

from adapter_registry.errors import RegistryError
from adapter_registry.runs.tracking import Tracker
from adapter_registry.store.environment import prepare_mlflow

INTERVAL_S = 5.0


@final
class SystemMetrics:
    """Samples this machine's CPU, memory, disk, network and GPUs until it is stopped; also a context manager.

    Args:
        tracker: where the metrics go; this process's own.
        run_id: of the sweep.
        worker: its name, which is part of the metrics' names: `system/<worker>/cpu_utilization_percentage`.
        started_at_s: when the sweep began (seconds since 1970); None: now.
        interval_s: between two samples.
    """

    def __init__(
        self,
        tracker: Tracker,
        run_id: str,
        worker: str,
        *,
        started_at_s: float | None = None,
        interval_s: float = INTERVAL_S,
    ) -> None:
        self._tracker = tracker
        self._run_id = run_id
        self._prefix = f"system/{worker}/"
        self._started_at_s = time.time() if started_at_s is None else started_at_s
        self._interval_s = interval_s
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work, name=f"system-metrics-{worker}", daemon=True)

    def start(self) -> Self:
        """Begin sampling in a thread."""
        self._thread.start()
        return self

    def stop(self) -> None:
        """End the thread; a second call does nothing."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _work(self) -> None:
        try:
            monitors = _monitors()
            while not self._stop.wait(self._interval_s):
                self._tracker.log_metrics(self._run_id, self._sample(monitors), self._step())
        except RegistryError:
            logging.getLogger(__name__).warning("System metrics of %s end here", self._prefix, exc_info=True)

    def _step(self) -> int:
        return max(0, round(time.time() - self._started_at_s))

    def _sample(self, monitors: list[Any]) -> dict[str, float]:
        metrics: dict[str, float] = {}
        for monitor in monitors:
            monitor.collect_metrics()
            metrics |= {self._prefix + name: value for name, value in monitor.aggregate_metrics().items()}
            monitor.clear_metrics()
        return metrics


def _monitors() -> list[Any]:
    prepare_mlflow()
    from mlflow.system_metrics.metrics.cpu_monitor import CPUMonitor
    from mlflow.system_metrics.metrics.disk_monitor import DiskMonitor
    from mlflow.system_metrics.metrics.gpu_monitor import GPUMonitor
    from mlflow.system_metrics.metrics.network_monitor import NetworkMonitor

    monitors: list[Any] = []
    for kind in (CPUMonitor, DiskMonitor, NetworkMonitor, GPUMonitor):
        try:
            monitor: Any = kind()
            monitor.collect_metrics()  # CPU use is measured since the call before
            monitor.clear_metrics()
            monitors.append(monitor)
        except Exception as error:  # what this machine lacks: a GPU, nvidia-ml-py, a network
            logging.getLogger(__name__).debug("No metrics of %s: %s", kind.__name__, error)
    return monitors
