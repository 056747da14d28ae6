"""An epoch's adapter files and the manifest that vouches for them.

The manifest is stored last: its presence says that the files are whole, its digests that they are unchanged.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from adapter_registry.errors import AdapterFilesError

MANIFEST_FILE = "manifest.json"
ADAPTER_SUFFIX = ".lora.h5"
SIDECAR_FILE = "adapter.json"


@dataclass(frozen=True)
class Manifest:
    """Digests (sha256, hex) of an epoch's files by name, and the optimiser step that they are from, where known."""

    epoch: int
    step: int | None = None
    sha256: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, epoch: int, files: Mapping[str, bytes], step: int | None = None) -> Manifest:
        """The manifest of some files.

        Raises:
            AdapterFilesError: a name that is not a plain file's.
        """
        _check_names(files)
        return cls(epoch, step, {name: hashlib.sha256(content).hexdigest() for name, content in sorted(files.items())})

    @classmethod
    def from_bytes(cls, content: bytes, where: str) -> Manifest:
        """Read a manifest back.

        Raises:
            AdapterFilesError: it is not one.
        """
        try:
            data = json.loads(content)
            step = None if data["step"] is None else int(data["step"])
            digests = {str(name): str(digest) for name, digest in data["sha256"].items()}
            _check_names(digests)
            return cls(int(data["epoch"]), step, digests)
        except AdapterFilesError:
            raise
        except (ValueError, KeyError, TypeError, AttributeError, ArithmeticError, RecursionError) as error:
            raise AdapterFilesError(
                f"{where}/{MANIFEST_FILE} must list an adapter's digests, but is damaged: {error!r}."
            ) from None

    def to_bytes(self) -> bytes:
        """The manifest as JSON."""
        return json.dumps({"epoch": self.epoch, "step": self.step, "sha256": dict(self.sha256)}, indent=1).encode()

    @property
    def adapter_file(self) -> str:
        """The name of the file with the LoRA weights.

        Raises:
            AdapterFilesError: there is not exactly one.
        """
        names = [name for name in self.sha256 if name.endswith(ADAPTER_SUFFIX)]
        if len(names) != 1:
            raise AdapterFilesError(
                f"An adapter must have exactly one *{ADAPTER_SUFFIX} file, but its manifest lists: "
                f"{', '.join(self.sha256) or 'nothing'}."
            )
        return names[0]

    def check(self, files: Mapping[str, bytes], where: str) -> None:
        """Check that files are whole and unchanged.

        Raises:
            AdapterFilesError: naming the first one that is not.
        """
        for name, digest in self.sha256.items():
            if name not in files:
                raise AdapterFilesError(f"{where} must hold {name!r}, which its manifest lists, but it is missing.")
            found = hashlib.sha256(files[name]).hexdigest()
            if found != digest:
                raise AdapterFilesError(
                    f"{where}/{name} has changed since it was saved: its sha256 must be {digest[:16]}…, but is "
                    f"{found[:16]}…. Promote the trial again, or another one."
                )


def _check_names(names: Iterable[str]) -> None:
    """Refuse names that lead out of the adapter's folder."""
    for name in names:
        if not name or "/" in name or "\\" in name or "\0" in name or name.startswith(".") or name == MANIFEST_FILE:
            raise AdapterFilesError(f"An adapter file's name must be plain, but got {name!r:.100}.")


def epoch_folder(epoch: int) -> str:
    """Where an epoch's adapter is stored in its run."""
    return f"adapters/epoch_{epoch:04d}"
