"""Builds a pack as a worker does, trains it for an epoch and prints this process's peak memory; for `test_memory`."""

import json
import sys
from dataclasses import replace
from typing import Any

from trainer.machine.compilation import keep_compiled, suit_cpu
from trainer.machine.host_memory import give_back_memory, keep_freed_memory


def main(asked: dict[str, Any]) -> None:
    suit_cpu()
    keep_compiled(asked["compiled"])
    from benchmarks.arms.models import random_base, random_tokens
    from benchmarks.instruments.peak import memory
    from trainer.base.shapes import BaseShape
    from trainer.config import TrialConfig
    from trainer.pack.pack import Pack

    shape = BaseShape(**asked["shape"])
    slots, batch_size = asked["slots"], asked["steps"][0][0]
    base = random_base(shape, asked["dtype"])
    give_back_memory()  # what drawing random weights has left behind; loaded ones leave nothing
    batches = [random_tokens(batch_size, length, shape.vocabulary_size) for _, length in asked["steps"]]
    examples = 4 * [example for batch in batches for example in batch.examples]
    token_set = replace(batches[0], examples=tuple(examples))
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
    keep_freed_memory(asked["room"])
    config = TrialConfig(rank=asked["rank"], targets=asked["targets"], batch_size=batch_size, epochs=1)
    for number in range(slots):
        pack.join(str(number), config)
    while pack.free_slots < slots:
        pack.tick()
    print(json.dumps({"peak": memory("peak")}))


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
