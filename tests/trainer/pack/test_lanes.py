"""Which trials of a lane share the next step; no model is involved."""

from __future__ import annotations

import random

import pytest

from trainer.config import TrialConfig
from trainer.pack.lanes import Lane
from trainer.pack.occupant import Occupant
from trainer.pack.order import EpochOrder, make_buckets

ONE_CYCLE = EpochOrder(make_buckets([10] * 40 + [20] * 40 + [30] * 40), batch_size=10)  # an epoch is one cycle
MANY_CYCLES = EpochOrder(make_buckets([10] * 500 + [20] * 330 + [30] * 170), batch_size=4)


def lane_of(*done: int, order: EpochOrder = ONE_CYCLE) -> Lane:
    lane = Lane()
    for number, steps in enumerate(done):
        lane.join(Occupant(str(number), number, TrialConfig(epochs=3), order, 1, done=steps))
    return lane


def served(lane: Lane, steps: int) -> list[int]:
    """Sizes of the groups that are trained in the next steps."""
    sizes = []
    for _ in range(steps):
        group = lane.next_group()
        assert len({occupant.next_step.phase for occupant in group}) == 1
        for occupant in group:
            occupant.done += 1
        sizes.append(len(group))
    return sizes


def test_the_order_of_these_tests_is_a_cycle_of_twelve_phases() -> None:
    assert len(ONE_CYCLE.phases) == len(ONE_CYCLE.steps) == 12


def test_a_few_that_begin_late_catch_up_with_the_many() -> None:
    assert served(lane_of(2, 2, 2, 2, 2, 0, 0, 0), 4) == [3, 3, 8, 8]


def test_the_many_go_on_to_who_is_only_a_little_ahead() -> None:
    assert served(lane_of(10, 10, 10, 10, 10, 0, 0, 0), 4) == [5, 5, 8, 8]


def test_one_that_begins_late_waits_for_the_many_when_that_is_cheaper() -> None:
    """Six steps behind seven: their catching up would cost 42 steps of slots that wait, going on costs 6."""
    assert served(lane_of(6, 6, 6, 6, 6, 6, 6, 0), 7) == [7, 7, 7, 7, 7, 7, 8]


def test_two_groups_of_one_size_do_not_take_turns() -> None:
    assert served(lane_of(0, 0, 6, 6), 7) == [2, 2, 2, 2, 2, 2, 4]


@pytest.mark.parametrize("order", [ONE_CYCLE, MANY_CYCLES], ids=["one cycle", "many cycles"])
@pytest.mark.parametrize("seed", range(20))
def test_wherever_they_are_all_are_in_step_soon_and_stay_so(seed: int, order: EpochOrder) -> None:
    draw = random.Random(seed)
    lane = lane_of(*(draw.randrange(len(order.steps)) for _ in range(8)), order=order)
    sizes = served(lane, 3 * len(order.phases))
    waited = sum(8 - size for size in sizes)
    assert waited <= 8 * len(order.phases)  # were each to walk a cycle by itself, it would be seven times as much
    if order is ONE_CYCLE:
        assert sizes[-1] == 8


@pytest.mark.parametrize("order", [ONE_CYCLE, MANY_CYCLES], ids=["one cycle", "many cycles"])
@pytest.mark.parametrize("seed", range(10))
def test_trials_that_come_and_go_all_the_time_starve_nobody(seed: int, order: EpochOrder) -> None:
    draw = random.Random(seed)
    lane = lane_of(*(draw.randrange(len(order.steps)) for _ in range(8)), order=order)
    waiting = dict.fromkeys((occupant.key for occupant in lane.occupants), 0)
    longest = 0
    for step in range(20 * len(order.phases)):
        group = lane.next_group()
        for occupant in group:
            occupant.done += 1
        for occupant in lane.occupants:
            waiting[occupant.key] = 0 if occupant in group else waiting.get(occupant.key, 0) + 1
            longest = max(longest, waiting[occupant.key])
        if draw.random() < 0.2:
            leaver = draw.choice(lane.occupants)
            lane.leave(leaver)
            lane.join(Occupant(f"new {step}", leaver.slot, TrialConfig(epochs=3), order, 1))
    assert longest <= 2 * len(order.phases)
