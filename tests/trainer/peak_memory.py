"""Builds a pack as a worker does, trains it for an epoch and prints this process's peak memory; for `test_memory`."""

import json
import sys
from typing import Any

from trainer.compilation import compile_quickly_on_cpu, keep_compiled
from trainer.host_memory import give_back_memory, keep_freed_memory


def main(asked: dict[str, Any]) -> None:
    compile_quickly_on_cpu()
    keep_compiled(asked["compiled"])
    from benchmarks.models import random_base, random_tokens
    from benchmarks.peak import memory
    from trainer.config import TrialConfig
    from trainer.pack import Pack
    from trainer.shapes import BaseShape

    shape = BaseShape(**asked["shape"])
    batch_size, slots = asked["batch_size"], asked["slots"]
    base = random_base(shape, asked["dtype"])
    give_back_memory()  # what drawing random weights has left behind; loaded ones leave nothing
    token_set = random_tokens(batch_size, asked["tokens"], shape.vocabulary_size)
    pack = Pack(
        base,
        token_set,
        {"val": token_set},
        slots=slots,
        rank_capacity=asked["rank"],
        targets=asked["targets"],
    )
    _ = pack.base_metrics
    pack.warm_up([batch_size])
    give_back_memory()
    keep_freed_memory()
    for number in range(slots):
        pack.join(str(number), TrialConfig(rank=asked["rank"], targets=asked["targets"], batch_size=batch_size))
    events = [event for _ in range(3) for event in pack.tick()]
    print(json.dumps({"peak": memory("peak"), "events": len(events)}))


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
