"""The recipe for a worker's engine, in processes of their own as workers are: JAX fixes its chips when it starts."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.command_line import printed_last

SMALL = [
    "data.select.limit=8",
    "data.validation_limit=4",
    "training.batch_size=4",
    "search.space.rank.values=[2]",
    "samples={prompts: []}",
    "compute.accelerator=cpu",
]
BUILD = """
import json, sys
from sweeps.pack_factory import PackFactory
from sweeps.spec import load_spec
folder, slots, overrides = json.loads(sys.argv[1])
try:
    pack = PackFactory(spec=load_spec("quickstart", overrides), cache_folder=folder)(slots=slots)
except Exception as error:
    print(json.dumps([type(error).__name__, str(error)]))
else:
    import jax
    chips = {shard.device.id for array in jax.tree.leaves(pack._state) for shard in array.addressable_shards}
    print(json.dumps([pack.slots, pack.free_slots, len(chips), sorted(pack.base_metrics)]))
"""


def build(folder: Path, slots: int, *overrides: str) -> list[object]:
    asked = json.dumps([str(folder), slots, [*SMALL, *overrides]])
    told: list[object] = json.loads(printed_last("-c", BUILD, asked))
    return told


@pytest.mark.slow
def test_slots_lie_on_as_many_chips_as_the_spec_asks_for(tmp_path: Path) -> None:
    """Three slots on two chips: both have room for two, and three are offered."""
    slots, free, chips, metrics = build(tmp_path, 3, "compute.chips=2")
    assert (slots, free, chips) == (3, 3, 2)
    assert metrics == ["val_accuracy", "val_bits_per_byte", "val_loss", "val_perplexity"]
