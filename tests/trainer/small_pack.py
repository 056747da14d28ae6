"""What a base model computes in training, evaluation and generation, as JSON; by itself, of the built-in model."""

from __future__ import annotations

import json
from typing import Any

from tests.trainer.tiny import make_token_set
from trainer.base.base import BaseModel, load_base
from trainer.config import TrialConfig
from trainer.events import EpochEnded, Evaluated, Finished, Progress
from trainer.pack.generation import SamplePlan
from trainer.pack.pack import Pack

CONFIG = TrialConfig(rank=2, learning_rate=3e-2, batch_size=4, epochs=1, seed=0, targets="attention_qv")


def small_pack(base: BaseModel) -> Pack:
    """Two steps of training, one evaluation, one short reply."""
    tokens = make_token_set(8, lengths=(9,))
    samples = SamplePlan(prompts=("가나다",), max_new_tokens=4)
    capacity: dict[str, Any] = {"slots": 1, "rank_capacity": 2, "targets": "attention_qv"}
    return Pack(base, tokens, {"val": tokens}, samples=samples, log_every_steps=1, **capacity)


def numbers_of(base: BaseModel) -> dict[str, Any]:
    """Losses, the adapter's bytes, metrics and replies of a trial in a `small_pack`."""
    pack = small_pack(base)
    pack.join("a", CONFIG)
    events = [event for _ in range(12) for event in pack.tick()]
    assert isinstance(events[-1], Finished)
    (ended,) = (event for event in events if isinstance(event, EpochEnded))
    return {
        "losses": [event.metrics["train_loss"] for event in events if isinstance(event, Progress)],
        "metrics": [event.metrics for event in events if isinstance(event, Evaluated)],
        "adapter": {name: content.hex() for name, content in ended.adapter.items()},
        "replies": [sample.reply for sample in ended.samples],
        "digest": base.digest,
    }


if __name__ == "__main__":
    print(json.dumps(numbers_of(load_base("builtin"))))
