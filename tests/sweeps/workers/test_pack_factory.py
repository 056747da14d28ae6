"""The recipe for a worker's engine, in processes of their own as workers are: JAX fixes its chips when it starts."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from sweeps import preflight
from sweeps.spec import load_spec
from sweeps.workers.pack_factory import pack_needs
from tests.command_line import printed_last
from tests.trainer.gemma2_folders import PLAIN, random_tensors, write_folder
from tests.trainer.tiny import SHAPE, make_proto, make_token_set

SMALL = [
    "data.select.limit=8",
    "data.validation_limit=4",
    "training.batch_size=4",
    "search.space.rank.values=[2]",
    "samples={prompts: []}",
    "compute.accelerator=cpu",
]
BUILD = """
import json, sys
from pathlib import Path
from sweeps.host import accelerators
from sweeps.workers.pack_factory import PackFactory
from sweeps.spec import load_spec
folder, cgroup, slots, fits, overrides = json.loads(sys.argv[1])
accelerators.CGROUP = Path(cgroup)
try:
    pack = PackFactory(spec=load_spec("quickstart", overrides), cache_folder=folder, fits=fits)(slots=slots)
except Exception as error:
    print(json.dumps([type(error).__name__, str(error)]))
else:
    import jax
    chips = {shard.device.id for array in jax.tree.leaves(pack._states.now) for shard in array.addressable_shards}
    print(json.dumps([pack.slots, pack.free_slots, len(chips), sorted(pack.base_metrics)]))
"""


def build(folder: Path, slots: int, *overrides: str, fits: bool = True) -> list[object]:
    """Build a pack in a process; its slots, those that are free, chips and metrics, or an error."""
    asked = json.dumps([str(folder), str(folder / "cgroup"), slots, fits, [*SMALL, *overrides]])
    told: list[object] = json.loads(printed_last("-c", BUILD, asked))
    return told


def limit_memory(folder: Path, megabytes: int) -> None:
    """Let the machine look like a container with so much memory left."""
    cgroup = folder / "cgroup"
    cgroup.mkdir()
    used, cached = 300, 100
    (cgroup / "memory.max").write_text(f"{(megabytes + used - cached) * 10**6}\n")
    (cgroup / "memory.current").write_text(f"{used * 10**6}\n")
    (cgroup / "memory.stat").write_text(f"anon 1\ninactive_file {cached * 10**6}\n")


@pytest.mark.slow
def test_slots_lie_on_as_many_chips_as_the_spec_asks_for(tmp_path: Path) -> None:
    """Three slots on two chips: both have room for two, and three are offered."""
    slots, free, chips, metrics = build(tmp_path, 3, "compute.chips=2")
    assert (slots, free, chips) == (3, 3, 2)
    assert metrics == ["val_accuracy", "val_bits_per_byte", "val_loss", "val_perplexity"]


@pytest.mark.slow
def test_a_worker_that_is_asked_for_what_fits_takes_what_its_memory_holds(tmp_path: Path) -> None:
    limit_memory(tmp_path, 1299)
    wide = ["search.space.rank.values=[32]", "training.targets=all_linear"]
    slots, free, *_ = build(tmp_path, 16, *wide, fits=False)
    assert (slots, free) == (4, 4), "1,084 MB and four and a half for each slot, and 1,104 may be taken"


@pytest.mark.slow
def test_a_worker_whose_memory_holds_not_one_slot_says_how_much_it_needs(tmp_path: Path) -> None:
    limit_memory(tmp_path, 200)
    kind, told = build(tmp_path, 16, fits=False)
    assert kind == "ConfigError"
    assert "one slot needs about 0.9 GB and the cpu has 0.2 GB" in str(told)


@pytest.mark.slow
def test_a_base_model_that_scores_nothing_finite_is_refused(tmp_path: Path) -> None:
    """Else every trial would be told to have diverged at its first step."""
    tensors = random_tensors(PLAIN)
    tensors["model.norm.weight"][:] = np.nan
    write_folder(tmp_path / "model", PLAIN, tensors, make_proto())
    kind, told = build(tmp_path, 1, f"base.model={tmp_path / 'model'}", "data.max_tokens=2000")
    assert kind == "BaseModelError"
    assert "finite loss, but got nan" in str(told)


def test_memory_is_asked_for_the_steps_that_trials_can_take() -> None:
    """No batch is larger than the training set, and validation's longest dialogue is in none of them."""
    spec = load_spec("quickstart", ["training.batch_size=64"])
    train, val = make_token_set(6, lengths=(12,)), make_token_set(4, lengths=(40,))
    needs = pack_needs(spec, SHAPE, [train, val])
    assert (needs.steps, needs.evaluated) == (((6, 12),), 40)


@pytest.mark.parametrize(
    ("batch_size", "sizes"),
    [
        ("{type: choice, values: [1, 4, 16]}", [1, 4, 16]),
        ("{type: int, low: 2, high: 5}", [2, 3, 4, 5]),
        ("{type: int, low: 1, high: 64}", [1, 64]),
    ],
)
def test_a_few_batch_sizes_are_all_prepared_for_and_of_many_the_ends(batch_size: str, sizes: list[int]) -> None:
    spec = load_spec("quickstart", ["training={}", f"search.space.batch_size={batch_size}"])
    assert [size for size, _ in pack_needs(spec, SHAPE, None).steps] == sizes


def test_only_its_worker_knows_what_an_accelerator_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    """JAX takes a part of its memory."""
    spec = load_spec("quickstart", ["compute.accelerator=gpu", "compute.slots=auto"])
    for module in ("sweeps.host.accelerators", "sweeps.workers.pack_factory"):
        monkeypatch.setattr(f"{module}.accelerator_memory", lambda kind: ("gpu", 80 * 10**9))
    assert not preflight.check_spec(spec).fits
    assert preflight.check_spec(load_spec("quickstart", ["compute.accelerator=gpu", "compute.slots=3"])).fits
