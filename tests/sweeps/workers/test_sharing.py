"""Sweeps that share a cluster: who gets how many workers, when, and that nothing is moved for nothing."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sweeps.workers.sharing import MEMORY_S, SILENT_S, Shares, Want, shares


def want(workers: int, placed: int, *, priority: int = 1, size: int = 1, kind: str = "GPU") -> Want:
    return Want(kind=kind, size=size, priority=priority, workers=workers, placed=placed)


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_a_sweep_alone_gets_what_it_wants(clock):
    assert Shares(clock=clock).ask("a", want(4, 1)) == 4


def test_two_sweeps_have_equal_parts_when_there_is_not_enough(clock):
    desk = Shares(patience_s=60, clock=clock)
    assert desk.ask("a", want(4, 4)) == 4
    assert desk.ask("b", want(4, 0)) == 4
    clock.now = 25
    assert desk.ask("a", want(4, 4)) == 4, "a cluster that grows has time to"
    desk.ask("b", want(4, 0))
    clock.now = 50
    desk.ask("b", want(4, 0))
    clock.now = 61
    assert desk.ask("a", want(4, 4)) == 2
    assert desk.ask("b", want(4, 0)) == 4, "who waits goes on asking, so that the cluster sees it"


def test_what_was_given_back_is_not_asked_for_again_before_the_other_has_it(clock):
    desk = Shares(patience_s=0, clock=clock)
    desk.ask("b", want(4, 0))
    assert desk.ask("a", want(4, 4)) == 2
    desk.ask("b", want(4, 0))
    assert desk.ask("a", want(4, 2)) == 2, "for a moment what was given back is nobody's"
    desk.ask("b", want(4, 2))
    assert desk.ask("a", want(4, 2)) == 4, "all have their part: new nodes are anybody's"


def test_parts_follow_priorities():
    assert shares({"a": want(9, 8, priority=3), "b": want(9, 0)}, 8) == {"a": 6, "b": 2}
    assert shares({"a": want(9, 1), "b": want(9, 0, priority=3)}, 1) == {"a": 0, "b": 1}


def test_of_equals_the_one_that_has_it_keeps_it():
    assert shares({"b": want(1, 1), "a": want(1, 0)}, 1) == {"b": 1, "a": 0}
    assert shares({"a": want(5, 2), "b": want(5, 3)}, 5) == {"a": 2, "b": 3}


def test_who_wants_little_leaves_the_rest_to_others():
    assert shares({"a": want(1, 0), "b": want(8, 8)}, 8) == {"a": 1, "b": 7}


def test_workers_of_several_accelerators_count_as_many():
    assert shares({"a": want(2, 1, size=4), "b": want(8, 4)}, 8) == {"a": 1, "b": 4}


def test_other_accelerators_are_no_rivals(clock):
    desk = Shares(patience_s=0, clock=clock)
    desk.ask("b", want(4, 0, kind="TPU"))
    assert desk.ask("a", want(4, 4)) == 4


def test_a_driver_that_is_silent_is_forgotten(clock):
    desk = Shares(patience_s=0, clock=clock)
    desk.ask("b", want(4, 0))
    assert desk.ask("a", want(4, 4)) == 2
    clock.now = SILENT_S + 1
    assert desk.ask("a", want(4, 2)) == 4


def test_nodes_that_left_are_divided_no_more(clock):
    desk = Shares(patience_s=0, clock=clock)
    desk.ask("b", want(4, 4))
    desk.ask("a", want(4, 4))
    clock.now = MEMORY_S + 1
    desk.ask("b", want(4, 0))
    assert desk.ask("a", want(4, 2)) == 1


def test_a_sweep_that_ends_leaves_its_part(clock):
    desk = Shares(patience_s=0, clock=clock)
    desk.ask("b", want(4, 0))
    desk.leave("b")
    assert desk.ask("a", want(4, 4)) == 4


WANTS = st.builds(want, st.integers(1, 9), st.integers(0, 9), priority=st.integers(1, 9), size=st.integers(1, 4))


@given(st.dictionaries(st.sampled_from("abcd"), WANTS, min_size=1), st.integers(0, 40))
def test_no_more_is_divided_than_there_is_and_nobody_gets_more_than_it_wants(wants, there):
    given_to = shares(wants, there)
    assert all(0 <= given_to[name] <= each.workers for name, each in wants.items())
    used = sum(given_to[name] * each.size for name, each in wants.items())
    assert used <= there
    left = [each.size for name, each in wants.items() if given_to[name] < each.workers]
    assert all(size > there - used for size in left), "what fits somebody is not left over"
