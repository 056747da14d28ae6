"""A slot computes what stock KerasHub computes, and what it would compute alone."""

import dataclasses

import jax
import numpy as np
import pytest

from trainer import lora
from trainer.base.base import BaseModel
from trainer.base.tokenizer import Tokenizer
from trainer.config import TrialConfig
from trainer.events import Diverged, EpochEnded, Evaluated, Finished, Progress
from trainer.lora.files import CARD_FILE, WEIGHTS_FILE, read_adapter
from trainer.machine.chips import Chips
from trainer.pack.data_on_device import put
from trainer.pack.order import EpochOrder
from trainer.pack.pack import Pack

CONFIG = TrialConfig(
    rank=4, learning_rate=3e-3, weight_decay=0.05, batch_size=4, epochs=2, seed=11, targets="attention_qv"
)


def training_set(token_set):
    """Two buckets, and batches that hold rows of both."""
    return token_set(64, seed=1, lengths=(7, 8, 19))


def new_pack(base, token_set, *, slots=1, rank=8, targets="all_linear", train=None, **options) -> Pack:
    return Pack(
        base,
        train or training_set(token_set),
        {"val": token_set(20, seed=2), "other": token_set(20, seed=3)},
        slots=slots,
        rank_capacity=rank,
        targets=targets,
        log_every_steps=1,
        **options,
    )


def run(pack: Pack, until: str) -> list:
    """Tick until a trial has finished, and return its events."""
    events = []
    for _ in range(2000):
        events += [event for event in pack.tick() if event.key == until]
        if events and isinstance(events[-1], Finished | Diverged):
            return events
    raise AssertionError("the trial never ended")


def next_news(pack: Pack) -> list:
    """Tick until anything is told; the batches of an evaluation before its last tell nothing."""
    for _ in range(100):
        if events := pack.tick():
            return events
    raise AssertionError("nothing is ever told")


def factors_of(events: list, base) -> dict[str, lora.Factors]:
    files = [event for event in events if isinstance(event, EpochEnded)][-1].adapter
    return read_adapter(files, lora.find_sites(base.backbone), base.digest)[1]


def losses_of(events: list) -> np.ndarray:
    return np.array([event.metrics["train_loss"] for event in events if isinstance(event, Progress)])


def largest_difference(one: dict, other: dict) -> float:
    return max(float(np.abs(a - b).max()) for key in one for a, b in zip(one[key], other[key], strict=True))


# ---- stock KerasHub -------------------------------------------------------------------------------------------------


