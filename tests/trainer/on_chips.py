"""Trains the same trials on one chip, on eight, and on four pairs that share a base model; run by `test_chips`.

A process of its own: the number of chips that a CPU simulates is fixed when JAX starts.
"""

import dataclasses
import os
import sys
from pathlib import Path

import jax
import numpy as np

from tests.trainer import tiny
from trainer import lora
from trainer.base.base import BaseModel
from trainer.base.tokenizer import Tokenizer
from trainer.config import TrialConfig
from trainer.events import EpochEnded, Evaluated
from trainer.lora.files import read_adapter
from trainer.machine.chips import Chips
from trainer.machine.compilation import keep_compiled
from trainer.pack.pack import Pack

CONFIG = TrialConfig(rank=4, learning_rate=3e-3, weight_decay=0.05, batch_size=4, epochs=1, targets="attention_qv")
TRIALS = {
    "a": CONFIG,
    "b": dataclasses.replace(CONFIG, rank=8, targets="all_linear", seed=1),
    "c": dataclasses.replace(CONFIG, rank=2, dropout=0.3, seed=2),
    "d": dataclasses.replace(CONFIG, learning_rate=1e-3, seed=3),
    "late": dataclasses.replace(CONFIG, rank=3, seed=4),
}


def train(chips: Chips) -> tuple[BaseModel, dict[str, np.ndarray]]:
    """Everything that the trials end with: adapters and metrics."""
    proto = tiny.make_proto()
    with chips.holding_weights():
        causal_lm = tiny.make_causal_lm(proto)
    base = BaseModel("tiny", "float32", causal_lm, Tokenizer(proto), chips)
    pack = Pack(
        base,
        tiny.make_token_set(32, seed=1, lengths=(9,)),
        {"val": tiny.make_token_set(20, seed=2, lengths=(9,))},
        slots=10,
        rank_capacity=8,
        targets="all_linear",
        dropout=True,
    )
    sites = lora.find_sites(base.backbone)
    found = {"base": np.array(list(pack.base_metrics.values()))}
    for key in "abcd":
        pack.join(key, TRIALS[key])
    ticks = 0
    while pack.free_slots < pack.slots:
        for event in pack.tick():
            if isinstance(event, EpochEnded):
                for site, factors in read_adapter(event.adapter, sites, base.digest)[1].items():
                    found |= {f"{event.key}/{site}/{name}": value for name, value in factors._asdict().items()}
            if isinstance(event, Evaluated):
                found[f"{event.key}/metrics"] = np.array(list(event.metrics.values()))
        ticks += 1
        if ticks == 3:
            kept = pack.checkpoint("a").to_bytes()
            pack.leave("a")
            pack.join("late", TRIALS["late"])
        if ticks == 5:
            pack.join("a", TRIALS["a"], kept)
    return base, found


def most_bytes_on_a_chip(base: BaseModel) -> int:
    return max(
        sum(shard.data.nbytes for array in base.weights for shard in array.addressable_shards if shard.device == chip)
        for chip in jax.devices()
    )


def main(folder: Path) -> None:
    keep_compiled(str(folder / "compiled"))
    layouts = {
        "one": Chips.of(jax.devices()[:1]),
        "eight": Chips.of(jax.devices()),
        "pairs": Chips.of(jax.devices(), per_base=2),
    }
    for name, chips in layouts.items():
        base, found = train(chips)
        np.savez(folder / f"{name}.npz", bytes_on_a_chip=most_bytes_on_a_chip(base), base_bytes=base.bytes, **found)


if __name__ == "__main__":
    os.environ["KERAS_BACKEND"] = "jax"
    main(Path(sys.argv[1]))
