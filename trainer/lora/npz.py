"""Reads NumPy's `.npz` from somebody else: no pickle, and no more memory than the file itself takes.

`numpy.load` makes an array of whatever shape a header claims, and unpacks whatever a zip claims to hold. Here the
members are known beforehand by name, type and shape; each lies in the file as it is, unpacked.
"""

from __future__ import annotations

import io
import math
import tokenize
import zipfile
from typing import Any, BinaryIO, cast

import numpy as np

# what reading a hostile zip, header or JSON text may raise
ERRORS = (
    *(ValueError, KeyError, TypeError, AttributeError, OSError, EOFError, RuntimeError),
    *(ArithmeticError, MemoryError, SyntaxError, tokenize.TokenError, zipfile.BadZipFile),
)
_SUFFIX = ".npy"
_Floats = np.ndarray[Any, np.dtype[np.float32]]


class Npz:
    """The members of an `.npz` that is in memory.

    Raises:
        one of ERRORS: it is none, or a member has another name, or is compressed or encrypted.
    """

    def __init__(self, content: bytes, names: set[str]) -> None:
        self._zip = zipfile.ZipFile(io.BytesIO(content))
        found = [info.filename for info in self._zip.infolist()]
        if unknown := sorted({name[:80] for name in found} - {name + _SUFFIX for name in names}):
            raise ValueError(f"it must not hold {unknown[0]!r}")
        if len(found) != len(set(found)):
            raise ValueError("it holds two members of one name")

    def text(self, name: str) -> bytes:
        """A member of bytes, of any length.

        Raises:
            one of ERRORS: it is missing, or is something else.
        """
        with self._open(name, most=None) as file:
            shape, _ = _header(file, name, np.dtype(np.uint8))
            return _exactly(file, name, math.prod(shape))

    def floats(self, name: str, shape: tuple[int, ...]) -> _Floats:
        """A member of finite float32 values.

        Raises:
            one of ERRORS: it is missing, or is something else.
        """
        dtype = np.dtype(np.float32)
        with self._open(name, most=math.prod(shape) * dtype.itemsize) as file:
            found, order = _header(file, name, dtype)
            if found != shape:
                raise ValueError(f"{name} must have shape {shape}, but has {found}")
            values = np.frombuffer(_exactly(file, name, math.prod(shape) * dtype.itemsize), dtype)
        array = values.reshape(shape, order=order).copy()  # its own: what is from a buffer may not be written
        if not np.isfinite(array).all():
            raise ValueError(f"{name} holds values that are not finite")
        return array

    def _open(self, name: str, most: int | None) -> BinaryIO:
        info = self._zip.getinfo(name + _SUFFIX)
        if info.compress_type != zipfile.ZIP_STORED or info.file_size != info.compress_size:
            raise ValueError(f"{name} must not be compressed")
        if most is not None and info.file_size > most + 65_536:  # a header takes a few hundred bytes
            raise ValueError(f"{name} has {info.file_size:,} bytes, but {most:,} are expected")
        return cast(BinaryIO, self._zip.open(info))


def _header(file: BinaryIO, name: str, dtype: np.dtype[Any]) -> tuple[tuple[int, ...], Any]:
    if np.lib.format.read_magic(file) != (1, 0):
        raise ValueError(f"{name} must be of version 1.0 of NumPy's format")
    shape, is_fortran, found = np.lib.format.read_array_header_1_0(file)
    if found != dtype:
        raise ValueError(f"{name} must be {dtype}, but is {str(found)[:60]}")
    return shape, "F" if is_fortran else "C"


def _exactly(file: BinaryIO, name: str, size: int) -> bytes:
    """All that is left of a member, which is as long as its header says."""
    content = file.read()
    if len(content) != size:
        raise ValueError(f"{name} has {len(content):,} bytes, but its header says {size:,}")
    return content
