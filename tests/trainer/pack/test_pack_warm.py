"""A warmed pack trains without compiling: no trial waits for the compiler when another one joins, saves or ends."""

from dataclasses import replace

from benchmarks.instruments.compilations import counted
from tests.trainer.pack.test_pack_parity import CONFIG, new_pack, run, training_set
from trainer.events import EpochEnded, Evaluated
from trainer.pack.generation import SamplePlan
from trainer.pack.order import EpochOrder, make_buckets

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


def test_few_slots_are_evaluated_by_the_program_for_all(base, token_set):
    """However often: it is as fast, since a slot that takes no part costs nothing."""
    pack = new_pack(base, token_set, slots=2, evaluations_per_epoch=8)
    assert pack.base_metrics
    with counted() as compiled:
        pack.join("alone", replace(CONFIG, epochs=4))
        events = run(pack, "alone")
    assert sum(isinstance(event, Evaluated) for event in events) == 32
    assert [program.name for program in compiled if "evaluate" in program.name] == []


def test_warming_up_compiles_each_training_step_once(base, token_set):
    """It is compiled before it first runs, so that what compiling leaves can be given back in between."""
    train = training_set(token_set)
    order = EpochOrder(make_buckets([len(example.token_ids) for example in train.examples]), CONFIG.batch_size)
    pack = new_pack(base, token_set, slots=2, train=train)
    with counted() as compiled:
        pack.warm_up([CONFIG.batch_size])
    trained = [program.name for program in compiled if "train" in program.name]
    assert trained == ["jit(_train)"] * len(order.filled_buckets)
