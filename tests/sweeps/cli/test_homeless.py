"""A sweep where HOME is missing, unset or not to be written, and TMPDIR is too long or not there: nobody notices."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

UID = 12345
# The tests' Python may be in root's home: the other user may read it, and write no more than anybody.
SOMEBODY = (
    *("setpriv", "--reuid", str(UID), "--clear-groups"),
    *("--inh-caps", "+dac_read_search", "--ambient-caps", "+dac_read_search"),
)
LAUNCH = (
    *("launch", "quickstart", "--plain", "--set", "search.trials=1", "--set", "compute.slots=1"),
    *("--set", "search.enqueue=[{rank: 2, learning_rate: 1e-3, epochs: 1}]", "--set", "data.select.limit=16"),
    *("--set", "data.validation_limit=4"),
)
needs_root = pytest.mark.skipif(os.getuid() != 0 or not shutil.which("setpriv"), reason="needs root and setpriv")


def run(folder: Path, arguments: Sequence[str], user: Sequence[str] = (), **environment: str) -> str:
    """Run Python in a folder as a user who has only this environment; what it printed."""
    paths = os.pathsep.join(path for path in sys.path if path)
    plain = {"PATH": os.environ["PATH"], "PYTHONPATH": paths, "TMPDIR": str(folder), **environment}
    ended = subprocess.run(
        [*user, sys.executable, *arguments], cwd=folder, env=plain, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stdout[-2000:] + ended.stderr[-3000:]
    return ended.stdout


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder of the other user, in a place that everybody may enter, as pytest's own is not."""
    with tempfile.TemporaryDirectory(prefix="of-somebody-", dir="/tmp") as made:
        os.chown(made, UID, UID)
        yield Path(made)


def launch_and_ask(folder: Path, user: Sequence[str] = (), **environment: str) -> None:
    assert run(folder, ["-m", "sweeps", *LAUNCH], user, **environment)
    assert run(folder, ["-m", "sweeps", "generate", "안녕", "--max-new-tokens", "4"], user, **environment)


@needs_root
@pytest.mark.ray
@pytest.mark.slow
def test_a_home_that_does_not_exist(folder: Path) -> None:
    home = folder / "nobody" / "there"
    launch_and_ask(folder, HOME=str(home))
    assert not home.exists()
    assert (folder / "sweeps-home-0").stat().st_mode & 0o777 == 0o700
    assert not (folder / "sweeps-home-0" / ".ray").exists()  # the sweep's Ray has a token of its own


@needs_root
@pytest.mark.ray
@pytest.mark.slow
def test_a_user_without_an_entry_a_home_or_a_short_folder_for_temporary_files(folder: Path) -> None:
    long = folder / ("t" * 100) / ("u" * 100)
    long.mkdir(parents=True)
    os.chown(long, UID, UID)
    launch_and_ask(folder, SOMEBODY, TMPDIR=str(long))
    assert not list(long.glob("sweeps-*-*-*"))  # what a sweep writes for a while is gone


@needs_root
@pytest.mark.ray
@pytest.mark.slow
def test_a_home_that_cannot_be_written_and_a_tmpdir_that_is_not_there(folder: Path) -> None:
    try:
        launch_and_ask(folder, SOMEBODY, HOME="/", TMPDIR=str(folder / "not-there"))
    finally:
        shutil.rmtree(f"/tmp/sweeps-home-{UID}", ignore_errors=True)


@needs_root
def test_a_folder_of_somebody_else_is_not_taken_for_a_home(folder: Path) -> None:
    """Whoever made it could put configuration and models there that are not ours."""
    script = """
import os
from pathlib import Path
from sweeps.host import temporary, user_home
temporary.PLACES = ()
Path(os.environ["TMPDIR"], f"sweeps-home-{os.getuid()}").mkdir(exist_ok=True)
try:
    user_home.ensure_home()
except ValueError as error:
    print(error)
else:
    print(os.environ["HOME"])
"""
    assert run(folder, ["-c", script], SOMEBODY).strip() == f"{folder}/sweeps-home-{UID}"
    os.chown(folder / f"sweeps-home-{UID}", 0, 0)
    told = run(folder, ["-c", script], SOMEBODY)
    assert told.startswith("HOME must be a folder that this user can write")
    assert "belongs to somebody else" in told
