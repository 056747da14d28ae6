"""What a package of others does not offer is imported in one place, whose docstrings say what for."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from sweeps.errors import WorkerError
from sweeps.host import ray_internals

ROOT = Path(__file__).parents[1]
PACKAGES = ("sweeps", "trainer", "search_spaces", "mlflow/adapter_registry")
ONE_PLACE = "sweeps/host/ray_internals.py"


def private_imports(source: str) -> Iterator[str]:
    """Modules and names of others that begin with an underscore, or are below KerasHub's and Keras's `src`."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom):
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        else:
            continue
        for name in names:
            parts = name.split(".")
            hidden = [part for part in parts[1:] if part == "src" or (part.startswith("_") and part[:2] != "__")]
            if hidden:
                yield name


def test_private_names_of_other_packages_are_imported_in_one_place() -> None:
    files = [path for package in PACKAGES for path in (ROOT / package).rglob("*.py")]
    found = {str(path.relative_to(ROOT)): list(private_imports(path.read_text())) for path in files}
    assert {where for where, names in found.items() if names} == {ONE_PLACE}


def test_the_version_that_they_are_of_is_the_one_that_is_installed_with_us() -> None:
    assert f'"ray[tune]{ray_internals.RAY}"' in (ROOT / "pyproject.toml").read_text()


def test_a_ray_without_them_is_told_in_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    assert find_spec("ray.train._internal.storage") is not None
    monkeypatch.setitem(sys.modules, "ray.train._internal.storage", None)
    with pytest.raises(WorkerError, match=r"^Ray must be .*\(>=2\.60,<2\.61\), but .* is installed.*pip install"):
        ray_internals.sent_to_each_trial()
