"""Made-up data sets in the formats that the loaders of real ones read."""

import io
import struct
import tarfile
from dataclasses import replace

import numpy as np
import pytest
from surrogate_problems.datasets import DatasetError
from surrogate_problems.datasets.files import checksum

MINE = np.arange(2 * 3 * 4, dtype=np.uint8).reshape(2, 3, 4)
LABELS = np.array([3, 9], dtype=np.uint8)
PICTURES = np.arange(2 * 3 * 32 * 32).astype(np.uint8).reshape(2, 3, 32, 32)
ROWS = np.array([[-2.5, 3e-7, 4.25, 1e6] * 4, [0.1, 2.0, 1 / 3, 7.0] * 4])
SPLITS = [np.array([k % 2] * count) for k in range(11) for count in (3, 1)]


def published(monkeypatch, module, name, *parts):
    """Declare some arrays, one list a part, to be what was published."""
    source = module.SOURCES[name]
    declared = [replace(part, sum=checksum(arrays)) for part, arrays in zip(source.parts, parts, strict=True)]
    monkeypatch.setitem(module.SOURCES, name, replace(source, parts=tuple(declared)))


def write(folder, contents):
    """Write files by path, and nothing else."""
    for path, content in contents.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)


def one_line(load, name, folder):
    """The message of an error that must be one line."""
    with pytest.raises(DatasetError) as caught:
        load(name, folder)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def idx(array):
    return bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


def idx_files(name, ending="", pack=lambda content: content):
    contents = {
        "train-images-idx3": MINE,
        "train-labels-idx1": LABELS,
        "t10k-images-idx3": MINE[:1],
        "t10k-labels-idx1": LABELS[:1],
    }
    return {f"{name}/{file}-ubyte{ending}": pack(idx(array)) for file, array in contents.items()}


def cifar_binary(x, y):
    return b"".join(bytes([label]) + image.tobytes() for image, label in zip(x, y, strict=True))


def cifar_npz(x, y):
    stream = io.BytesIO()
    np.savez_compressed(stream, x=x, y=y)
    return stream.getvalue()


CIFAR = {
    "binary": (
        cifar_binary,
        "cifar10/cifar-10-batches-bin/data_batch_1.bin",
        "cifar10/cifar-10-batches-bin/test_batch.bin",
    ),
    "npz": (cifar_npz, "cifar10/cifar10_train_batch1.npz", "cifar10/cifar10_test.npz"),
}


def table_text(num_columns, delimiter=" "):
    lines = [delimiter.join(repr(value) for value in row) for row in ROWS[:, :num_columns].tolist()]
    return ("\n".join(lines) + "\n").encode()


def split_files():
    stems = [f"index_{part}_{split}.txt" for split in range(11) for part in ("train", "test")]
    return {
        stem: "\n".join(f"{row:.1f}" for row in rows).encode()
        for stem, rows in zip(stems, SPLITS, strict=True)
    }


def split_folder(name):
    return {f"uci/{name}/data/{file}": content for file, content in split_files().items()}


def split_archive(name):
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as archive:
        for table in (name, "other"):
            for file, content in split_files().items():
                member = tarfile.TarInfo(f"UCI_Datasets/{table}/data/{file}")
                member.size = len(content) if table == name else 0
                archive.addfile(member, io.BytesIO(content))
    return {"uci/gal_splits_20fold.tar.gz": stream.getvalue()}
