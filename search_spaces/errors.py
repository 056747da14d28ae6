"""Every exception that `search_spaces` raises on purpose, and the value that names one mistake.

SearchSpaceError (ValueError)   a space is impossible, a file is no space, or parameters lie outside a space
└── DocumentError               a YAML text cannot be read, or is not where it should be

A SearchSpaceError carries all mistakes that were found, each with its dotted key; printed, it is one sentence a
line. All can be pickled, because Ray carries them between processes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self


@dataclass(frozen=True, slots=True)
class Mistake:
    """One sentence about the value at one dotted key; the empty key stands for the whole document."""

    key: str
    text: str

    def under(self, key: str) -> Mistake:
        """Return the same mistake as seen from a document that holds this one at `key`."""
        return Mistake(".".join(part for part in (key, self.key) if part), self.text)

    def __str__(self) -> str:
        text = self.text
        named = re.match(r"`([\w.]+)` (?=must )", text)  # an error of another package, which knows no keys
        if named and f".{named[1]}." in f".{self.key}.":
            text = text[named.end() :]
        line = f"{self.key}: {text}" if self.key else text
        return "".join(c if c.isprintable() else "?" for c in line)  # a key may hold anything, even half a surrogate


class SearchSpaceError(ValueError):
    """A space is impossible, a file is no space, or parameters lie outside a space."""

    def __init__(self, mistakes: Iterable[Mistake]) -> None:
        self.mistakes = tuple(mistakes)
        super().__init__(self.mistakes)

    @classmethod
    def at(cls, key: str, text: str) -> Self:
        """Build the error of one mistake."""
        return cls([Mistake(key, text)])

    def under(self, key: str) -> SearchSpaceError:
        """Return the error as seen from a document that holds the space at `key`."""
        return SearchSpaceError(mistake.under(key) for mistake in self.mistakes)

    def __str__(self) -> str:
        return "\n".join(map(str, self.mistakes))


class DocumentError(SearchSpaceError):
    """A YAML text cannot be read, or is not where it should be."""
