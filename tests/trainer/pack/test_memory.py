"""The estimate of a pack's memory agrees with what processes need, and decides how a pack is laid out."""

import dataclasses
import json
from pathlib import Path

import pytest

from tests.command_line import printed_last
from trainer.base.shapes import BaseShape, read_shape
from trainer.machine.host_memory import ENVIRONMENT
from trainer.pack.memory import SHARE_OF_MEMORY, Layout, PackNeeds
from trainer.pack.sizes import TOKENS_PER_PASS

GB = 10**9
ONE_SLOT = Layout(slots=1, tokens_per_pass=1024)
MIDDLE = BaseShape(layers=4, hidden_dim=320, ffn_dim=1280, heads=4, kv_heads=2, head_dim=80, vocabulary_size=16000)
DEEP = BaseShape(layers=8, hidden_dim=256, ffn_dim=1024, heads=4, kv_heads=2, head_dim=64, vocabulary_size=8000)
WIDE = BaseShape(layers=2, hidden_dim=768, ffn_dim=1536, heads=6, kv_heads=3, head_dim=128, vocabulary_size=50000)
ON_CPU = PackNeeds(
    backend="cpu",
    shape=MIDDLE,
    dtype="float32",
    rank=16,
    targets="attention_qv",
    steps=((1, 80),),
    evaluated=80,
)
TWO_B = PackNeeds(
    backend="accelerator",
    shape=read_shape("gemma2_instruct_2b_en"),
    dtype="bfloat16",
    rank=16,
    targets="all_linear",
    steps=((4, 256),),
    evaluated=256,
)


def measured(needs: PackNeeds, layout: Layout, compiled: Path) -> int:
    asked = {
        **{name: getattr(needs, name) for name in ("dtype", "rank", "targets", "steps")},
        "shape": dataclasses.asdict(needs.shape),
        "slots": layout.slots,
        "room": needs.bytes(layout),
        "compiled": str(compiled),
    }
    return int(json.loads(printed_last("-m", "tests.trainer.peak_memory", json.dumps(asked), **ENVIRONMENT))["peak"])


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs /proc to measure a process's peak")
@pytest.mark.parametrize(
    ("change", "slots"),
    [
        ({"shape": read_shape("builtin"), "targets": "all_linear", "steps": ((2, 64),), "evaluated": 64}, 12),
        ({"shape": WIDE, "targets": "all_linear", "steps": ((4, 256),), "evaluated": 256}, 1),
        ({"dtype": "bfloat16", "rank": 32, "targets": "attention", "steps": ((2, 256),), "evaluated": 256}, 3),
        ({"shape": DEEP, "targets": "all_linear", "steps": ((1, 256), (1, 516)), "evaluated": 516}, 1),
    ],
    ids=["small, in passes", "wide, all linear", "bfloat16", "deep, two lengths"],
)
def test_the_estimate_is_within_15_percent_of_the_measured_peak(tmp_path, change, slots):
    """Shapes that the estimate was not fitted to; the peak is that of the whole process."""
    needs = dataclasses.replace(ON_CPU, **change)
    layout = Layout(slots=slots, tokens_per_pass=TOKENS_PER_PASS["cpu"])
    assert needs.bytes(layout) == pytest.approx(measured(needs, layout, tmp_path), rel=0.15)


def test_more_memory_holds_more_slots_and_too_little_holds_none():
    fitting = [TWO_B.slots_that_fit(gb * GB, most=16) for gb in (4, 8, 12, 16, 80)]
    assert fitting[0] == 0
    assert fitting == sorted(fitting)
    assert len(set(fitting)) > 2
    assert fitting[-1] == 16


def test_sixteen_slots_of_two_b_take_less_than_20_gb():
    """The goal for an H100, 16 × 4 × 256 tokens at rank 16, as estimated; passes bound what is kept."""
    layout = TWO_B.layout(16, 23.5 * GB)
    assert TWO_B.bytes(layout) < 20 * GB
    assert layout.slots == 16


def test_what_fits_in_the_fastest_way_is_laid_out_so():
    assert TWO_B.layout(16, 80 * GB) == Layout(slots=16, tokens_per_pass=TOKENS_PER_PASS["accelerator"])


@pytest.mark.parametrize("gb", [10, 14, 18, 22])
def test_less_memory_means_smaller_passes_and_then_computing_blocks_again(gb):
    layouts = [TWO_B.layout(4, each * GB) for each in (gb, gb + 4)]
    little, more = ((each.remat, -each.tokens_per_pass) for each in layouts)
    assert little >= more
    assert TWO_B.bytes(layouts[0]) <= max(SHARE_OF_MEMORY * gb * GB, TWO_B.bytes(TWO_B.layout(4, 0)))


def test_the_shape_of_step_that_needs_most_counts():
    """Of 512 tokens one slot fills a pass; of 128 tokens, seven share it. The others only have their programs."""
    layout = Layout(slots=7, tokens_per_pass=1000)
    long, short, both, with_a_tiny_one = (
        dataclasses.replace(ON_CPU, steps=steps, evaluated=80).bytes(layout)
        for steps in (((1, 512),), ((1, 128),), ((1, 128), (1, 512)), ((1, 128), (1, 8)))
    )
    program = ON_CPU._programs(2) - ON_CPU._programs(1)
    assert both == with_a_tiny_one == short + program > long + program


def test_token_sets_on_the_chip_count():
    assert dataclasses.replace(ON_CPU, data_bytes=GB).bytes(ONE_SLOT) - ON_CPU.bytes(ONE_SLOT) == GB


def test_a_base_model_on_two_chips_leaves_each_of_them_more_room():
    halved = dataclasses.replace(TWO_B, chips_per_base=2)
    saved = TWO_B.bytes(ONE_SLOT) - halved.bytes(ONE_SLOT)
    assert saved == pytest.approx(TWO_B.shape.parameters, rel=0.01)  # two bytes each, half of them
