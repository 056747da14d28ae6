"""The state of one slot as bytes: adapter, moments and place in the data, enough to go on as if never stopped.

The order of the data and the dropout are functions of the seed and the step, so nothing else has to be kept. The
format is NumPy's `.npz` without pickle; every array is checked before use.
"""

from __future__ import annotations

import dataclasses
import io
import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from trainer.config import TrialConfig
from trainer.errors import AdapterError
from trainer.lora import Adapter, Factors, Site

_FORMAT = 1
_PARTS = ("adapter", "first", "second")


@dataclass(frozen=True)
class SlotCheckpoint:
    """A trial between two steps; arrays on the host, unpadded.

    done            finished steps
    evaluations     evaluations reported
    adapter         factors, scale not folded in
    first, second   moments, shaped like the adapter
    """

    done: int
    evaluations: int
    adapter: Adapter
    first: Adapter
    second: Adapter

    @classmethod
    def fresh(cls, adapter: Adapter) -> Self:
        """The beginning of a trial."""
        zeros = {key: Factors(np.zeros_like(each.a), np.zeros_like(each.b)) for key, each in adapter.items()}
        return cls(0, 0, adapter, zeros, zeros)

    def to_bytes(self, config: TrialConfig) -> bytes:
        """Write the checkpoint with the configuration that it belongs to."""
        header = {
            "format": _FORMAT,
            "done": self.done,
            "evaluations": self.evaluations,
            "config": dataclasses.asdict(config),
        }
        arrays = {"header": np.frombuffer(json.dumps(header).encode(), np.uint8)}
        for part in _PARTS:
            for key, factors in getattr(self, part).items():
                arrays[f"{part}:{key}:a"], arrays[f"{part}:{key}:b"] = factors.a, factors.b
        buffer = io.BytesIO()
        np.savez(buffer, allow_pickle=False, **arrays)
        return buffer.getvalue()

    @classmethod
    def from_bytes(cls, content: bytes, config: TrialConfig, sites: tuple[Site, ...]) -> Self:
        """Read a checkpoint for a trial.

        Raises:
            AdapterError: it is damaged, or was written by a trial with another configuration.
        """
        try:
            with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
                header = json.loads(arrays["header"].tobytes())
                parts = [_read_part(arrays, part, sites, config.rank) for part in _PARTS]
                done, evaluations, written = int(header["done"]), int(header["evaluations"]), header["config"]
        except (ValueError, KeyError, TypeError, OSError, EOFError, zipfile.BadZipFile) as error:
            raise AdapterError(f"The checkpoint cannot be read: {type(error).__name__}: {error}.") from None
        own = dataclasses.asdict(config)
        changed = sorted(name for name in own if written.get(name) != own[name])
        if changed:
            name = changed[0]
            raise AdapterError(
                f"The checkpoint belongs to a trial with {name}={written.get(name)!r}, but this one has {own[name]!r}."
            )
        return cls(done, evaluations, *parts)


def _read_part(arrays: Mapping[str, Any], part: str, sites: tuple[Site, ...], rank: int) -> Adapter:
    def read(key: str, shape: tuple[int, ...]) -> np.ndarray[Any, np.dtype[np.float32]]:
        array: np.ndarray[Any, np.dtype[np.float32]] = arrays[key]
        if array.shape != shape or array.dtype != np.float32 or not np.isfinite(array).all():
            raise ValueError(f"{key} must be finite float32 of shape {shape}")
        return array

    return {
        site.key: Factors(
            read(f"{part}:{site.key}:a", site.a_shape(rank)), read(f"{part}:{site.key}:b", site.b_shape(rank))
        )
        for site in sites
    }
