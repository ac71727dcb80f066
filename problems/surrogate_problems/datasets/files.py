"""Files of published data sets: where they lie, and whether they are what was published."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from surrogate_problems.problem import ProblemError

VARIABLE: Final = "SURROGATE_OPT_DATA"


class DatasetError(ProblemError):
    """A data set that is missing, or is not what was published: one line that says what to do."""


@dataclass(frozen=True, kw_only=True)
class Source:
    """A published set as files of a folder.

    Attributes:
        name: what users type.
        sums: SHA-256 by path, below the data folder.
        published: where the files come from.
    """

    name: str
    sums: dict[str, str]
    published: str

    def read(self, path: str, folder: Path) -> bytes:
        """One file's bytes.

        Args:
            path: one of ``sums``.
            folder: the data folder.

        Raises:
            DatasetError: the file is missing, or its checksum is another.
        """
        try:
            content = (folder / path).read_bytes()
        except OSError as error:
            files = ", ".join(self.sums)
            raise DatasetError(
                f"{self.name}: cannot read {folder / path} ({error.strerror}); get {files} from "
                f"{self.published}"
            ) from None
        if hashlib.sha256(content).hexdigest() != self.sums[path]:
            raise DatasetError(
                f"{self.name}: {folder / path} is not the published file (its SHA-256 is another); get it "
                f"anew from {self.published}"
            )
        return content


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
