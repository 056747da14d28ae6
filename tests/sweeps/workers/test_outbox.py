"""The outbox: order, waiting, and errors that are never swallowed."""

from __future__ import annotations

import threading

import pytest

from sweeps.workers.outbox import Outbox


def fail() -> None:
    raise OSError("the disk is full")


def test_writes_are_done_in_order_after_the_preparation() -> None:
    done: list[int] = []
    outbox = Outbox("test", prepare=lambda: done.append(-1))
    for i in range(50):
        outbox.put(lambda i=i: done.append(i))
    assert outbox.flush(10)
    assert done == [-1, *range(50)]
    outbox.close()


def test_urgent_writes_go_first_in_their_own_order() -> None:
    gate, done = threading.Event(), []
    outbox = Outbox("test", prepare=gate.wait)
    for i in range(3):
        outbox.put(lambda i=i: done.append(i))
        outbox.put(lambda i=i: done.append(10 + i), urgent=True)
    gate.set()
    assert outbox.flush(10)
    assert done == [10, 11, 12, 0, 1, 2]
    outbox.close()


def test_a_flush_waits_for_what_was_put_before_and_not_for_urgent_writes_after_it() -> None:
    gate, later = threading.Event(), threading.Event()
    outbox = Outbox("test", prepare=gate.wait)
    outbox.put(lambda: later.wait(10))
    threading.Timer(0.1, lambda: outbox.put(gate.set, urgent=True)).start()
    assert not outbox.flush(0.3)
    gate.set()
    later.set()
    assert outbox.flush(10)
    outbox.close()
    assert outbox.flush(0)


def test_a_flush_that_takes_too_long_says_so() -> None:
    gate = threading.Event()
    outbox = Outbox("test")
    outbox.put(gate.wait)
    assert not outbox.flush(0.05)
    gate.set()
    assert outbox.flush(10)
    outbox.close()


def test_an_error_is_raised_by_whoever_comes_next_and_ends_the_writing() -> None:
    done: list[int] = []
    outbox = Outbox("test")
    outbox.put(fail)
    with pytest.raises(OSError, match="disk is full"):
        outbox.flush(10)
    with pytest.raises(OSError, match="disk is full"):
        outbox.put(lambda: done.append(1))
    assert isinstance(outbox.error, OSError)
    outbox.close()
    assert done == []


def test_a_flush_waits_for_the_preparation_although_nothing_was_put() -> None:
    gate, done = threading.Event(), threading.Event()

    def prepare() -> None:
        gate.wait()
        done.set()

    outbox = Outbox("test", prepare=prepare)
    assert not outbox.flush(0.05)
    gate.set()
    assert outbox.flush(10)
    assert done.is_set()
    outbox.close()


def test_a_preparation_that_fails_is_raised_by_flush() -> None:
    outbox = Outbox("test", prepare=fail)
    with pytest.raises(OSError, match="disk is full"):
        outbox.flush(10)
    outbox.close()
