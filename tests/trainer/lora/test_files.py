"""Adapter files: what is written is read back; what is damaged, foreign or hostile is refused."""

import hashlib
import io
import json

import numpy as np
import pytest

from trainer import lora
from trainer.config import TrialConfig
from trainer.errors import AdapterError
from trainer.lora.files import CARD_FILE, WEIGHTS_FILE, read_adapter, write_adapter

CONFIG = TrialConfig(rank=3, alpha=6.0, targets="attention")


@pytest.fixture
def sites(base):
    return lora.select_sites(lora.find_sites(base.backbone), "attention")


@pytest.fixture
def files(base, sites):
    factors = lora.first_values(sites, 3, seed=1)
    factors = {key: lora.Factors(each.a, each.b + 0.5) for key, each in factors.items()}
    return write_adapter(factors, sites, CONFIG, "tiny", (base.digest, "float32"))


def test_an_adapter_is_read_back_with_its_scale_in_b(base, sites, files):
    card, factors = read_adapter(files, sites, base.digest)
    assert (card.rank, card.targets, card.base_digest) == (3, "attention", base.digest)
    first = lora.first_values(sites, 3, seed=1)
    for key, each in factors.items():
        np.testing.assert_array_equal(each.a, first[key].a)
        np.testing.assert_array_equal(each.b, np.full_like(each.b, 0.5 * 2.0))


def test_first_values_do_not_depend_on_rank_or_on_other_targets(base, sites):
    """The first columns of A are the same at any rank; the same site draws the same among fewer sites."""
    everywhere = lora.find_sites(base.backbone)
    small, large = lora.first_values(sites, 2, 7), lora.first_values(everywhere, 8, 7)
    for key, each in small.items():
        np.testing.assert_array_equal(each.a * 1.0, large[key].a[..., :2])


@pytest.mark.parametrize("missing", [CARD_FILE, WEIGHTS_FILE])
def test_a_missing_file_is_named(base, sites, files, missing):
    with pytest.raises(AdapterError, match=missing):
        read_adapter({name: files[name] for name in files if name != missing}, sites, base.digest)


def test_a_changed_byte_is_noticed(base, sites, files):
    changed = bytearray(files[WEIGHTS_FILE])
    changed[len(changed) // 2] ^= 1
    with pytest.raises(AdapterError, match="sha256"):
        read_adapter(files | {WEIGHTS_FILE: bytes(changed)}, sites, base.digest)


def test_another_base_model_is_refused(base, sites, files):
    with pytest.raises(AdapterError, match="digest"):
        read_adapter(files, sites, "f" * 64)


def with_weights(files, change):
    """The same adapter with changed weights and a card that vouches for them."""
    import h5py

    buffer = io.BytesIO(files[WEIGHTS_FILE])
    with h5py.File(buffer, "r+") as file:
        change(file)
    card = json.loads(files[CARD_FILE]) | {"sha256": hashlib.sha256(buffer.getvalue()).hexdigest()}
    return {WEIGHTS_FILE: buffer.getvalue(), CARD_FILE: json.dumps(card).encode()}


def test_shapes_types_and_values_are_checked_before_use(base, sites, files):
    key = f"lora/{sites[0].index}/vars/lora_kernel_a"

    def put(value):
        def change(file):
            del file[key]
            if value is not None:
                file[key] = value

        return change

    shape = sites[0].a_shape(3)
    spoiled = [None, np.zeros((1, 2), np.float32), np.zeros(shape, np.float64), np.full(shape, np.nan, np.float32)]
    for value in spoiled:
        with pytest.raises(AdapterError, match="cannot be read"):
            read_adapter(with_weights(files, put(value)), sites, base.digest)


def test_weights_that_are_not_in_the_file_are_refused(base, sites, files, tmp_path):
    """HDF5 can name other files, and promise arrays that no byte of the file stands for."""
    import h5py

    key, shape = f"lora/{sites[0].index}/vars/lora_kernel_a", sites[0].a_shape(3)
    elsewhere = tmp_path / "elsewhere.h5"
    with h5py.File(elsewhere, "w") as file:
        file[key] = np.zeros(shape, np.float32)

    def put(make):
        def change(file):
            del file[key]
            make(file)

        return change

    made = [
        lambda file: file.__setitem__(key, h5py.ExternalLink(str(elsewhere), key)),
        lambda file: file.__setitem__(key, h5py.SoftLink(f"/lora/{sites[1].index}/vars/lora_kernel_a")),
        lambda file: file.create_dataset(key, shape, np.float32),
        lambda file: file.create_dataset(key, shape, np.float32, compression="gzip"),
        lambda file: file.create_dataset(key, shape, np.float32, external=[(str(elsewhere), 0, 1 << 20)]),
        lambda file: file.create_dataset(key, (2**40,), np.float32),
        lambda file: file.create_group(key),
    ]
    for make in made:
        with pytest.raises(AdapterError, match=r"^adapter\.lora\.h5 cannot be read: .*must be .*\.$"):
            read_adapter(with_weights(files, put(make)), sites, base.digest)


@pytest.mark.parametrize("content", [b"", b"\x89HDF\r\n\x1a\n", b"\x80\x04."])
def test_weights_that_are_no_hdf5_are_refused(base, sites, files, content):
    card = json.loads(files[CARD_FILE]) | {"sha256": hashlib.sha256(content).hexdigest()}
    with pytest.raises(AdapterError, match="cannot be read"):
        read_adapter({WEIGHTS_FILE: content, CARD_FILE: json.dumps(card).encode()}, sites, base.digest)


@pytest.mark.parametrize("key", ["base_name", "base_digest", "base_dtype", "sha256"])
@pytest.mark.parametrize("value", [None, 3, ["x"], {}])
def test_a_card_whose_texts_are_none_is_refused(base, sites, files, key, value):
    card = json.dumps(json.loads(files[CARD_FILE]) | {key: value}).encode()
    with pytest.raises(AdapterError, match=CARD_FILE):
        read_adapter(files | {CARD_FILE: card}, sites, base.digest)


@pytest.mark.parametrize("card", [b"", b"[]", b'{"format": 1}', b"\x80\x04.", b"[" * 100_000, b"9" * 5000])
def test_a_card_that_is_none_is_refused(base, sites, files, card):
    with pytest.raises(AdapterError, match=CARD_FILE):
        read_adapter(files | {CARD_FILE: card}, sites, base.digest)


def test_a_rank_above_a_matrix_in_the_card_is_refused(base, sites, files):
    card = json.loads(files[CARD_FILE])
    card["rank"] = card["config"]["rank"] = 4000
    with pytest.raises(AdapterError, match="rank"):
        read_adapter(files | {CARD_FILE: json.dumps(card).encode()}, sites, base.digest)
