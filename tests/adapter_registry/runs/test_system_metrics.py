"""System metrics of workers on the sweep's run."""

import threading
import time

from adapter_registry import MemoryTracker, MlflowTracker
from adapter_registry.runs.system_metrics import SystemMetrics


def test_each_worker_has_metrics_of_its_own() -> None:
    tracker = MemoryTracker()
    sweep = tracker.open_sweep("s", spec_yaml="", tags={}, params={})
    with (
        SystemMetrics(tracker, sweep, "worker-0", interval_s=0.05),
        SystemMetrics(tracker, sweep, "worker-1", interval_s=0.05),
    ):
        _wait_for(lambda: len(tracker.runs[sweep].metrics) >= 10)
    metrics = tracker.runs[sweep].metrics
    for worker in ("worker-0", "worker-1"):
        assert 0 <= metrics[f"system/{worker}/cpu_utilization_percentage"][0][1] <= 100
        assert metrics[f"system/{worker}/system_memory_usage_megabytes"][0][1] > 0


def test_steps_are_seconds_since_the_sweep_began() -> None:
    """A worker that starts an hour into the sweep does not begin at step 0 again."""
    tracker = MemoryTracker()
    sweep = tracker.open_sweep("s", spec_yaml="", tags={}, params={})
    with SystemMetrics(tracker, sweep, "w", started_at_s=time.time() - 3600, interval_s=0.02):
        _wait_for(lambda: bool(tracker.runs[sweep].metrics))
    ((step, _), *_) = tracker.runs[sweep].metrics["system/w/disk_usage_percentage"]
    assert 3600 <= step < 3660


def test_no_thread_is_left_behind() -> None:
    before = set(threading.enumerate())
    monitor = SystemMetrics(MemoryTracker(), "none", "w").start()
    monitor.stop()
    monitor.stop()
    assert set(threading.enumerate()) == before


def test_they_reach_a_real_store(opened: MlflowTracker) -> None:
    """Under `system/`, which the UI shows on a page of its own."""
    sweep = opened.open_sweep("s", spec_yaml="", tags={}, params={})
    with SystemMetrics(opened, sweep, "worker-0", interval_s=0.1):
        time.sleep(0.5)
    opened.flush()
    assert opened.history(sweep, "system/worker-0/cpu_utilization_percentage")


def _wait_for(condition: object) -> None:
    deadline = time.monotonic() + 20
    while not condition() and time.monotonic() < deadline:  # type: ignore[operator]
        time.sleep(0.01)
