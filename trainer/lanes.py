"""A lane: the trials of one batch size, which walk the same cycle of phases and share steps where they meet."""

from __future__ import annotations

from trainer.occupant import Occupant
from trainer.order import EpochOrder


class Lane:
    """Serves one phase after another; a trial in another phase waits, at most one cycle, and is in step from then on.

    turn  when it was last served, so that lanes of several batch sizes take turns
    """

    def __init__(self, order: EpochOrder) -> None:
        self._cycle = max(1, len(order.phases))
        self._clock = 0
        self.occupants: list[Occupant] = []
        self.turn = 0

    def join(self, occupant: Occupant) -> None:
        """Let a trial in; an empty lane begins at the trial's own phase."""
        if not self.occupants:
            self._clock = occupant.next_step.phase
        self.occupants.append(occupant)

    def leave(self, occupant: Occupant) -> None:
        """Let a trial out."""
        self.occupants.remove(occupant)

    def next_group(self) -> list[Occupant]:
        """The trials of the next phase that any of them waits for."""
        waits = {id(each): (each.next_step.phase - self._clock) % self._cycle for each in self.occupants}
        soonest = min(waits.values())
        group = [each for each in self.occupants if waits[id(each)] == soonest]
        self._clock = (group[0].next_step.phase + 1) % self._cycle
        return group
