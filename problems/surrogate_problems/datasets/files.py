"""Published data sets in files of the user's: where they lie, and whether they hold what was published."""

from __future__ import annotations

import hashlib
import os
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from surrogate_problems.problem import ProblemError

VARIABLE: Final = "SURROGATE_OPT_DATA"

Arrays = Sequence[np.ndarray]
Reader = Callable[[Path], Arrays]

_UNREADABLE = (
    TypeError,
    OSError,
    EOFError,
    ValueError,
    LookupError,
    zlib.error,
    tarfile.TarError,
    zipfile.BadZipFile,
)


class DatasetError(ProblemError):
    """A data set that is missing, or is not what was published: one line that says what to do."""


@dataclass(frozen=True, kw_only=True)
class Part:
    """Arrays of a set that lie together, in one of several formats.

    Attributes:
        sum: ``checksum`` of the arrays as published.
        forms: readers by path, below the data folder; the first path that is there is read.
    """

    sum: str
    forms: Mapping[str, Reader]


@dataclass(frozen=True, kw_only=True)
class Source:
    """A published set.

    Attributes:
        name: what users type.
        parts: all that belongs to it.
        advice: how to get it, as an order.
    """

    name: str
    parts: tuple[Part, ...]
    advice: str

    def read(self, folder: Path) -> list[np.ndarray]:
        """The arrays of all parts, one part after another.

        Args:
            folder: the data folder.

        Raises:
            DatasetError: something is missing, cannot be read, or is not what was published.
        """
        return [array for part in self.parts for array in self._read_part(part, folder)]

    def _read_part(self, part: Part, folder: Path) -> Arrays:
        path = next((path for path in part.forms if (folder / path).is_file()), None)
        if path is None:
            forms = " or ".join(part.forms)
            raise DatasetError(f"{self.name}: cannot read {forms} in {folder} (none is there); {self.advice}")
        try:
            arrays = part.forms[path](folder / path)
        except _UNREADABLE as error:
            reason = getattr(error, "strerror", None) or "damaged, or of another format"
            raise DatasetError(
                f"{self.name}: cannot read {folder / path} ({reason}); {self.advice}"
            ) from None
        if checksum(arrays) != part.sum:
            raise DatasetError(
                f"{self.name}: {folder / path} does not hold what was published; {self.advice}"
            )
        return arrays


def checksum(arrays: Arrays) -> str:
    """SHA-256 of the type, shape and little-endian bytes (last axis fastest) of every array.

    The same data have the same sum, whichever file format they came in.
    """
    digest = hashlib.sha256()
    for array in arrays:
        plain = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
        digest.update(f"{plain.dtype.str}{plain.shape}".encode())
        digest.update(plain.data)
    return digest.hexdigest()


def data_folder(folder: str | Path | None) -> Path:
    """The folder a caller named, or the one in the environment.

    Raises:
        DatasetError: neither is there.
    """
    named = folder if folder is not None else os.environ.get(VARIABLE)
    if named is None:
        raise DatasetError(f"folder: name the folder of the data sets, or set {VARIABLE} to it")
    if not Path(named).is_dir():
        raise DatasetError(f"folder: expected a folder of data sets, found none at {named}")
    return Path(named)
