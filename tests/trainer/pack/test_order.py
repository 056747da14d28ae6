"""Batches: every example once per epoch, little padding, an order that depends on the seed alone."""

import csv
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trainer.dialogues.tokens import encode_dialogues
from trainer.pack.order import MAX_BUCKETS, MAX_PHASES, NO_ROW, EpochOrder, make_buckets

SHARED = Path(__file__).parents[4] / "shared"

lengths_of_examples = st.lists(st.integers(1, 300), min_size=1, max_size=200)


@given(lengths_of_examples, st.integers(1, 20), st.integers(0, 5), st.integers(0, 3))
@settings(max_examples=150, deadline=None)
def test_an_epoch_holds_every_example_once_in_a_bucket_that_is_long_enough(lengths, batch_size, seed, epoch):
    order = EpochOrder(make_buckets(lengths), batch_size)
    rows = order.rows(seed, epoch)
    assert rows.shape == (len(order.steps), batch_size)
    assert sorted(rows[rows != NO_ROW]) == list(range(len(lengths)))
    assert (rows == NO_ROW).sum() < batch_size, "only one batch may be short"
    for step, numbers in zip(order.steps, rows, strict=True):
        assert max(lengths[n] for n in numbers if n != NO_ROW) <= order.buckets.lengths[step.bucket]


@given(lengths_of_examples, st.integers(1, 20))
@settings(max_examples=100, deadline=None)
def test_steps_follow_the_cycle_of_phases(lengths, batch_size):
    """Each step's phase belongs to its bucket, and phases rise within a cycle."""
    order = EpochOrder(make_buckets(lengths), batch_size)
    assert len(order.phases) <= MAX_PHASES + MAX_BUCKETS
    assert all(order.phases[step.phase] == step.bucket for step in order.steps)
    assert len(order.steps) == sum(order.batches) == -(-len(lengths) // batch_size)


@given(lengths_of_examples)
@settings(max_examples=100, deadline=None)
def test_buckets_partition_the_examples(lengths):
    buckets = make_buckets(lengths)
    assert list(buckets.lengths) == sorted(set(buckets.lengths))
    assert len(buckets.lengths) <= MAX_BUCKETS
    assert sorted(np.concatenate(buckets.members)) == list(range(len(lengths)))


def test_the_order_is_a_function_of_seed_and_epoch():
    order = EpochOrder(make_buckets([10, 20, 30, 40] * 20), 4)
    again = EpochOrder(make_buckets([10, 20, 30, 40] * 20), 4)
    assert (order.rows(3, 1) == again.rows(3, 1)).all()
    assert (order.rows(3, 1) != order.rows(4, 1)).any()
    assert (order.rows(3, 1) != order.rows(3, 2)).any()


def test_two_buckets_of_the_fewest_padded_tokens_are_found():
    """Lengths 4, 8 and 40: one bucket would waste most tokens, three are not needed for 8%."""
    assert make_buckets([8] * 95 + [4] * 5 + [40] * 50).lengths == (8, 40)


@pytest.mark.skipif(not SHARED.exists(), reason="needs ../shared with real dialogues")
@pytest.mark.parametrize("batch_size", [1, 8, 16])
def test_padding_of_real_dialogues_stays_below_a_tenth(batch_size):
    from trainer.base.tokenizer import Tokenizer
    from trainer.dialogues import Dialogue, Turn

    tokenizer = Tokenizer((SHARED / "oracle/gemma2_tiny/tokenizer.model").read_bytes())
    with (SHARED / "data/ChatbotData.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))[:4000]
    dialogues = [Dialogue((Turn("user", row["Q"]), Turn("model", row["A"]))) for row in rows]
    lengths = [len(example.token_ids) for example in encode_dialogues(tokenizer, dialogues)]
    order = EpochOrder(make_buckets(lengths), batch_size)
    assert 1 - sum(lengths) / order.computed_tokens < 0.10
