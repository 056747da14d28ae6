"""Checkpoints: what is written is read back; what is damaged or hostile is refused in one sentence, and cheaply."""

from __future__ import annotations

import io
import json
import struct
import tracemalloc
import zipfile
from collections.abc import Callable
from typing import get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trainer import lora
from trainer.base.shapes import BaseShape
from trainer.config import Targets, TrialConfig
from trainer.errors import AdapterError
from trainer.lora.checkpoint import SlotCheckpoint
from trainer.lora.sites import Factors, Site

CONFIG = TrialConfig(rank=2)
SITES = tuple(Site(f"block/{name}", name, n, n, (2, 4, 3), None) for n, name in enumerate(("query", "value")))
KEY = "first:block/query:a"
SHAPE = SITES[0].a_shape(2)
LARGEST = 1 << 22  # bytes on the way to a refusal, most of them for parsing headers of thousands of brackets


def checkpoint() -> SlotCheckpoint:
    adapter = {key: Factors(each.a, each.b + 0.5) for key, each in lora.first_values(SITES, 2, 1).items()}
    zeros = {key: Factors(each.a * 0, each.b * 0) for key, each in adapter.items()}
    return SlotCheckpoint(7, adapter, zeros, zeros, losses=(0.5, 0.25))


CONTENT = checkpoint().to_bytes(CONFIG)


@pytest.mark.parametrize("targets", get_args(Targets))
@pytest.mark.parametrize("rank", [1, 16])
def test_its_size_is_known_from_the_shape(targets: Targets, rank: int) -> None:
    shape = BaseShape(layers=3, hidden_dim=64, ffn_dim=128, heads=4, kv_heads=2, head_dim=16, vocabulary_size=100)
    kernels = [
        (f"decoder_block_{n}/{name}", kernel) for n in range(3) for name, kernel in shape.kernels(targets).items()
    ]
    sites = tuple(Site(key, key.split("/")[1], n, n, kernel, None) for n, (key, kernel) in enumerate(kernels))
    size = len(SlotCheckpoint.fresh(lora.first_values(sites, rank, 1)).to_bytes(TrialConfig(rank=rank)))
    assert size < shape.checkpoint_bytes(targets, rank) < size + 100_000


def read(content: bytes, config: TrialConfig = CONFIG) -> SlotCheckpoint:
    return SlotCheckpoint.from_bytes(content, "t", config, SITES)


def refused(content: bytes, config: TrialConfig = CONFIG) -> str:
    tracemalloc.start()
    try:
        with pytest.raises(AdapterError) as caught:
            read(content, config)
        assert tracemalloc.get_traced_memory()[1] < LARGEST
    finally:
        tracemalloc.stop()
    message = str(caught.value)
    assert message.isprintable()
    assert message.endswith(".")
    assert len(message) < 500
    return message


def member(array: np.ndarray, *, pickles: bool = False) -> bytes:
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, array, allow_pickle=pickles)
    return buffer.getvalue()


def claiming(header: str, data: bytes = b"") -> bytes:
    """A member whose header says anything at all."""
    text = header.encode().ljust(118) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + data


def with_members(change: Callable[[dict[str, bytes]], object], compression: int = zipfile.ZIP_STORED) -> bytes:
    """The checkpoint with other members, zipped again."""
    with zipfile.ZipFile(io.BytesIO(CONTENT)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    change(members)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def put(content: bytes) -> bytes:
    return with_members(lambda members: members.update({f"{KEY}.npy": content}))


def test_a_checkpoint_is_read_back() -> None:
    found, written = read(CONTENT), checkpoint()
    assert (found.done, found.losses, found.failed_at) == (7, (0.5, 0.25), None)
    for part in ("adapter", "first", "second"):
        for key, factors in getattr(found, part).items():
            for one, other in zip(factors, getattr(written, part)[key], strict=True):
                np.testing.assert_array_equal(one, other)
                assert one.flags.writeable


def test_arrays_in_fortrans_order_are_read_back() -> None:
    values = np.asfortranarray(np.arange(np.prod(SHAPE), dtype=np.float32).reshape(SHAPE))
    np.testing.assert_array_equal(read(put(member(values))).first["block/query"].a, values)


def test_more_epochs_are_welcome_and_another_configuration_is_not() -> None:
    assert read(CONTENT, TrialConfig(rank=2, epochs=CONFIG.epochs + 1)).done == 7
    told = refused(CONTENT, TrialConfig(rank=2, seed=CONFIG.seed + 1))
    assert told.startswith("The checkpoint belongs to a trial with seed=")


HUGE = "{'descr': '<f4', 'fortran_order': False, 'shape': (1099511627776, 8), }"
GOOD_HEADER = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {SHAPE}, }}"


