"""A lane: the trials of one batch size, which walk the same cycle of phases and share steps where they meet."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from trainer.pack.occupant import Occupant


class Lane:
    """Serves the phase that is soonest in step with another, counted in steps that slots wait meanwhile.

    Who has just begun catches up with those who are a few steps ahead; those who are nearly through the cycle go on
    until they meet who has begun. The group that is served comes nearer with every step, so it is served until it
    meets another, and whoever meets stays together: nobody waits for more than about a cycle.

    turn  when the lane was last served, so that lanes of several batch sizes take turns
    """

    def __init__(self) -> None:
        self.occupants: list[Occupant] = []
        self.turn = 0

    def join(self, occupant: Occupant) -> None:
        """Let a trial in."""
        self.occupants.append(occupant)

    def leave(self, occupant: Occupant) -> None:
        """Let a trial out."""
        self.occupants.remove(occupant)

    def next_group(self) -> list[Occupant]:
        """The trials to train now: all are in the same phase. Of equally good groups, the largest."""
        groups: defaultdict[int, list[Occupant]] = defaultdict(list)
        for occupant in self.occupants:
            groups[occupant.next_step.phase].append(occupant)
        cycle = len(self.occupants[0].order.phases)

        def cost(phase: int) -> tuple[int, int, int]:
            size = len(groups[phase])
            return (len(self.occupants) - size) * _steps_to_the_next(phase, list(groups), cycle), -size, phase

        return groups[min(groups, key=cost)]


def _steps_to_the_next(phase: int, phases: Sequence[int], cycle: int) -> int:
    """Steps from one phase to the next in which somebody is; a whole cycle where nobody else is."""
    return min((other - phase - 1) % cycle + 1 for other in phases)
