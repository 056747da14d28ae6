"""The chips of a worker: slots are spread over groups of chips, and the chips of a group share one base model.

Ordinarily a group is one chip: the base is replicated, and each chip trains its own slots without a word to another.
A base too large for one chip is split over the chips of a group by KerasHub's own layout map for Gemma.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as Spec

from trainer.errors import ConfigError

if TYPE_CHECKING:
    from numpy.typing import NDArray

SLOTS, MODEL = "slots", "model"  # axes of the mesh
_WHOLE = Spec()  # type: ignore[no-untyped-call]  # JAX has no types here
_DIVIDED = Spec(SLOTS)  # type: ignore[no-untyped-call]


@dataclass(frozen=True)
class Chips:
    """A mesh of chips, `(groups, chips per base model)`."""

    mesh: Mesh

    @classmethod
    def of(cls, devices: Sequence[jax.Device], *, per_base: int = 1) -> Chips:
        """Divide devices into groups of `per_base`.

        Raises:
            ConfigError: they cannot be divided so.
        """
        if not devices or len(devices) % per_base:
            raise ConfigError(
                f"The chips of a worker must be a multiple of those that share a base model, but got {len(devices)} "
                f"and {per_base}."
            )
        return cls(Mesh(np.array(devices).reshape(-1, per_base), (SLOTS, MODEL)))

    @classmethod
    def first(cls) -> Chips:
        """One chip: the first that JAX sees."""
        return cls.of(jax.local_devices()[:1])

    @property
    def groups(self) -> int:
        """Groups of chips, each with slots of its own."""
        return int(self.mesh.shape[SLOTS])

    @property
    def per_base(self) -> int:
        """Chips that share one base model."""
        return int(self.mesh.shape[MODEL])

    @property
    def everywhere(self) -> NamedSharding:
        """The whole of an array on every chip."""
        return NamedSharding(self.mesh, _WHOLE)

    @property
    def by_slot(self) -> NamedSharding:
        """The leading axis of an array divided among the groups."""
        return NamedSharding(self.mesh, _DIVIDED)

    def in_groups(self, function: Callable[..., Any], *, shared: int) -> Callable[..., Any]:
        """Let each group call a function by itself.

        Args:
            function: of arrays; what it returns has a leading slot axis.
            shared: how many of its arguments every group gets whole, the base's weights among them; those that follow
                have a leading slot axis, and a group gets its part.
        """

        def call(*arguments: Any) -> Any:
            specs = tuple(_WHOLE if place < shared else _DIVIDED for place in range(len(arguments)))
            # The split of a base within a group is left to the compiler, which knows it from the weights.
            mapped = jax.shard_map(
                function, mesh=self.mesh, in_specs=specs, out_specs=_DIVIDED, axis_names={SLOTS}, check_vma=False
            )
            return mapped(*arguments)

        return call

    @contextlib.contextmanager
    def holding_weights(self) -> Iterator[None]:
        """While open, Keras splits each weight that it creates over the chips of a group: none ever holds it whole."""
        if self.per_base == 1:
            yield
            return
        from trainer.machine.keras_backend import keras, keras_hub

        mesh = keras.distribution.DeviceMesh(self.mesh.devices.shape, [SLOTS, MODEL], self.mesh.devices)
        theirs = keras_hub.models.GemmaBackbone.get_layout_map(mesh, MODEL, SLOTS)
        layout = keras.distribution.LayoutMap(mesh)
        for path, tensor in theirs.items():
            # KerasHub would also split weights over the other axis, and gather them in every step.
            layout[path] = tuple(axis if axis == MODEL else None for axis in tensor.axes)
        with keras.distribution.ModelParallel(layout_map=layout, batch_dim_name=SLOTS).scope():
            yield


@dataclass(frozen=True)
class Seats:
    """Where slots sit: each group of chips has as many, numbered by group.

    A call of a compiled program has a row for each slot that takes part, as many rows for each group.

    groups    of chips
    in_group  slots of a group
    """

    groups: int
    in_group: int

    @classmethod
    def of(cls, slots: int, groups: int) -> Seats:
        """At least so many slots; what the groups hold more stays empty."""
        return cls(groups, -(-slots // groups))

    @property
    def total(self) -> int:
        """Slots of all groups."""
        return self.groups * self.in_group

    def busiest(self, slots: Sequence[int]) -> int:
        """Most of these slots that one group has."""
        return max(Counter(slot // self.in_group for slot in slots).values())

    def free(self, taken: Sequence[int]) -> int:
        """A free slot in the group with the fewest taken."""
        counts = Counter(slot // self.in_group for slot in taken)
        return min(set(range(self.total)) - set(taken), key=lambda slot: (counts[slot // self.in_group], slot))

    def rows(self, slots: Sequence[int], size: int) -> list[int]:
        """The row of each slot in a call of `size` rows for each group; in a call for all slots, its own number."""
        if size == self.in_group:
            return list(slots)
        seated: Counter[int] = Counter()
        rows = []
        for slot in slots:
            group = slot // self.in_group
            rows.append(group * size + seated[group])
            seated[group] += 1
        return rows

    def numbers(self, slots: Sequence[int], size: int, empty: int) -> NDArray[np.int32]:
        """For each row of a call, the slot's number within its group, and `empty` in rows without a slot."""
        numbers = np.full(self.groups * size, empty, np.int32)
        numbers[self.rows(slots, size)] = [slot % self.in_group for slot in slots]
        return numbers
