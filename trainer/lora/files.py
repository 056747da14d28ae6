"""Adapter files: a `.lora.h5` that stock KerasHub loads, and an `adapter.json` that says what it fits.

KerasHub's file has no alpha, so the scale is folded into B. Both files are read without pickle, and every shape is
checked against the base model before a value is used.
"""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from trainer.base.shapes import check_rank
from trainer.config import Targets, TrialConfig
from trainer.errors import AdapterError, ConfigError
from trainer.lora.npz import ERRORS
from trainer.lora.sites import TARGET_LAYERS, Factors, Site, select_sites

WEIGHTS_FILE = "adapter.lora.h5"
CARD_FILE = "adapter.json"
_FORMAT = 1
_TEXTS = ("base_name", "base_digest", "base_dtype", "sha256")


@dataclass(frozen=True)
class AdapterCard:
    """What an adapter is and what it fits; `adapter.json`.

    base           name and digest of the base model it was trained on
    config         the trial's hyperparameters
    sha256         of the weights file
    """

    base_name: str
    base_digest: str
    base_dtype: str
    rank: int
    targets: Targets
    config: Mapping[str, Any]
    sha256: str

    def to_json(self) -> bytes:
        """Write the card. `enable_lora` is the call to make in KerasHub before `load_lora_weights`."""
        layers = list(TARGET_LAYERS[self.targets])
        card = {"format": _FORMAT, **dataclasses.asdict(self), "enable_lora": {"target_layer_names": layers}}
        return json.dumps(card, indent=2, ensure_ascii=False).encode()


def write_adapter(
    factors: Mapping[str, Factors], sites: tuple[Site, ...], config: TrialConfig, base_name: str, base: tuple[str, str]
) -> dict[str, bytes]:
    """Write an adapter's two files.

    Args:
        factors: unpadded and unscaled, as trained.
        sites: where they sit.
        config: of the trial; its scale is folded into B.
        base_name: what the base model was asked for as.
        base: its digest and dtype.

    Returns:
        File names with their contents.
    """
    import h5py

    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        group = file.create_group("lora/vars")
        group["rank"] = config.rank
        for site in sites:
            group = file.create_group(f"lora/{site.index}/vars")
            group["lora_kernel_a"] = np.asarray(factors[site.key].a, np.float32)
            group["lora_kernel_b"] = np.asarray(factors[site.key].b, np.float32) * np.float32(config.lora_scale)
    weights = buffer.getvalue()
    card = AdapterCard(
        base_name=base_name,
        base_digest=base[0],
        base_dtype=base[1],
        rank=config.rank,
        targets=config.targets,
        config=dataclasses.asdict(config),
        sha256=hashlib.sha256(weights).hexdigest(),
    )
    return {WEIGHTS_FILE: weights, CARD_FILE: card.to_json()}


def read_card(content: bytes) -> AdapterCard:
    """Read `adapter.json`.

    Raises:
        AdapterError: it is not such a card.
    """
    try:
        card = json.loads(content)
        fields = {field.name: card[field.name] for field in dataclasses.fields(AdapterCard)}
        config = TrialConfig.from_params(fields["config"])
        fits = card["format"] == _FORMAT and (config.rank, config.targets) == (fields["rank"], fields["targets"])
        fits = fits and all(isinstance(fields[name], str) for name in _TEXTS)
    except ERRORS as error:
        reason = " ".join(repr(error).split())[:300]
        raise AdapterError(f"{CARD_FILE} must be the card of an adapter, but it is not: {reason}.") from None
    if not fits:
        raise AdapterError(f"{CARD_FILE} must have format {_FORMAT} and agree with its own configuration.")
    return AdapterCard(**fields)


def read_adapter(
    files: Mapping[str, bytes], sites: tuple[Site, ...], base_digest: str
) -> tuple[AdapterCard, dict[str, Factors]]:
    """Read and check an adapter's files for a base model.

    Args:
        files: as `write_adapter` returns them.
        sites: all sites of the base model.
        base_digest: of the base model.

    Returns:
        The card, and the factors with the scale inside B (so they apply with scale 1).

    Raises:
        AdapterError: a file is missing, damaged, or made for another base model.
    """
    missing = {WEIGHTS_FILE, CARD_FILE} - set(files)
    if missing:
        raise AdapterError(f"An adapter needs {WEIGHTS_FILE} and {CARD_FILE}, but {sorted(missing)[0]} is missing.")
    card = read_card(files[CARD_FILE])
    content = files[WEIGHTS_FILE]
    found = hashlib.sha256(content).hexdigest()
    if found != card.sha256:
        raise AdapterError(f"{WEIGHTS_FILE} is damaged: its sha256 must be {card.sha256}, but is {found}.")
    if card.base_digest != base_digest:
        raise AdapterError(
            f"The adapter was trained on the base model {card.base_name!r} with digest {card.base_digest[:12]}, "
            f"but this one has digest {base_digest[:12]}. Load the base model that it was trained on."
        )
    chosen = select_sites(sites, card.targets)
    try:
        check_rank({site.target: site.kernel_shape for site in chosen}, card.rank)
    except ConfigError as error:
        raise AdapterError(str(error)) from None
    return card, _read_weights(content, chosen, card.rank)


def _read_weights(content: bytes, sites: tuple[Site, ...], rank: int) -> dict[str, Factors]:
    import h5py

    try:
        with h5py.File(io.BytesIO(content), "r") as file:
            return {
                site.key: Factors(
                    _array(file, f"lora/{site.index}/vars/lora_kernel_a", site.a_shape(rank)),
                    _array(file, f"lora/{site.index}/vars/lora_kernel_b", site.b_shape(rank)),
                )
                for site in sites
            }
    except ERRORS as error:
        reason = " ".join(str(error).split())[:300].rstrip(".")
        raise AdapterError(f"{WEIGHTS_FILE} cannot be read: {reason}.") from None


def _array(file: Any, key: str, shape: tuple[int, ...]) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Values that lie in this file, plainly; HDF5 could also name other files, or promise more than there is."""
    import h5py

    parts = key.split("/")
    links = [file.get("/".join(parts[: depth + 1]), getlink=True) for depth in range(len(parts))]
    if not all(isinstance(link, h5py.HardLink) for link in links):
        raise ValueError(f"{key} must be in this file, but is a link or missing")
    dataset = file[key]
    if getattr(dataset, "shape", None) != shape or dataset.dtype != np.float32:
        raise ValueError(f"{key} must be float32 of shape {shape}")
    if dataset.external or dataset.is_virtual or dataset.chunks or dataset.id.get_storage_size() != dataset.nbytes:
        raise ValueError(f"{key} must be stored in one piece in this file")
    array: np.ndarray[Any, np.dtype[np.float32]] = dataset[()]
    if not np.isfinite(array).all():
        raise ValueError(f"{key} holds values that are not finite")
    return array
