"""Builds a pack as a worker does, trains it for an epoch and prints this process's peak memory; for `test_memory`."""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

from trainer.compilation import compile_quickly_on_cpu, give_back_memory, keep_compiled


def peak_bytes() -> int:
    """Not `ru_maxrss`, which begins with the parent's."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:"))


def main(asked: dict[str, Any]) -> None:
    compile_quickly_on_cpu()
    keep_compiled(asked["compiled"])
    from trainer.base import BaseModel
    from trainer.config import TrialConfig
    from trainer.keras_backend import keras_hub
    from trainer.pack import Pack
    from trainer.shapes import BaseShape
    from trainer.tokens import Example, TokenSet

    shape = BaseShape(**asked["shape"])
    backbone = keras_hub.models.GemmaBackbone(
        vocabulary_size=shape.vocabulary_size,
        num_layers=shape.layers,
        num_query_heads=shape.heads,
        num_key_value_heads=shape.kv_heads,
        hidden_dim=shape.hidden_dim,
        intermediate_dim=2 * shape.ffn_dim,
        head_dim=shape.head_dim,
        use_post_ffw_norm=True,
        use_post_attention_norm=True,
        attention_logit_soft_cap=50.0,
        final_logit_soft_cap=30.0,
        use_sliding_window_attention=True,
        sliding_window_size=4096,
        dtype=asked["dtype"],
    )
    causal_lm = keras_hub.models.GemmaCausalLM(backbone=backbone, preprocessor=None)
    give_back_memory()  # what drawing random weights has left behind; loaded ones leave nothing
    rng = np.random.default_rng(0)
    tokens, batch_size, slots = asked["tokens"], asked["batch_size"], asked["slots"]
    rows = rng.integers(10, shape.vocabulary_size, (batch_size, tokens)).astype(np.int32)
    examples = tuple(Example(row, np.arange(tokens) > 0, 3 * tokens) for row in rows)
    token_set = TokenSet("random", examples, "digest")
    # Without a tokenizer: a pack asks for it only to write samples.
    pack = Pack(
        BaseModel("random", asked["dtype"], causal_lm, None),  # type: ignore[arg-type]
        token_set,
        {"val": token_set},
        slots=slots,
        rank_capacity=asked["rank"],
        targets=asked["targets"],
    )
    _ = pack.base_metrics
    pack.warm_up([batch_size])
    give_back_memory()
    for number in range(slots):
        pack.join(str(number), TrialConfig(rank=asked["rank"], targets=asked["targets"], batch_size=batch_size))
    events = [event for _ in range(3) for event in pack.tick()]
    print(json.dumps({"peak": peak_bytes(), "events": len(events)}))


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