@pytest.mark.parametrize(
    "content",
    [
        member(np.array([print, {}], dtype=object), pickles=True),
        member(np.zeros((1, 2), np.float32)),
        member(np.zeros(SHAPE, np.float64)),
        member(np.zeros(SHAPE, ">f4")),
        member(np.zeros(SHAPE, np.int32)),
        member(np.full(SHAPE, np.nan, np.float32)),
        member(np.full(SHAPE, np.inf, np.float32)),
        member(np.zeros(SHAPE, np.float32))[:-1],
        member(np.zeros(SHAPE, np.float32)) + b"\0",
        member(np.zeros((1 << 18,), np.float32)),
        claiming(HUGE),
        claiming(GOOD_HEADER),
        claiming("{'descr': '|O', 'fortran_order': False, 'shape': (2,), }", b"cos\nsystem\n(S'touch pwned'\ntR."),
        claiming("__import__('os').system('touch pwned')"),
        claiming("(" * 5_000),
        claiming("{'descr': '<f4', 'fortran_order': False, 'shape': (-1,), }"),
        b"\x93NUMPY\x09\x00",
        b"\x80\x04.",
        b"",
    ],
    ids=lambda content: repr(content[10:40]),
)
def test_an_array_that_is_not_what_is_expected_is_refused(content: bytes) -> None:
    assert refused(put(content)).startswith("The checkpoint cannot be read: ")


@pytest.mark.parametrize(
    "name", ["../../evil.npy", "/etc/evil.npy", "C:\\evil.npy", "second.npy", "x" * 10_000, "a\nb"]
)
def test_a_member_of_another_name_is_refused(name: str) -> None:
    assert "must not hold" in refused(with_members(lambda members: members.update({name: b"x"})))


def test_a_missing_member_is_refused() -> None:
    assert KEY in refused(with_members(lambda members: members.pop(f"{KEY}.npy")))


def test_what_is_packed_is_not_unpacked() -> None:
    """A megabyte of zeros takes a kilobyte; a bomb is nothing else."""
    packed = with_members(lambda members: members.update({"header.npy": bytes(1 << 26)}), zipfile.ZIP_DEFLATED)
    assert len(packed) < 1 << 17
    assert "must not be compressed" in refused(packed)


@pytest.mark.parametrize(
    "header",
    [b"", b"[]", b"{}", b"[" * 100_000, b"9" * 5000, b"\xff", json.dumps({"config": None}).encode()],
    ids=lambda header: repr(header[:8]),
)
def test_a_header_that_is_none_is_refused(header: bytes) -> None:
    array = np.frombuffer(header, np.uint8)
    refused(with_members(lambda members: members.update({"header.npy": member(array)})))


@settings(max_examples=300, deadline=None, derandomize=True)
@given(place=st.integers(0, len(CONTENT) - 1), piece=st.binary(min_size=1, max_size=8), cut=st.booleans())
def test_a_damaged_checkpoint_is_read_as_it_was_or_refused(place: int, piece: bytes, cut: bool) -> None:
    damaged = CONTENT[:place] if cut else CONTENT[:place] + piece + CONTENT[place + len(piece) :]
    try:
        found = read(damaged)
    except AdapterError as error:
        assert str(error).isprintable()
    else:
        assert found.to_bytes(CONFIG)[:200]
        assert found.done == 7
