"""Python in the README and the docs, run as it is printed, in a folder where a user has launched a sweep."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCKS = [
    pytest.param(block, id=f"{page.name}-{number}")
    for page in PAGES
    for number, block in enumerate(
        re.findall(r"^```python\n(.*?)^```", page.read_text("utf-8"), re.DOTALL | re.MULTILINE)
    )
]
ONE_TRIAL = (
    "name=emotions",
    "search.trials=1",
    "search.space={rank: 8, learning_rate: 0.003, epochs: 1}",
    "data.select.limit=16",
    "data.validation_limit=8",
    "training.evaluations_per_epoch=1",
)

pytestmark = [pytest.mark.ray, pytest.mark.slow]


@pytest.fixture(scope="module")
def environment() -> Mapping[str, str]:
    """A user's: nothing says where things live."""
    paths = os.pathsep.join(path for path in sys.path if path)
    chosen = {"SWEEPS_HOME", "SWEEPS_LEDGER", "MLFLOW_TRACKING_URI", "KERAS_BACKEND"}
    return {name: value for name, value in os.environ.items() if name not in chosen} | {"PYTHONPATH": paths}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, environment: Mapping[str, str]) -> Path:
    """Where the sweep `emotions` was launched, with the base model's folder and the champion's file beside it."""
    there = tmp_path_factory.mktemp("user")
    changes = [part for change in ONE_TRIAL for part in ("--set", change)]
    run(there, environment, "-m", "sweeps", "launch", "quickstart", "--plain", *changes)
    shutil.copytree(ROOT / "trainer" / "base" / "builtin", there / "base")
    (adapter,) = (there / "sweeps-data").glob("artifacts/**/epoch_0001/adapter.lora.h5")
    shutil.copy(adapter, there)
    return there


def run(folder: Path, environment: Mapping[str, str], *arguments: str) -> str:
    command = [sys.executable, *arguments]
    ended = subprocess.run(command, cwd=folder, env=environment, check=False, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr[-3000:]
    return ended.stdout


@pytest.mark.parametrize("block", BLOCKS)
def test_a_block_runs_as_printed_and_leaves_nothing_behind(
    block: str, folder: Path, environment: Mapping[str, str]
) -> None:
    before = sorted(path.name for path in folder.iterdir())
    printed = run(folder, environment, "-c", block)
    assert bool(printed.strip()) == ("print(" in block)
    assert sorted(path.name for path in folder.iterdir()) == before


def test_without_a_champion_it_is_said_where_one_was_looked_for_and_nothing_is_made(
    tmp_path: Path, environment: Mapping[str, str]
) -> None:
    code = "import sweeps\ntry: sweeps.load_champion('emotions')\nexcept Exception as error: print(repr(error))"
    said = run(tmp_path, environment, "-c", code)
    assert said.startswith("NotFoundError(") and str(tmp_path / "sweeps-data" / "mlflow.db") in said
    assert list(tmp_path.iterdir()) == []


def test_readme_has_the_blocks_that_are_tried() -> None:
    assert len(BLOCKS) >= 2
