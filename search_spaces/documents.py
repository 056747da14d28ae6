"""Finds a YAML document: a name of the ready-made ones that a package carries, or the path of a file."""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

from search_spaces.errors import DocumentError
from search_spaces.wording import choices, did_you_mean, show
from search_spaces.yaml_text import LONGEST_TEXT, read_yaml

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")


@dataclass(frozen=True, slots=True)
class Document:
    """What a YAML file says, and the folder that its relative paths start from."""

    data: Any
    folder: Path
    label: str


@dataclass(frozen=True, slots=True)
class Shelf:
    """The ready-made documents of one kind (`search space`, `example`) that a package carries."""

    folder: Traversable
    kind: str

    def names(self) -> tuple[str, ...]:
        """List the ready-made documents."""
        return tuple(sorted(f.name.removesuffix(".yaml") for f in self.folder.iterdir() if f.name.endswith(".yaml")))

    def read(self, source: str | Path, *, folder: Path | None = None) -> Document:
        """Read a ready-made document by its name, or a file by its path (relative to `folder`, else to here).

        Raises:
            DocumentError: no such name or file, no readable YAML, or nothing in it.
        """
        if isinstance(source, str) and source in self.names():
            text = (self.folder / f"{source}.yaml").read_text(encoding="utf-8")
            return Document(read_yaml(text, source=f"the {self.kind} {source}"), Path.cwd(), source)
        path = self._path(source, folder or Path.cwd())
        data = read_yaml(_text(path), source=str(path))
        if data is None:
            raise DocumentError.at("", f"{path} is empty, but must map keys to values.")
        return Document(data, path.parent, str(path))

    def _path(self, source: str | Path, folder: Path) -> Path:
        try:
            path = folder / Path(source).expanduser()
            if path.is_file():
                return path.resolve()
            state = "is no file" if path.exists() else "does not exist"
        except (OSError, ValueError, RuntimeError) as error:  # a name too long, a NUL inside, an unknown ~user
            raise DocumentError.at("", f"{show(str(source))} is no path of a file: {error}.") from None
        names = self.names()
        if isinstance(source, str) and _NAME.fullmatch(source) and not path.exists():
            raise DocumentError.at(
                "",
                f"Unknown {self.kind} {show(source)}.{did_you_mean(source, names)} "
                f"Choose from: {choices(names)}, or give the path of a YAML file.",
            )
        raise DocumentError.at("", f"{path} {state}. Give the path of a YAML file, or choose from: {choices(names)}.")


def _text(path: Path) -> str:
    try:
        if path.stat().st_size == 0:  # also what the kernel only calls a file, and what may be waited for for ever
            return ""
        with path.open("rb") as file:
            return file.read(4 * LONGEST_TEXT + 1).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DocumentError.at(
            "", f"{path} must be UTF-8 text, but byte {error.start} is not; save it as UTF-8."
        ) from None
    except OSError as error:
        raise DocumentError.at("", f"{path} cannot be read: {error.strerror}.") from None
