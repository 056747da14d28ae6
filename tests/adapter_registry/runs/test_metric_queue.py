"""The metric queue: order, patience, refusals, room, and its end. Real stores are in test_mlflow_tracker.py."""

import math
import threading
import time
from collections.abc import Callable, Sequence

import pytest

from adapter_registry.errors import MetricsRejectedError, TrackingUnreachableError
from adapter_registry.runs.metric_queue import BATCH_SIZE, MetricQueue
from adapter_registry.runs.spool import MetricPoint
from adapter_registry.store.outages import Outage

Send = Callable[[str, Sequence[MetricPoint]], None]


def points(count: int, run: str = "a", start: int = 0) -> list[MetricPoint]:
    return [MetricPoint(run, "loss", float(step), step, 0) for step in range(start, start + count)]


def queue(send: Send, **options: float) -> MetricQueue:
    chosen = {"linger_s": 0.02, "max_pause_s": 0.05, **options}
    return MetricQueue(
        send,
        outage_of=lambda error: Outage(str(error)) if isinstance(error, ConnectionError) else None,
        store="the store",
        **chosen,  # type: ignore[arg-type]
    )


def test_all_points_arrive_in_order_and_in_batches() -> None:
    """2,500 points of one run in calls of at most 1,000."""
    calls: list[Sequence[MetricPoint]] = []
    with_queue = queue(lambda run, batch: calls.append(list(batch)))
    with_queue.put(points(2500))
    with_queue.close()
    assert [point.step for batch in calls for point in batch] == list(range(2500))
    assert max(map(len, calls)) <= BATCH_SIZE


def test_put_does_not_wait_for_the_store() -> None:
    release = threading.Event()
    sent: list[bool] = []
    waiting = queue(lambda run, batch: sent.append(release.wait(60)))
    for step in range(200):
        waiting.put(points(1, start=step))
    assert sent == []
    release.set()
    waiting.close()
    assert all(sent)


def test_an_outage_keeps_every_point_and_their_order() -> None:
    """The first five attempts fail; a batch that was not taken is sent again before later ones."""
    sent: list[int] = []
    failures = iter(range(5))

    def send(run: str, batch: Sequence[MetricPoint]) -> None:
        if next(failures, None) is not None:
            raise ConnectionError("down")
        sent.extend(point.step for point in batch)

    tried = queue(send)
    for step in range(50):
        tried.put(points(1, start=step))
    tried.close()
    assert sent == list(range(50))


def test_a_refused_batch_is_raised_by_its_own_run_only() -> None:
    sent: list[str] = []

    def send(run: str, batch: Sequence[MetricPoint]) -> None:
        if run == "deleted":
            raise ValueError("run is deleted: https://me:hunter2@host")
        sent.append(run)

    refused = queue(send)
    refused.put(points(3, "deleted"))
    refused.put(points(3, "healthy"))
    refused.flush(run_id="healthy")
    refused.put(points(1, "healthy"))
    with pytest.raises(MetricsRejectedError, match=r"refused 3 metrics of run deleted.*lost") as caught:
        refused.put(points(1, "deleted"))
    assert "hunter2" not in str(caught.value)
    with pytest.raises(MetricsRejectedError):
        refused.close()
    assert sent == ["healthy", "healthy"]


def test_flush_says_how_many_wait_and_why() -> None:
    def send(run: str, batch: Sequence[MetricPoint]) -> None:
        raise ConnectionError("no route to host")

    stuck = queue(send)
    stuck.put(points(7))
    with pytest.raises(TrackingUnreachableError, match=r"7 metrics wait.*no route to host"):
        stuck.flush(0.3)
    assert stuck.waiting == 7
    with pytest.raises(TrackingUnreachableError):
        stuck.close(0.1)


def test_what_memory_should_not_hold_waits_on_disk_and_is_sent_in_order() -> None:
    """An outage with 10 points in memory at most: none waits in vain, none is lost, none is sent twice."""
    sent: list[float] = []
    away = threading.Event()

    def send(run: str, batch: Sequence[MetricPoint]) -> None:
        if not away.is_set():
            raise ConnectionError("refused")
        sent.extend(point.value for point in batch)

    small = queue(send, in_memory=10)
    for step in range(100):
        small.put(points(5, start=5 * step))
    assert small.waiting == 500
    assert len(small._points) < 15
    away.set()
    small.put([MetricPoint("a", "loss", math.inf, 500, 0)])
    small.flush(20)
    assert sent == [*map(float, range(500)), math.inf]
    small.put(points(3))
    small.close()
    assert sent[-3:] == [0.0, 1.0, 2.0]


def test_a_full_disk_makes_put_wait_and_loses_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[int] = []
    release = threading.Event()

    def send(run: str, batch: Sequence[MetricPoint]) -> None:
        release.wait(5)
        sent.extend(point.step for point in batch)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("adapter_registry.runs.spool.Spool.append", full)
    monkeypatch.setattr("adapter_registry.runs.metric_queue.ROOM_S", 0.05)
    small = queue(send, in_memory=10)
    writer = threading.Thread(target=lambda: [small.put(points(10, start=start)) for start in range(0, 100, 10)])
    writer.start()
    time.sleep(0.2)
    assert writer.is_alive()
    assert small.waiting <= 10
    release.set()
    writer.join(5)
    small.close()
    assert sent == list(range(100))


def test_close_leaves_no_thread_behind() -> None:
    before = threading.active_count()
    ended = queue(lambda run, batch: None)
    ended.put(points(1))
    assert threading.active_count() == before + 1
    ended.close()
    ended.close()
    assert threading.active_count() == before


def test_a_closed_queue_refuses_points() -> None:
    ended = queue(lambda run, batch: None)
    ended.close()
    with pytest.raises(MetricsRejectedError, match="before close"):
        ended.put(points(1))


def test_an_unused_queue_starts_no_thread() -> None:
    before = threading.active_count()
    unused = queue(lambda run, batch: None)
    unused.flush()
    assert threading.active_count() == before
    unused.close()
