"""What the slots carry on the chips, stacked: adapters, moments, hyperparameters, steps; read and replaced by slot."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, final

import jax
import jax.numpy as jnp
import numpy as np

from trainer import lora
from trainer.config import TrialConfig
from trainer.events import Snapshot
from trainer.lora.checkpoint import SlotCheckpoint
from trainer.lora.optimizer import Hyperparameters, Moments
from trainer.pack.step import NEVER, SlotState

if TYPE_CHECKING:
    from trainer.machine.chips import Chips
    from trainer.pack.occupant import Occupant
    from trainer.pack.step import Programs


@final
class SlotStates:
    """The state that a step takes and gives back.

    now   of all slots, each leaf with a leading axis of them; a step consumes it, and who runs one puts the next here

    Args:
        programs: that read and replace a slot's part.
        sites: where adapters are.
        rank: that all of them are zero-padded to.
        slots: of all chips together, also those that are only there to fill them.
        chips: that hold it.
    """

    def __init__(self, programs: Programs, sites: tuple[lora.Site, ...], rank: int, slots: int, chips: Chips) -> None:
        self._programs, self._sites, self._rank = programs, sites, rank
        self.now = self._empty(slots, chips)

    def read(self, slot: int) -> SlotState:
        """What a slot carries, on the host."""
        own: SlotState = jax.device_get(self._programs.read(self.now, slot))
        return own

    def put(self, slot: int, state: SlotState) -> None:
        """Replace what a slot carries."""
        self.now = self._programs.place(self.now, state, slot)

    def place(self, slot: int, start: SlotCheckpoint, hyper: Hyperparameters) -> None:
        """Let a slot begin with a checkpoint."""
        adapter, first, second = (
            lora.pad(each, self._sites, self._rank) for each in (start.adapter, start.first, start.second)
        )
        failed_at = np.int32(NEVER if start.failed_at is None else start.failed_at)
        self.put(slot, SlotState(adapter, Moments(first, second), hyper, np.int32(start.done), failed_at))

    def snapshot(self, occupant: Occupant) -> Snapshot:
        """All that an occupant needs to go on elsewhere, cut to its own rank and targets."""
        own = self.read(occupant.slot)
        sites = lora.select_sites(self._sites, occupant.config.targets)
        adapter, first, second = (
            lora.cut(each, sites, occupant.config.rank) for each in (own.adapter, own.moments.first, own.moments.second)
        )
        taken = SlotCheckpoint(
            done=occupant.done,
            adapter=adapter,
            first=first,
            second=second,
            evaluations=tuple(occupant.told),
            losses=tuple(occupant.fetch_losses()),
            failed_at=None if own.failed_at == NEVER else int(own.failed_at),
        )
        return Snapshot(occupant.done, partial(taken.to_bytes, occupant.config))

    def _empty(self, slots: int, chips: Chips) -> SlotState:
        blank = lora.pad({}, self._sites, self._rank)
        idle = Hyperparameters.of(TrialConfig(), 1)

        def stack(leaf: Any) -> Any:
            return jnp.zeros((slots, *np.shape(leaf)), jnp.asarray(leaf).dtype)

        adapter, hyper = jax.tree.map(stack, (blank, idle))
        moments = Moments(*(jax.tree.map(jnp.zeros_like, adapter) for _ in Moments._fields))
        steps = jnp.zeros(slots, jnp.int32)
        state = SlotState(adapter, moments, hyper, steps, jnp.full_like(steps, NEVER))
        placed: SlotState = jax.device_put(state, chips.by_slot)
        return placed