def fit_with_keras_hub(causal_lm, config: TrialConfig, train) -> tuple[np.ndarray, dict[str, lora.Factors]]:
    """Train as a KerasHub user would: `enable_lora`, AdamW, `fit(shuffle=False)` on the same batches."""
    from trainer.machine.keras_backend import keras

    backbone = causal_lm.backbone
    backbone.enable_lora(config.rank, target_layer_names=list(lora.TARGET_LAYERS[config.targets]))
    sites = lora.select_sites(lora.find_sites(backbone), config.targets)
    for site in sites:
        first = lora.first_values(sites, config.rank, config.seed)[site.key]
        site.layer.lora_kernel_a.assign(first.a)
    order = EpochOrder(put(train, Chips.first()).buckets, config.batch_size)
    batches = [rows for epoch in range(config.epochs) for rows in order.rows(config.seed, epoch)]
    length = max(len(example.token_ids) for example in train.examples)
    ids, mask, targets, weights = (np.zeros((len(batches) * config.batch_size, length), t) for t in "iiif")
    for row, number in enumerate(np.concatenate(batches)):
        example = train.examples[number]
        size = len(example.token_ids)
        ids[row, :size], mask[row, :size] = example.token_ids, 1
        targets[row, : size - 1], weights[row, : size - 1] = example.token_ids[1:], example.loss_mask[1:]
    # Keras divides by all positions of a batch; ours by the targets.
    of_batch = weights.reshape(len(batches), -1)
    weights = (of_batch * of_batch.shape[1] / of_batch.sum(1, keepdims=True)).reshape(weights.shape)
    optimizer = keras.optimizers.AdamW(
        config.learning_rate, weight_decay=config.weight_decay, global_clipnorm=config.clip_norm
    )
    optimizer.exclude_from_weight_decay(var_names=["bias", "scale"])
    losses: list[float] = []

    class Losses(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            losses.append(logs["loss"])

    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    causal_lm.preprocessor = None
    causal_lm.compile(optimizer=optimizer, loss=loss, weighted_metrics=[])
    x = {"token_ids": ids, "padding_mask": mask}
    causal_lm.fit(
        x, targets, sample_weight=weights, batch_size=config.batch_size, shuffle=False, verbose=0, callbacks=[Losses()]
    )
    # Keras shows the running mean of the losses.
    means = np.array(losses) * np.arange(1, len(losses) + 1)
    trained = {
        site.key: lora.Factors(np.asarray(site.layer.lora_kernel_a.value), np.asarray(site.layer.lora_kernel_b.value))
        for site in sites
    }
    return np.diff(means, prepend=0), trained


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:The `lora` weights:UserWarning")
@pytest.mark.parametrize(
    "change",
    [{}, {"targets": "attention"}, {"targets": "all_linear", "clip_norm": 0.05, "rank": 3}],
    ids=["attention_qv", "attention", "all_linear, clipped"],
)
def test_a_slot_follows_stock_keras_hub_step_by_step(base, token_set, new_causal_lm, change):
    """32 steps: every loss and the final factors agree with `enable_lora` + AdamW + `fit(shuffle=False)`."""
    config = dataclasses.replace(CONFIG, **change)
    train = training_set(token_set)
    pack = new_pack(base, token_set, train=train)
    pack.join("a", config)
    events = run(pack, "a")
    theirs, trained = fit_with_keras_hub(new_causal_lm(), config, train)
    ours = losses_of(events)
    assert len(ours) == len(theirs) == 32
    np.testing.assert_allclose(ours, theirs, rtol=2e-5)
    assert ours[-4:].mean() < ours[:4].mean()
    assert largest_difference(factors_of(events, base), trained) < 2e-5


def test_the_adapter_file_gives_stock_keras_hub_the_same_logits(base, token_set, new_causal_lm, tmp_path):
    """`load_lora_weights` of our file, scale folded in, reproduces the factored forward pass to 1e-5."""
    config = dataclasses.replace(CONFIG, alpha=10.0, learning_rate=2e-2, epochs=1)
    pack = new_pack(base, token_set)
    pack.join("a", config)
    files = next(event for event in run(pack, "a") if isinstance(event, EpochEnded)).adapter
    path = tmp_path / WEIGHTS_FILE
    path.write_bytes(files[WEIGHTS_FILE])
    stock = new_causal_lm()
    stock.backbone.load_lora_weights(str(path))
    ids = np.random.default_rng(0).integers(10, 300, (2, 17))
    inputs = {"token_ids": ids, "padding_mask": np.ones_like(ids)}
    sites = lora.select_sites(lora.find_sites(base.backbone), "attention_qv")
    factors = read_adapter(files, sites, base.digest)[1]
    with lora.applied(sites, lora.of_one(factors, 1.0)):
        ours = np.asarray(base.causal_lm(inputs))
    theirs, plain = np.asarray(stock(inputs)), np.asarray(base.causal_lm(inputs))
    assert np.abs(ours - theirs).max() <= 1e-5
    assert np.abs(plain - theirs).max() > 1e-2


# ---- neighbours -----------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("dropout", [0.0, 0.2])
def test_a_trial_in_a_pack_ends_as_it_would_alone(base, token_set, dropout):
    """Neighbours of other ranks, targets and batch sizes join, leave and diverge; the adapter stays the same."""
    config = dataclasses.replace(CONFIG, dropout=dropout)
    alone = new_pack(base, token_set, targets="attention_qv", rank=4, dropout=dropout > 0)
    alone.join("a", config)
    solo = run(alone, "a")

    pack = new_pack(base, token_set, slots=4, dropout=True)
    neighbours = [
        dataclasses.replace(CONFIG, rank=8, targets="all_linear", seed=5),
        dataclasses.replace(CONFIG, rank=1, batch_size=3, seed=6, dropout=0.5),
        dataclasses.replace(CONFIG, learning_rate=9.0, scale=100.0, seed=8),
        dataclasses.replace(CONFIG, schedule="cosine", warmup_fraction=0.3, seed=9),
    ]
    pack.join("b", neighbours[0])
    for _ in range(3):
        pack.tick()
    pack.join("a", config)
    pack.join("c", neighbours[1])
    events = []
    for tick in range(400):
        events += [event for event in pack.tick() if event.key == "a"]
        if tick == 7:
            pack.leave("b")
            pack.join("d", neighbours[2])
        if tick == 20:
            pack.join("e", neighbours[3])
        if events and isinstance(events[-1], Finished):
            break
    np.testing.assert_allclose(losses_of(events), losses_of(solo), rtol=1e-5)
    assert largest_difference(factors_of(events, base), factors_of(solo, base)) < 2e-5
    packed_metrics, solo_metrics = (
        [event.metrics for event in each if isinstance(event, Evaluated)] for each in (events, solo)
    )
    for ours, theirs in zip(packed_metrics, solo_metrics, strict=True):
        assert ours == pytest.approx(theirs, rel=1e-5)


def test_a_trial_ends_with_the_same_bits_in_packs_of_one_shape(base, token_set):
    """Whoever its neighbours are, and in whatever slot; packs of other shapes differ in the last bits."""
    config = dataclasses.replace(CONFIG, epochs=1)  # few calls, so that all are for all slots
    ends = []
    for neighbours in (0, 2):
        pack = new_pack(base, token_set, slots=3)
        for number in range(neighbours):
            pack.join(str(number), dataclasses.replace(CONFIG, seed=number, rank=1 + number))
        pack.join("a", config)
        ends.append(run(pack, "a"))
    assert (losses_of(ends[0]) == losses_of(ends[1])).all()
    assert largest_difference(*(factors_of(events, base) for events in ends)) == 0


def test_a_pass_that_idle_slots_fill_up_changes_nothing(base, token_set):
    """Five slots, three of which share a pass of the shorter bucket: the sixth place is nobody's."""
    ends = []
    for tokens_per_pass in (4 * 8 * 3, 10**6):
        pack = new_pack(base, token_set, slots=5, tokens_per_pass=tokens_per_pass)
        for number in range(5):
            pack.join(str(number), dataclasses.replace(CONFIG, seed=number, rank=number + 1, epochs=1))
        events = [event for _ in range(100) for event in pack.tick()]
        assert sum(isinstance(event, Finished) for event in events) == 5
        ends.append({str(n): losses_of([event for event in events if event.key == str(n)]) for n in range(5)})
    for key, split in ends[0].items():
        assert len(split) == 64 // CONFIG.batch_size
        np.testing.assert_allclose(split, ends[1][key], rtol=1e-5)


def test_padding_of_ranks_and_of_absent_targets_stays_exactly_zero(base, token_set):
    """With weight decay and clipping on, beside a neighbour that uses the whole capacity."""
    pack = new_pack(base, token_set, slots=2, dropout=True)
    pack.join("a", dataclasses.replace(CONFIG, rank=3, clip_norm=0.1, dropout=0.1))
    pack.join("b", dataclasses.replace(CONFIG, rank=8, targets="all_linear"))
    for _ in range(20):
        pack.tick()
    state = jax.device_get(pack._states.now)
    for tree in (state.adapter, state.moments.first, state.moments.second):
        for key, factors in tree.items():
            kept = 3 if key.endswith(("query", "value")) else 0
            assert not factors.a[0, ..., kept:].any()
            assert not factors.b[0, kept:].any()
            assert factors.a[1].any()


def test_a_divergence_is_told_with_its_step_and_leaves_the_neighbour_alone(base, token_set):
    pack = new_pack(base, token_set, slots=2)
    pack.join("a", CONFIG)
    pack.join("wild", dataclasses.replace(CONFIG, learning_rate=10.0, scale=1e30, seed=3))
    events = []
    while pack.free_slots < 2:
        events += pack.tick()
    (diverged,) = (event for event in events if isinstance(event, Diverged))
    assert diverged.key == "wild"
    assert 1 <= diverged.step <= 4
    assert f"step {diverged.step}" in diverged.reason
    assert [type(event) for event in events if event.key == "a"][-1] is Finished

    alone = new_pack(base, token_set, slots=2)
    alone.join("a", CONFIG)
    own = [event for event in events if event.key == "a"]
    assert largest_difference(factors_of(own, base), factors_of(run(alone, "a"), base)) == 0


def test_seven_neighbours_of_a_divergence_end_with_the_adapters_that_they_have_without_it(base, token_set):
    healthy = {f"{n}": dataclasses.replace(CONFIG, seed=n, rank=2 + n % 3, epochs=1) for n in range(7)}
    adapters = []
    for wild in (True, False):
        pack = new_pack(base, token_set, slots=8)
        if wild:
            pack.join("wild", dataclasses.replace(CONFIG, learning_rate=10.0, scale=1e30, seed=3))
        for key, config in healthy.items():
            pack.join(key, config)
        events = []
        while pack.free_slots < 8:
            events += pack.tick()
        assert any(isinstance(event, Diverged) for event in events) == wild
        adapters.append({key: factors_of([e for e in events if e.key == key], base) for key in healthy})
    for key in healthy:
        assert largest_difference(adapters[0][key], adapters[1][key]) < 1e-6


# ---- interruption ---------------------------------------------------------------------------------------------------


def test_a_trial_resumed_from_a_checkpoint_ends_with_the_same_adapter(base, token_set):
    """Stopped in mid-epoch and continued in another pack and another slot: the same bits."""
    config = dataclasses.replace(CONFIG, dropout=0.1, schedule="cosine", rank=5)
    whole = new_pack(base, token_set, slots=2, dropout=True)
    whole.join("a", config)
    uninterrupted = run(whole, "a")

    first = new_pack(base, token_set, slots=2, dropout=True)
    first.join("a", config)
    before = [event for _ in range(21) for event in first.tick()]
    snapshot = first.checkpoint("a")
    for _ in range(5):
        first.tick()
    kept = snapshot.to_bytes()
    second = new_pack(base, token_set, slots=2, dropout=True)
    second.join("other", dataclasses.replace(CONFIG, batch_size=2))
    assert second.join("a", config, kept) == tuple(event for event in before if isinstance(event, Evaluated))
    after = run(second, "a")
    np.testing.assert_allclose(losses_of(before + after), losses_of(uninterrupted), rtol=1e-6)
    steps = [event.step for event in before + after if isinstance(event, Progress)]
    assert steps == list(range(1, 33))
    assert largest_difference(factors_of(after, base), factors_of(uninterrupted, base)) < 1e-6


def test_an_epoch_is_told_before_its_evaluation_which_a_checkpoint_from_between_makes_up_for(base, token_set):
    """So adapters and checkpoints are stored while the trial is evaluated, and nothing is lost with a worker."""
    first = new_pack(base, token_set)
    first.join("a", dataclasses.replace(CONFIG, epochs=1))
    events = []
    while not any(isinstance(event, EpochEnded) for event in events):
        events += first.tick()
    kept = first.checkpoint("a").to_bytes()
    evaluated, finished = next_news(first)
    assert not any(isinstance(event, Evaluated) for event in events)
    assert isinstance(finished, Finished)
    assert first.free_slots == 1

    second = new_pack(base, token_set)
    assert second.join("a", dataclasses.replace(CONFIG, epochs=1), kept) == ()
    again = run(second, "a")
    assert [type(event) for event in again] == [EpochEnded, Evaluated, Finished]
    assert again[0].adapter == events[-1].adapter
    assert again[1].metrics == pytest.approx(evaluated.metrics)


def test_those_who_end_with_an_evaluation_are_evaluated_before_the_others(base, token_set):
    """So their slots can be given away while the others are evaluated; what these score is the same."""
    pack = new_pack(base, token_set, slots=3)
    for key, epochs in (("goes on", 2), ("ends", 1), ("ends, too", 1)):
        pack.join(key, dataclasses.replace(CONFIG, epochs=epochs))
    events = []
    while not any(isinstance(event, Evaluated) for event in events):
        events = pack.tick()
    assert [(type(event), event.key) for event in events] == [
        (Evaluated, "ends"),
        (Evaluated, "ends, too"),
        (Finished, "ends"),
        (Finished, "ends, too"),
    ]
    assert pack.free_slots == 2
    assert pack.evaluation_due
    (other,) = next_news(pack)
    assert (type(other), other.key) == (Evaluated, "goes on")
    assert other.metrics == pytest.approx(events[0].metrics, rel=1e-6)
    assert not pack.evaluation_due


def test_trials_may_join_and_leave_while_others_are_evaluated(base, token_set):
    """Its batches are a tick each, so that a freed slot need not stay empty until the last of them."""
    pack = new_pack(base, token_set, slots=4, tokens_per_pass=40)  # three dialogues of a validation set at a time
    alone = new_pack(base, token_set, tokens_per_pass=40)
    for key in ("stays", "leaves", "comes back"):
        pack.join(key, CONFIG)
    alone.join("stays", CONFIG)
    while not pack.evaluation_due:
        pack.tick()
    ended = pack.tick()
    assert [type(event) for event in ended if event.key == "stays"] == [EpochEnded]
    batches = 0
    while pack.evaluation_due and not (events := pack.tick()):
        batches += 1
        if batches == 2:
            pack.leave("leaves")
            pack.leave("comes back")
            pack.join("comes back", dataclasses.replace(CONFIG, seed=5))
            pack.join("joins", CONFIG)
    assert batches == 2 * 7 - 1
    assert [(type(event), event.key) for event in events] == [(Evaluated, "stays")]
    (expected,) = [event for event in run(alone, "stays") if isinstance(event, Evaluated) and event.evaluation == 1]
    assert events[0].metrics == pytest.approx(expected.metrics, rel=1e-6)
    assert {(event.key, event.step) for event in pack.tick()} == {("stays", 17), ("comes back", 1), ("joins", 1)}
    later = run(pack, "comes back")
    assert [event.step for event in later if isinstance(event, Evaluated)] == [16, 32]


def test_an_evaluation_that_nobody_waits_for_any_more_is_given_up(base, token_set):
    pack = new_pack(base, token_set, slots=2, tokens_per_pass=40)
    pack.join("leaves", CONFIG)
    while not pack.evaluation_due:
        pack.tick()
    for _ in range(3):
        pack.tick()
    pack.leave("leaves")
    pack.join("a", CONFIG)
    assert not pack.evaluation_due
    alone = new_pack(base, token_set, tokens_per_pass=40)
    alone.join("a", CONFIG)
    found, expected = (
        [event.metrics for event in run(each, "a") if isinstance(event, Evaluated)] for each in (pack, alone)
    )
    assert [pytest.approx(each, rel=1e-6) for each in expected] == found


# ---- precision ------------------------------------------------------------------------------------------------------


def test_a_bfloat16_base_trains_float32_adapters(new_causal_lm, proto, token_set):
    base = BaseModel("tiny", "bfloat16", new_causal_lm("bfloat16"), Tokenizer(proto))
    pack = new_pack(base, token_set, slots=2)
    pack.join("a", dataclasses.replace(CONFIG, epochs=1))
    events = run(pack, "a")
    assert all(leaf.dtype == np.float32 for leaf in jax.tree.leaves(pack._states.now.adapter))
    assert np.isfinite(losses_of(events)).all()
    files = next(event for event in events if isinstance(event, EpochEnded)).adapter
    assert set(files) == {WEIGHTS_FILE, CARD_FILE}


def test_float32_and_bfloat16_copies_share_a_digest(base, new_causal_lm, proto):
    copy = BaseModel("tiny", "bfloat16", new_causal_lm("bfloat16"), Tokenizer(proto))
    other = copy.digest
    for mine, theirs in zip(copy.backbone.variables, base.backbone.variables, strict=True):
        mine.assign(theirs.value)
    rounded = BaseModel("tiny", "bfloat16", copy.causal_lm, copy.tokenizer)
    assert rounded.digest == base.digest
    assert other != base.digest
