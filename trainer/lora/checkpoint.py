"""The state of one slot as bytes: adapter, moments, place in the data and what was told, to go on as if never stopped.

The order of the data and the dropout are functions of the seed and the step, so nothing else has to be kept. The
format is NumPy's `.npz` without pickle; every array is checked before use.
"""

from __future__ import annotations

import dataclasses
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from trainer.config import TrialConfig
from trainer.errors import AdapterError
from trainer.events import Evaluated
from trainer.lora.npz import ERRORS, Npz
from trainer.lora.sites import Adapter, Factors, Site

_FORMAT = 2
_PARTS = ("adapter", "first", "second")


@dataclass(frozen=True)
class SlotCheckpoint:
    """A trial between two steps; arrays on the host, unpadded.

    done            finished steps
    adapter         factors, scale not folded in
    first, second   moments, shaped like the adapter
    evaluations     those that were told, in order: who takes over may not have heard of them
    losses          of the steps since the last report
    failed_at       the step at which it diverged, when that is not told yet
    """

    done: int
    adapter: Adapter
    first: Adapter
    second: Adapter
    evaluations: tuple[Evaluated, ...] = ()
    losses: tuple[float, ...] = ()
    failed_at: int | None = None

    @classmethod
    def fresh(cls, adapter: Adapter) -> Self:
        """The beginning of a trial."""
        zeros = {key: Factors(np.zeros_like(each.a), np.zeros_like(each.b)) for key, each in adapter.items()}
        return cls(0, adapter, zeros, zeros)

    def to_bytes(self, config: TrialConfig) -> bytes:
        """Write the checkpoint with the configuration that it belongs to."""
        header = {
            "format": _FORMAT,
            "done": self.done,
            "evaluations": [[each.step, each.epoch, dict(each.metrics)] for each in self.evaluations],
            "losses": list(self.losses),
            "failed_at": self.failed_at,
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
    def from_bytes(cls, content: bytes, key: str, config: TrialConfig, sites: tuple[Site, ...]) -> Self:
        """Read a checkpoint for the trial `key`, which may have more epochs than the one that wrote it.

        Raises:
            AdapterError: it is damaged, or was written by a trial with another configuration.
        """
        try:
            arrays = Npz(content, _names(sites))
            header = json.loads(arrays.text("header"))
            _check_config(header["config"], config)
            adapter, first, second = (_read_part(arrays, part, sites, config.rank) for part in _PARTS)
            done, losses = int(header["done"]), tuple(map(float, header["losses"]))
            evaluations = _read_evaluations(header["evaluations"], key)
            failed_at = None if header["failed_at"] is None else int(header["failed_at"])
        except AdapterError:
            raise
        except ERRORS as error:
            reason = " ".join(str(error).split())[:300].rstrip(".")
            raise AdapterError(f"The checkpoint cannot be read: {type(error).__name__}: {reason}.") from None
        return cls(done, adapter, first, second, evaluations, losses, failed_at)


def _check_config(written: Mapping[str, Any], config: TrialConfig) -> None:
    """Only epochs may be added: an order, a schedule or a size that changes would make another trial of it."""
    own = dataclasses.asdict(config)
    for name in sorted(own):
        if written.get(name) != own[name] and not (name == "epochs" and written.get(name, own[name] + 1) < own[name]):
            raise AdapterError(
                f"The checkpoint belongs to a trial with {name}={written.get(name)!r}, but this one has {own[name]!r}."
            )


def _read_evaluations(written: Any, key: str) -> tuple[Evaluated, ...]:
    """The total is the reader's to fill in: it may have more epochs."""
    return tuple(
        Evaluated(
            key=key,
            step=int(step),
            evaluation=number,
            evaluations_total=0,
            epoch=float(epoch),
            metrics={str(name): float(value) for name, value in metrics.items()},
        )
        for number, (step, epoch, metrics) in enumerate(written, start=1)
    )


def _names(sites: tuple[Site, ...]) -> set[str]:
    return {"header"} | {f"{part}:{site.key}:{one}" for part in _PARTS for site in sites for one in "ab"}


def _read_part(arrays: Npz, part: str, sites: tuple[Site, ...], rank: int) -> Adapter:
    return {
        site.key: Factors(
            arrays.floats(f"{part}:{site.key}:a", site.a_shape(rank)),
            arrays.floats(f"{part}:{site.key}:b", site.b_shape(rank)),
        )
        for site in sites
    }
