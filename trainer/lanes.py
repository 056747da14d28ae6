"""A lane: the trials of one batch size, which walk the same cycle of phases and share steps where they meet."""

from __future__ import annotations

from collections import defaultdict

from trainer.occupant import Occupant


class Lane:
    """Serves the phase that most trials wait for, and goes on with them from phase to phase.

    The largest group meets everybody else within about one cycle, and whoever it meets stays with it. So trials that
    began at different times are soon all in step, and nobody waits for more than a cycle.

    turn  when the lane was last served, so that lanes of several batch sizes take turns
    """

    def __init__(self) -> None:
        self.occupants: list[Occupant] = []
        self.turn = 0
        self._leader: Occupant | None = None

    def join(self, occupant: Occupant) -> None:
        """Let a trial in."""
        self.occupants.append(occupant)

    def leave(self, occupant: Occupant) -> None:
        """Let a trial out."""
        self.occupants.remove(occupant)

    def next_group(self) -> list[Occupant]:
        """The trials to train now: all are in the same phase. Of groups of one size, the one served last goes on."""
        groups: defaultdict[int, list[Occupant]] = defaultdict(list)
        for occupant in self.occupants:
            groups[occupant.next_step.phase].append(occupant)
        group = max(groups.values(), key=lambda each: (len(each), self._leader in each))
        self._leader = group[0]
        return group
