"""Labelled images: MNIST, Fashion-MNIST, CIFAR-10."""

from __future__ import annotations

import gzip
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from jaxtyping import Int, UInt8

from surrogate_problems.datasets.files import Arrays, DatasetError, Part, Source, data_folder

_IDX_FILES = ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1")
_CIFAR_SHAPE = (3, 32, 32)


def _read_idx(path: Path) -> Arrays:
    """An IDX file of bytes: 0, 0, 8, the number of axes, their lengths as big-endian 32-bit numbers, data."""
    packed = path.read_bytes()
    raw = gzip.decompress(packed) if path.suffix == ".gz" else packed
    num_axes = raw[3]
    shape = np.frombuffer(raw, ">u4", num_axes, 4).astype(int)
    data = np.frombuffer(raw, np.uint8, offset=4 + 4 * num_axes).reshape(shape).copy()
    return [data[:, None] if num_axes == 3 else data]


def _read_cifar_binary(path: Path) -> Arrays:
    """Records of a label and an image's red, green and blue bytes, row by row."""
    records = np.frombuffer(path.read_bytes(), np.uint8).reshape(-1, 1 + math.prod(_CIFAR_SHAPE))
    return records[:, 1:].reshape(-1, *_CIFAR_SHAPE), records[:, 0]


def _read_npz(path: Path) -> Arrays:
    with np.load(path, allow_pickle=False) as arrays:
        return arrays["x"], arrays["y"]


def _idx_source(name: str, sums: tuple[str, str, str, str], home: str) -> Source:
    names = [f"{name}/{file}-ubyte" for file in _IDX_FILES]
    return Source(
        name=name,
        parts=tuple(
            Part(sum=value, forms={f"{path}.gz": _read_idx, path: _read_idx})
            for path, value in zip(names, sums, strict=True)
        ),
        advice=f"get the four idx files from {home}",
    )


SOURCES: Final = {
    source.name: source
    for source in (
        _idx_source(
            "mnist",
            (
                "b54ccc41cbf15a6935ce4afe2353d2b96e822f604c229b7981356bc0fe4864b7",
                "e6a049a9876d2010dddfc2322bb8cad03f5934de9a0b5012c7251eca5b5a7201",
                "c1e336d807fdbb055f2b8cdb0943491b44a0d25b838ad0851128cdda2c6164c0",
                "6a90c4ebf8538b9b76438e5dddb0f5afc42d636e8e259d894485f9314cdad47d",
            ),
            "https://ossci-datasets.s3.amazonaws.com/mnist (LeCun, Cortes & Burges)",
        ),
        _idx_source(
            "fashion-mnist",
            (
                "23107827087bc5e7103459d77e76c949e359a37bfa939251872f47d6db091fd8",
                "a0853126d597b674e01d0418b8d599287242510379fbe4b99c6826e12e3d2278",
                "3e6c70d3ce80310e581f2acdb60800b8f1e7922edc0f659150d05cf69ff2a394",
                "416413b9db64db5c5f0cf8d447e0c628562b09dc65b57940a084a17aa3b07443",
            ),
            "data/fashion of https://github.com/zalandoresearch/fashion-mnist (Xiao, Rasul & Vollgraf 2017)",
        ),
        Source(
            name="cifar10",
            parts=(
                Part(
                    sum="bff606230c397de4f426b21cd964f1852391b5ff483f80a6cc23dc31aafe762e",
                    forms={
                        "cifar10/cifar-10-batches-bin/data_batch_1.bin": _read_cifar_binary,
                        "cifar10/cifar10_train_batch1.npz": _read_npz,
                    },
                ),
                Part(
                    sum="18df6b15dc80804882d9405363f2a45fca2c086201554937e7d72896fb908185",
                    forms={
                        "cifar10/cifar-10-batches-bin/test_batch.bin": _read_cifar_binary,
                        "cifar10/cifar10_test.npz": _read_npz,
                    },
                ),
            ),
            advice="get the binary version, cifar-10-binary.tar.gz, from "
            "https://www.cs.toronto.edu/~kriz/cifar.html (Krizhevsky 2009) and unpack it in cifar10",
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
    """Read a set of images, checked against the checksums of what was published.

    Below ``folder`` lie the four IDX files, packed or not, in ``mnist`` or ``fashion-mnist``; of CIFAR-10 the
    unpacked binary version, ``cifar10/cifar-10-batches-bin``, or the first training batch and the test batch
    as ``cifar10/cifar10_train_batch1.npz`` and ``cifar10/cifar10_test.npz``, each with ``x`` (bytes, n x 3 x
    32 x 32) and ``y`` (bytes).

    Args:
        name: ``mnist``, ``fashion-mnist`` or ``cifar10``.
        folder: that holds a folder of this name; None for the one in ``SURROGATE_OPT_DATA``.

    Raises:
        DatasetError: an unknown name, or files that are missing or damaged.
    """
    if name not in SOURCES:
        raise DatasetError(f"name: expected one of {', '.join(SOURCES)}; came {name!r}")
    x_train, y_train, x_test, y_test = SOURCES[name].read(data_folder(folder))
    return Images(
        name=name,
        x_train=x_train,
        y_train=y_train.astype(np.int64),
        x_test=x_test,
        y_test=y_test.astype(np.int64),
    )
