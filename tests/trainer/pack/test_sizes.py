"""Slots share passes through the base so that few of them are idle."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tests.trainer.tiny import make_token_set
from trainer.machine.chips import Chips
from trainer.pack.data_on_device import put
from trainer.pack.sizes import rows_bytes, slots_per_pass


@given(slots=st.integers(1, 64), tokens=st.integers(1, 5000), most=st.integers(1, 4096))
def test_passes_are_at_least_half_full_and_never_fuller_than_wanted(slots, tokens, most):
    together = slots_per_pass(slots, tokens, most)
    wanted = min(slots, max(1, most // tokens))
    assert wanted / 2 < together <= wanted
    assert -slots % together <= -slots % wanted


@given(power=st.integers(0, 6), tokens=st.integers(1, 5000), most=st.integers(1, 4096))
def test_no_slot_of_a_power_of_two_is_idle(power, tokens, most):
    assert 2**power % slots_per_pass(2**power, tokens, most) == 0


def test_a_prime_number_of_slots_shares_passes():
    assert slots_per_pass(13, 100, 800) == 7  # two passes, one slot idle
    assert slots_per_pass(7, 100, 300) == 2  # four passes, one idle; three passes would have two


def test_the_bytes_of_rows_are_those_on_the_device():
    token_set = make_token_set(30, lengths=(8, 12, 20))
    data = put(token_set, Chips.first())
    lengths, targets = np.asarray(data.lengths), np.asarray(data.counts)
    assert rows_bytes(lengths.tolist(), targets.tolist()) == sum(array.nbytes for array in data.rows)
