"""The published data sets where they are, also as the official files that hold the same data."""

import gzip
import hashlib
import tempfile
from pathlib import Path

import numpy as np
import pytest
from dataset_files import CIFAR, cifar_binary, write
from surrogate_problems.datasets import load_images, load_table, load_texts


@pytest.mark.parametrize(
    ("name", "train", "test", "channels", "classes"),
    [
        ("mnist", 60000, 10000, 1, 10),
        ("fashion-mnist", 60000, 10000, 1, 10),
        ("cifar10", 10000, 10000, 3, 10),
    ],
)
def test_published_images(real_data, name, train, test, channels, classes):
    found = load_images(name, real_data(name))
    assert (len(found.x_train), len(found.y_train)) == (train, train)
    assert (len(found.x_test), len(found.y_test)) == (test, test)
    assert found.x_train.shape[1] == channels
    assert found.num_classes == classes
    assert found.x_train.dtype == np.uint8


@pytest.mark.parametrize(
    ("name", "train", "test", "classes"),
    [("sst2", 6920, 1821, 2), ("trec", 5452, 500, 6), ("sms_spam", 4460, 1114, 2), ("subj", 8000, 2000, 2)],
)
def test_published_texts(real_data, name, train, test, classes):
    found = load_texts(name, real_data(f"text/{name}"))
    assert (len(found.x_train), len(found.x_test)) == (train, test)
    assert (len(found.y_train), found.num_classes) == (train, classes)
    assert all(found.x_train)


@pytest.mark.parametrize(
    ("name", "rows", "d"),
    [
        ("bostonHousing", 506, 13),
        ("concrete", 1030, 8),
        ("energy", 768, 8),
        ("kin8nm", 8192, 8),
        ("naval-propulsion-plant", 11934, 16),
        ("power-plant", 9568, 4),
        ("protein-tertiary-structure", 45730, 9),
        ("wine-quality-red", 1599, 11),
        ("yacht", 308, 6),
    ],
)
def test_published_tables(real_data, name, rows, d):
    found = load_table(name, real_data("uci"))
    assert found.x.shape == (rows, d)
    assert found.y.shape == (rows,)
    for train, test in found.splits:
        np.testing.assert_array_equal(np.sort(np.concatenate([train, test])), np.arange(rows))


# SHA-256 of the official files, from those who got them; what we have is the same data in other files
UPSTREAM = {
    "cifar10/cifar-10-batches-bin/data_batch_1.bin": (
        "cee916563c9f80d84e3cc88e17fdc0941787f1244f00a67874d45b261883ada5"
    ),
    "cifar10/cifar-10-batches-bin/test_batch.bin": (
        "8e2eb146ae340b09e24670f29cabc6326dba54da8789dab6768acf480273f65b"
    ),
    "uci/yacht/yacht_hydrodynamics.data": "00dfecc0fc01ddd4c90b558a3ac11b246df8ebcfea130724223475a9a67f0ea1",
    "uci/bostonHousing/housing.data": "baadf72995725d76efe787b664e1f083388c79ba21ef9a7990d87f774184735a",
    "uci/naval-propulsion-plant/data.txt": (
        "de0ea69da1efaab8b9655ffed828547d10dd68c1fb8c6e0163e6a988def393a6"
    ),
    "uci/wine-quality-red/winequality-red.csv": (
        "4a402cf041b025d4566d954c3b9ba8635a3a8a01e039005d97d6a710278cf05e"
    ),
}
WINE_HEADER = (
    '"fixed acidity";"volatile acidity";"citric acid";"residual sugar";"chlorides";"free sulfur dioxide";'
    '"total sulfur dioxide";"density";"pH";"sulphates";"alcohol";"quality"\n'
)


def write_upstream(folder, contents):
    for path, content in contents.items():
        assert hashlib.sha256(content).hexdigest() == UPSTREAM[path]
    write(folder, contents)


def test_the_official_binary_version_of_cifar_passes(real_data):
    mine = load_images("cifar10", real_data("cifar10"))
    _, train_path, test_path = CIFAR["binary"]
    train = cifar_binary(mine.x_train, mine.y_train)
    test = cifar_binary(mine.x_test, mine.y_test)
    with tempfile.TemporaryDirectory() as folder:  # 61 MB, which pytest would keep
        write_upstream(Path(folder), {train_path: train, test_path: test})
        official = load_images("cifar10", folder)
    for field in ("x_train", "y_train", "x_test", "y_test"):
        np.testing.assert_array_equal(getattr(official, field), getattr(mine, field))


def wine_as_published(text):
    """With semicolons, a header, and one number that was written with a zero."""
    return (WINE_HEADER + text.replace(" ", ";").replace("2.74;2;9.4", "2.74;2.0;9.4")).encode()


@pytest.mark.parametrize(
    ("name", "file", "original"),
    [
        ("yacht", "yacht_hydrodynamics.data", str.encode),
        ("bostonHousing", "housing.data", str.encode),
        ("naval-propulsion-plant", "data.txt", str.encode),
        ("wine-quality-red", "winequality-red.csv", wine_as_published),
    ],
)
def test_ucis_own_files_pass(real_data, tmp_path, name, file, original):
    table, splits = f"uci/{name}/data.txt.gz", "uci/gal_splits_20fold.tar.gz"
    packed, split_archive = ((real_data(path) / path).read_bytes() for path in (table, splits))
    text = gzip.decompress(packed).decode()
    write_upstream(tmp_path, {f"uci/{name}/{file}": original(text)})
    write(tmp_path, {splits: split_archive})
    official, mine = load_table(name, tmp_path), load_table(name, real_data(table))
    np.testing.assert_array_equal(official.x, mine.x)
    np.testing.assert_array_equal(official.y, mine.y)
