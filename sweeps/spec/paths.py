"""Paths in a spec: relative ones are made absolute when it is read; whether they exist is checked before a run."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from search_spaces import Mistake, ready_spaces
from search_spaces.wording import show
from sweeps.host.data_files import is_file
from trainer.base.names import BUILTIN
from trainer.dialogues.files import how_to_join

if TYPE_CHECKING:
    from sweeps.spec.model import SweepSpec

_PATH = 4096  # the end of a path tells most: it is shown whole


def resolve_paths(raw: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """Return the spec with its relative paths starting from `folder`; values of a wrong type stay as they are."""
    resolved = dict(raw)
    _replace(resolved, "base", "model", lambda value: _base(value, folder))
    _replace(resolved, "data", "train", lambda value: _source(value, folder))
    _replace(resolved, "data", "validation", lambda value: _sources(value, folder))
    _replace(resolved, "search", "space", lambda value: _space(value, folder))
    return resolved


def _replace(raw: dict[str, Any], section: str, key: str, change: Callable[[Any], Any]) -> None:
    values = raw.get(section)
    if isinstance(values, Mapping) and key in values:
        raw[section] = {**values, key: change(values[key])}


def _source(value: Any, folder: Path) -> Any:
    if isinstance(value, Mapping):
        return {**value, "source": _source(value["source"], folder)} if "source" in value else value
    is_path = isinstance(value, str) and value.strip() and is_file(value)
    return _absolute(value, folder) if is_path else value


def _sources(value: Any, folder: Path) -> Any:
    if not isinstance(value, Mapping) or "source" in value:
        return _source(value, folder)
    return {name: _source(source, folder) for name, source in value.items()}


def _base(value: Any, folder: Path) -> Any:
    if not isinstance(value, str) or value == BUILTIN or "://" in value or not value.strip():
        return value
    looks_like_path = "/" in value or value.startswith((".", "~"))
    return _absolute(value, folder) if looks_like_path or _exists(folder / value) else value


def _space(value: Any, folder: Path) -> Any:
    if not isinstance(value, str) or not value.strip() or value in ready_spaces():
        return value
    looks_like_path = "/" in value or value.startswith((".", "~")) or value.endswith((".yaml", ".yml"))
    return _absolute(value, folder) if looks_like_path or _exists(folder / value) else value


def _absolute(value: str, folder: Path) -> str:
    try:
        return os.path.abspath(folder / Path(value).expanduser())  # noqa: PTH100  # resolve() would follow links
    except (RuntimeError, ValueError):  # no such user behind ~, a NUL inside: told when the field is checked
        return value


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):  # a name longer than a file system takes
        return False


def file_mistakes(spec: SweepSpec) -> list[Mistake]:
    """List data files and base models that are not there, without reading them.

    For a sweep that is about to run; a spec read from a ledger or from MLflow may name files of another machine.
    """
    from trainer.base.names import find_base
    from trainer.errors import BaseModelError

    mistakes = []
    try:
        find_base(spec.base.model)
    except BaseModelError as error:
        mistakes.append(Mistake("base.model", str(error)))
    for key, source in spec.data.sources.items():
        if is_file(source.source) and (problem := _problem(Path(source.source))):
            rule = f"must be a file that can be read, but {show(source.source, longest=_PATH)} {problem}."
            mistakes.append(Mistake(f"data.{key}", rule))
    return mistakes


def _problem(path: Path) -> str:
    if not _exists(path):
        return "does not exist"
    if path.is_dir():
        return f"is a folder. {how_to_join(path)}"
    if not path.is_file():
        return "is no file"
    return "" if os.access(path, os.R_OK) else "may not be read by this user"
