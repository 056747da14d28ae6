"""A warmed pack trains without compiling: no trial waits for the compiler when another one joins, saves or ends."""

from dataclasses import replace

from benchmarks.compilations import counted, listen
from tests.trainer.test_pack_parity import CONFIG, new_pack, run, training_set
from trainer.events import EpochEnded
from trainer.generation import SamplePlan
from trainer.order import EpochOrder, make_buckets

PLAN = SamplePlan(prompts=("가나다", "hello"), max_new_tokens=4)


def test_nothing_is_compiled_from_the_first_join_to_the_last_finish(base, token_set):
    pack = new_pack(base, token_set, slots=2, samples=PLAN)
    assert pack.base_metrics
    pack.warm_up([CONFIG.batch_size])
    with counted() as compiled:
        pack.join("first", CONFIG)
        pack.join("second", replace(CONFIG, rank=2, targets="all_linear", epochs=3))
        events = run(pack, "first")
        pack.checkpoint("second").to_bytes()
        pack.join("third", CONFIG)
        events += run(pack, "third")
    samples = [sample for event in events if isinstance(event, EpochEnded) for sample in event.samples]
    assert len(samples) == 2 * 2 * CONFIG.epochs
    assert compiled == []


def test_warming_up_compiles_each_training_step_once(base, token_set):
    """It is compiled before it first runs, so that what compiling leaves can be given back in between."""
    train = training_set(token_set)
    order = EpochOrder(make_buckets([len(example.token_ids) for example in train.examples]), CONFIG.batch_size)
    pack = new_pack(base, token_set, slots=2, train=train)
    compiled: list[str] = []
    end = listen(lambda _, name: compiled.append(name))
    try:
        pack.warm_up([CONFIG.batch_size])
    finally:
        end()
    assert [name for name in compiled if "train" in name] == ["jit(_train)"] * len(order.filled_buckets)
