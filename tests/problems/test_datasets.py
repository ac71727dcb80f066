"""Real data sets: formats on files written here, checksums and advice; the published sets where they are."""

import gzip
import hashlib
import io
import os
import struct
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from surrogate_problems.datasets import DatasetError, images, load_images, load_table, load_texts, texts

MINE = np.arange(2 * 3 * 4, dtype=np.uint8).reshape(2, 3, 4)


def published(monkeypatch, module, name, folder, contents):
    """Declare some contents to be what was published, and write them."""
    source = module.SOURCES[name]
    paths = list(source.sums)
    sums = {path: hashlib.sha256(content).hexdigest() for path, content in zip(paths, contents, strict=True)}
    monkeypatch.setitem(module.SOURCES, name, replace(source, sums=sums))
    for path, content in zip(paths, contents, strict=True):
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)
    return paths


def idx(array):
    header = bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
    return gzip.compress(header + array.tobytes())


def test_idx_files_are_read(monkeypatch, tmp_path):
    labels = np.array([3, 9], dtype=np.uint8)
    published(
        monkeypatch, images, "mnist", tmp_path, [idx(MINE), idx(labels), idx(MINE[:1]), idx(labels[:1])]
    )
    found = load_images("mnist", tmp_path)
    assert found.x_train.shape == (2, 1, 3, 4)
    np.testing.assert_array_equal(found.x_train[:, 0], MINE)
    np.testing.assert_array_equal(found.x_test[:, 0], MINE[:1])
    assert found.y_train.tolist() == [3, 9]
    assert found.y_train.dtype == np.int64
    assert found.num_classes == 10


def test_npz_files_are_read_and_the_environment_names_the_folder(monkeypatch, tmp_path):
    stream = io.BytesIO()
    np.savez(stream, x=MINE[:, None], y=np.array([0, 1]))
    published(monkeypatch, images, "cifar10", tmp_path, [stream.getvalue()] * 2)
    monkeypatch.setenv("SURROGATE_OPT_DATA", str(tmp_path))
    found = load_images("cifar10")
    np.testing.assert_array_equal(found.x_test, MINE[:, None])
    assert found.num_classes == 2


def test_sentences_are_read_in_both_codings(monkeypatch, tmp_path):
    train = "HUM:ind Who was José ?\n".encode("latin-1") + "LOC:city Où ?\n".encode() + b"\n"
    published(monkeypatch, texts, "trec", tmp_path, [train, b"NUM:date When ?\n"])
    found = load_texts("trec", tmp_path)
    assert found.x_train == ("Who was José ?", "Où ?")
    assert found.y_train.tolist() == [3, 4]
    assert (found.x_test, found.y_test.tolist()) == (("When ?",), [5])
    published(monkeypatch, texts, "sst2", tmp_path, [b"1 good one\n0 bad\n", b"0 awful\n"])
    assert load_texts("sst2", tmp_path).x_train == ("good one", "bad")


def test_sets_without_a_published_split_give_every_fifth_row_to_the_test(monkeypatch, tmp_path):
    rows = [f"{'spam' if k % 3 == 0 else 'ham'}\ttext {k}" for k in range(50)]
    published(monkeypatch, texts, "sms_spam", tmp_path, ["\n".join(rows).encode()])
    found = load_texts("sms_spam", tmp_path)
    assert (len(found.x_train), len(found.x_test)) == (40, 10)
    assert not set(found.x_train) & set(found.x_test)
    for text, label in zip(found.x_train + found.x_test, [*found.y_train, *found.y_test], strict=True):
        assert label == (int(text.split()[1]) % 3 == 0)
    one = "\n".join(f"a {k}" for k in range(50)).encode()
    published(monkeypatch, texts, "subj", tmp_path, [one, one.replace(b"a", b"b")])
    found = load_texts("subj", tmp_path)
    assert found.y_train.sum() == 40  # both kinds alike
    assert found.y_test.sum() == 10


def test_what_is_missing_or_damaged_is_named_with_its_home(monkeypatch, tmp_path):
    monkeypatch.delenv("SURROGATE_OPT_DATA", raising=False)
    with pytest.raises(DatasetError, match="name the folder of the data sets, or set SURROGATE_OPT_DATA"):
        load_images("mnist")
    with pytest.raises(DatasetError, match="expected a folder of data sets, found none at"):
        load_images("mnist", tmp_path / "none")
    with pytest.raises(DatasetError, match=r"mnist: cannot read .*No such file.* get .* from https://yann"):
        load_images("mnist", tmp_path)
    with pytest.raises(
        DatasetError, match="name: expected one of mnist, fashion-mnist, cifar10; came 'svhn'"
    ):
        load_images("svhn", tmp_path)
    (tmp_path / "text" / "sst2").mkdir(parents=True)
    (tmp_path / "text" / "sst2" / "stsa.binary.train").write_text("1 mine")
    with pytest.raises(DatasetError, match=r"sst2: .*stsa.binary.train is not the published file"):
        load_texts("sst2", tmp_path)


@pytest.fixture(scope="module")
def real() -> Path:
    folder = Path(os.environ.get("SURROGATE_OPT_DATA", Path(__file__).parents[3] / "shared" / "data"))
    if not (folder / "mnist").is_dir():
        pytest.skip("no real data sets: set SURROGATE_OPT_DATA to a folder that holds mnist, text, uci, ...")
    return folder


@pytest.mark.parametrize(
    ("name", "train", "test", "channels", "classes"),
    [
        ("mnist", 60000, 10000, 1, 10),
        ("fashion-mnist", 60000, 10000, 1, 10),
        ("cifar10", 10000, 10000, 3, 10),
    ],
)
def test_published_images(real, name, train, test, channels, classes):
    found = load_images(name, real)
    assert (len(found.x_train), len(found.y_train)) == (train, train)
    assert (len(found.x_test), len(found.y_test)) == (test, test)
    assert found.x_train.shape[1] == channels
    assert found.num_classes == classes
    assert found.x_train.dtype == np.uint8


@pytest.mark.parametrize(
    ("name", "train", "test", "classes"),
    [("sst2", 6920, 1821, 2), ("trec", 5452, 500, 6), ("sms_spam", 4460, 1114, 2), ("subj", 8000, 2000, 2)],
)
def test_published_texts(real, name, train, test, classes):
    found = load_texts(name, real)
    assert (len(found.x_train), len(found.x_test)) == (train, test)
    assert (len(found.y_train), found.num_classes) == (train, classes)
    assert all(found.x_train)


@pytest.mark.parametrize(
    ("name", "rows", "d"), [("concrete", 1030, 8), ("protein-tertiary-structure", 45730, 9)]
)
def test_published_tables(real, name, rows, d):
    found = load_table(name, real)
    assert found.x.shape == (rows, d)
    assert found.y.shape == (rows,)
    for train, test in found.splits:
        np.testing.assert_array_equal(np.sort(np.concatenate([train, test])), np.arange(rows))
