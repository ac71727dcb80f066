"""Labelled images: MNIST, Fashion-MNIST, CIFAR-10."""

from __future__ import annotations

import gzip
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from jaxtyping import Int, UInt8

from surrogate_problems.datasets.files import DatasetError, Source, data_folder

_IDX_FILES = ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1")
_CIFAR_TRAIN, _CIFAR_TEST = "cifar10/cifar10_train_batch1.npz", "cifar10/cifar10_test.npz"


def _idx_source(name: str, sums: tuple[str, str, str, str], published: str) -> Source:
    paths = [f"{name}/{file}-ubyte.gz" for file in _IDX_FILES]
    return Source(name=name, sums=dict(zip(paths, sums, strict=True)), published=published)


SOURCES: Final = {
    source.name: source
    for source in (
        _idx_source(
            "mnist",
            (
                "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
                "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
                "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
                "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
            ),
            "https://yann.lecun.com/exdb/mnist (LeCun, Cortes & Burges)",
        ),
        _idx_source(
            "fashion-mnist",
            (
                "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
                "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
                "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
                "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
            ),
            "https://github.com/zalandoresearch/fashion-mnist (Xiao, Rasul & Vollgraf 2017)",
        ),
        Source(
            name="cifar10",
            sums={
                _CIFAR_TRAIN: "55ca1553db856cc77a6fcbcc14f4d3d9729b84c25966c74ac3cd2aabdd4291a5",
                _CIFAR_TEST: "6f8cae1a60ed04b08b990c0d6671fe6abf582ab0bcb3f1ed7042a057b7254a62",
            },
            published="https://www.cs.toronto.edu/~kriz/cifar.html (Krizhevsky 2009), as x (uint8, "
            "n x 3 x 32 x 32) and y of an npz file",
        ),
    )
}


@dataclass(frozen=True, kw_only=True, eq=False)
class Images:
    """Images with one label each; ``(n, channels, height, width)``, 0 to 255.

    Attributes:
        name: of the set.
        x_train: training images. Of CIFAR-10 the first of five batches.
        y_train: their labels, from 0.
        x_test: test images.
        y_test: their labels.
    """

    name: str
    x_train: UInt8[np.ndarray, "n c h w"]
    y_train: Int[np.ndarray, " n"]
    x_test: UInt8[np.ndarray, "k c h w"]
    y_test: Int[np.ndarray, " k"]

    @property
    def num_classes(self) -> int:
        """How many labels there are."""
        return int(self.y_train.max()) + 1


def load_images(name: str, folder: str | Path | None = None) -> Images:
    """Read a set of images, checked against its published checksums.

    Args:
        name: ``mnist``, ``fashion-mnist`` or ``cifar10``.
        folder: that holds a folder of this name; None for the one in ``SURROGATE_OPT_DATA``.

    Raises:
        DatasetError: an unknown name, or files that are missing or damaged.
    """
    if name not in SOURCES:
        raise DatasetError(f"name: expected one of {', '.join(SOURCES)}; came {name!r}")
    source, place = SOURCES[name], data_folder(folder)
    if name == "cifar10":
        (x_train, y_train), (x_test, y_test) = (
            _read_npz(source.read(path, place)) for path in (_CIFAR_TRAIN, _CIFAR_TEST)
        )
    else:
        x_train, y_train, x_test, y_test = (_read_idx(source.read(path, place)) for path in source.sums)
        x_train, x_test = x_train[:, None], x_test[:, None]
    return Images(
        name=name,
        x_train=x_train,
        y_train=y_train.astype(np.int64),
        x_test=x_test,
        y_test=y_test.astype(np.int64),
    )


def _read_idx(packed: bytes) -> np.ndarray:
    """An IDX file of bytes: 0, 0, 8, the number of axes, their lengths as big-endian 32-bit numbers, data."""
    raw = gzip.decompress(packed)
    num_axes = raw[3]
    shape = np.frombuffer(raw, ">u4", num_axes, 4).astype(int)
    return np.frombuffer(raw, np.uint8, offset=4 + 4 * num_axes).reshape(shape).copy()


def _read_npz(packed: bytes) -> tuple[np.ndarray, np.ndarray]:
    with np.load(io.BytesIO(packed), allow_pickle=False) as arrays:
        return arrays["x"], arrays["y"]
