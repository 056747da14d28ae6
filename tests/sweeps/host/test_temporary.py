"""Temporary folders: gone at the end, and gone when their process is."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from sweeps.errors import HomeError
from sweeps.host import temporary
from sweeps.host.temporary import temporary_folder


def test_a_folder_lives_as_long_as_its_context() -> None:
    with temporary_folder() as folder:
        (folder / "file").write_text("x")
    assert not folder.exists()


def test_what_a_killed_process_left_is_removed_by_the_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with temporary_folder() as mine:
        with subprocess.Popen([sys.executable, "-c", ""]) as dead:
            dead.wait()
        left = tmp_path / mine.name.replace(str(os.getpid()), str(dead.pid))
        left.mkdir()
        (tmp_path / "sweeps-of-somebody-else").mkdir()
        with temporary_folder():
            assert not left.exists()
            assert mine.exists()
            assert (tmp_path / "sweeps-of-somebody-else").exists()


def test_a_folder_is_elsewhere_when_the_usual_place_is_too_long_or_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    short, long = tmp_path / "s", tmp_path / ("long" * 50)
    for place in (short, long):
        place.mkdir()
    (tmp_path / "file").touch()
    monkeypatch.setattr(temporary, "PLACES", (tmp_path / "none", tmp_path / "file", short))
    monkeypatch.setattr(tempfile, "tempdir", str(long))
    with temporary_folder(longest=len(str(short)) + 40) as folder:
        assert folder.parent == short
        assert not list(long.iterdir())
    with temporary_folder() as folder:
        assert folder.parent == long
    with (
        pytest.raises(HomeError, match=r"path of at most 40 bytes.*none can be made in .*Set TMPDIR"),
        temporary_folder(longest=40),
    ):
        pass
