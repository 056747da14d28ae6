"""A pack on several chips trains what it trains on one; eight chips are simulated on the CPU."""

import os

import jax
import numpy as np
import pytest

from tests.command_line import run_python
from trainer.errors import ConfigError
from trainer.machine.chips import Chips, Seats


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> dict[str, dict[str, np.ndarray]]:
    folder = tmp_path_factory.mktemp("chips")
    flags = f"--xla_force_host_platform_device_count=8 {os.environ.get('XLA_FLAGS', '')}"
    ended = run_python("-W", "error::UserWarning", "-m", "tests.trainer.on_chips", str(folder), XLA_FLAGS=flags)
    assert ended.code == 0, ended.err[-3000:]
    return {name: dict(np.load(folder / f"{name}.npz")) for name in ("one", "eight", "pairs")}


@pytest.mark.slow
@pytest.mark.parametrize("layout", ["eight", "pairs"])
def test_trials_end_with_the_adapters_and_metrics_of_one_chip(trained, layout):
    """Trials of several ranks, targets and dropout; one leaves, one joins late, one comes back."""
    one, several = trained["one"], trained[layout]
    assert set(one) == set(several)
    compared = [key for key in one if "/" in key or key == "base"]
    assert {key.split("/")[0] for key in compared} == {"base", "a", "b", "c", "d", "late"}
    for key in compared:
        np.testing.assert_allclose(several[key], one[key], rtol=1e-5, atol=2e-5, err_msg=key)
    assert any(np.abs(one[key]).max() > 1e-3 for key in compared if key.endswith("/b"))


@pytest.mark.slow
def test_a_pair_of_chips_holds_half_of_the_base_each(trained):
    whole = int(trained["one"]["base_bytes"])
    assert trained["eight"]["bytes_on_a_chip"] == whole
    assert whole / 2 < trained["pairs"]["bytes_on_a_chip"] < 0.55 * whole  # norms are not split


def test_a_trial_sits_where_the_fewest_are():
    seats = Seats.of(5, 3)
    taken: list[int] = []
    for _ in range(seats.total):
        taken.append(seats.free(taken))
    assert taken == [0, 2, 4, 1, 3, 5]
    assert seats.free([0, 2, 3, 4, 5]) == 1


def test_a_call_has_rows_for_each_group():
    seats = Seats(groups=3, in_group=4)
    slots = [9, 1, 0]
    assert seats.busiest(slots) == 2
    assert seats.rows(slots, 2) == [4, 0, 1]
    assert seats.numbers(slots, 2, empty=-1).tolist() == [1, 0, -1, -1, 1, -1]
    assert seats.rows(slots, 4) == slots
    assert seats.numbers(slots, 4, empty=4).tolist() == [0, 1, 4, 4, 4, 4, 4, 4, 4, 1, 4, 4]


def test_chips_that_cannot_be_divided_are_refused_with_the_numbers():
    with pytest.raises(ConfigError, match="multiple of those that share a base model, but got 1 and 2"):
        Chips.of(jax.devices()[:1], per_base=2)
