"""Manifests: what they vouch for is checked, and no name in them leads out of their folder."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from adapter_registry.errors import AdapterFilesError
from adapter_registry.models.engines import base_of
from adapter_registry.runs.adapter_files import MANIFEST_FILE, Manifest
from adapter_registry.runs.checkpoints import CheckpointManifest
from adapter_registry.store.environment import load_pyfunc

FILES = {"adapter.lora.h5": b"weights", "adapter.json": b"{}"}


@pytest.mark.parametrize("name", ["../x", "/etc/passwd", "a/b", "a\\b", ".hidden", "..", "", "a\0b", MANIFEST_FILE])
def test_a_name_that_leads_elsewhere_is_refused(name: str) -> None:
    with pytest.raises(AdapterFilesError, match="must be plain"):
        Manifest.of(1, {name: b""})
    content = json.dumps({"epoch": 1, "step": 1, "sha256": {name: "0" * 64}}).encode()
    with pytest.raises(AdapterFilesError, match="must be plain"):
        Manifest.from_bytes(content, "here")


@pytest.mark.parametrize(
    "content",
    [b"", b"[]", b"{}", b"\x80\x04.", b"[" * 100_000, b"9" * 5000, b'{"epoch": Infinity, "step": 1, "sha256": {}}'],
    ids=lambda content: repr(content[:12]),
)
def test_a_manifest_that_is_none_is_refused(content: bytes) -> None:
    with pytest.raises(AdapterFilesError, match="is damaged"):
        Manifest.from_bytes(content, "here")
    assert CheckpointManifest.read(content) is None
    with pytest.raises(AdapterFilesError, match="must name the adapter's base model"):
        base_of({"adapter.json": content})


def test_a_wrong_digest_is_refused(tmp_path: Path) -> None:
    load_pyfunc()  # its first import warns
    from adapter_registry.models.model import read_checked

    (tmp_path / MANIFEST_FILE).write_bytes(Manifest.of(1, FILES).to_bytes())
    for name, content in FILES.items():
        (tmp_path / name).write_bytes(content)
    assert read_checked(tmp_path) == FILES
    (tmp_path / "adapter.lora.h5").write_bytes(b"weightz")
    with pytest.raises(AdapterFilesError, match="has changed since it was saved"):
        read_checked(tmp_path)
