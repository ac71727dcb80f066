"""Data sets that are missing, damaged or others are refused in one line that says how to get them."""

import gzip

import numpy as np
import pytest
from dataset_files import (
    CIFAR,
    LABELS,
    MINE,
    PICTURES,
    ROWS,
    SPLITS,
    cifar_binary,
    cifar_npz,
    idx,
    idx_files,
    one_line,
    published,
    split_archive,
    split_folder,
    table_text,
    write,
)
from surrogate_problems.datasets import (
    DatasetError,
    images,
    load_images,
    load_table,
    load_texts,
    tables,
    texts,
)


def test_folders_and_names_that_are_not_there_are_named(monkeypatch, tmp_path):
    monkeypatch.delenv("SURROGATE_OPT_DATA", raising=False)
    with pytest.raises(DatasetError, match="name the folder of the data sets, or set SURROGATE_OPT_DATA"):
        load_images("mnist")
    with pytest.raises(DatasetError, match="expected a folder of data sets, found none at"):
        load_images("mnist", tmp_path / "none")
    with pytest.raises(
        DatasetError, match="name: expected one of mnist, fashion-mnist, cifar10; came 'svhn'"
    ):
        load_images("svhn", tmp_path)


@pytest.mark.parametrize(
    ("load", "module"), [(load_images, images), (load_table, tables), (load_texts, texts)]
)
def test_what_is_missing_is_named_with_its_formats_and_its_home(tmp_path, load, module):
    for name, source in module.SOURCES.items():
        message = one_line(load, name, tmp_path)
        formats = " or ".join(source.parts[0].forms)
        assert message.startswith(f"{name}: cannot read {formats} in {tmp_path} (none is there); get ")
        assert " from " in message
        assert "https://" in message


def test_a_table_that_users_have_to_make_is_described(tmp_path):
    message = one_line(load_table, "concrete", tmp_path)
    assert "uci/concrete/data/data.txt or uci/concrete/data.txt or" in message
    assert message.endswith("1030 lines, each of 8 features and then the target, with blanks between them")


DAMAGED = {
    "an idx file of other pixels": (
        load_images,
        "mnist",
        idx_files("mnist", ".gz", gzip.compress),
        "mnist/train-images-idx3-ubyte.gz",
        "does not hold what was published",
    ),
    "an idx file cut short": (
        load_images,
        "mnist",
        {"mnist/train-images-idx3-ubyte": idx(MINE)[:-1]},
        "mnist/train-images-idx3-ubyte",
        "cannot read",
    ),
    "an empty idx file": (
        load_images,
        "mnist",
        {"mnist/train-images-idx3-ubyte": b""},
        "mnist/train-images-idx3-ubyte",
        "cannot read",
    ),
    "a page in place of an archive": (
        load_images,
        "fashion-mnist",
        {"fashion-mnist/train-images-idx3-ubyte.gz": b"<html>not found</html>"},
        "fashion-mnist/train-images-idx3-ubyte.gz",
        "cannot read",
    ),
    "an archive cut short": (
        load_images,
        "mnist",
        idx_files("mnist", ".gz", lambda content: gzip.compress(content)[:-9]),
        "mnist/train-images-idx3-ubyte.gz",
        "cannot read",
    ),
    "records of other pixels": (
        load_images,
        "cifar10",
        {CIFAR["binary"][1]: cifar_binary(PICTURES, LABELS)},
        CIFAR["binary"][1],
        "does not hold what was published",
    ),
    "records cut short": (
        load_images,
        "cifar10",
        {CIFAR["binary"][1]: cifar_binary(PICTURES, LABELS)[:-1]},
        CIFAR["binary"][1],
        "cannot read",
    ),
    "an npz file of other pixels": (
        load_images,
        "cifar10",
        {CIFAR["npz"][1]: cifar_npz(PICTURES, LABELS)},
        CIFAR["npz"][1],
        "does not hold what was published",
    ),
    "an npz file that is none": (
        load_images,
        "cifar10",
        {CIFAR["npz"][1]: b"\x80\x04K\x01."},
        CIFAR["npz"][1],
        "cannot read",
    ),
    "an npz file of objects": (
        load_images,
        "cifar10",
        {CIFAR["npz"][1]: cifar_npz(np.array([{}]), LABELS)},
        CIFAR["npz"][1],
        "cannot read",
    ),
    "a table of other numbers": (
        load_table,
        "yacht",
        {"uci/yacht/data.txt": table_text(7)},
        "uci/yacht/data.txt",
        "does not hold what was published",
    ),
    "a table with too few columns": (
        load_table,
        "kin8nm",
        {"uci/kin8nm/data.txt": table_text(7)},
        "uci/kin8nm/data.txt",
        "cannot read",
    ),
    "a table of words": (
        load_table,
        "yacht",
        {"uci/yacht/data/data.txt": b"a b c d e f g\n"},
        "uci/yacht/data/data.txt",
        "cannot read",
    ),
    "other sentences": (
        load_texts,
        "sst2",
        {"text/sst2/stsa.binary.train": b"1 mine"},
        "text/sst2/stsa.binary.train",
        "does not hold what was published",
    ),
}


@pytest.mark.parametrize(("load", "name", "contents", "path", "verdict"), DAMAGED.values(), ids=DAMAGED)
def test_what_is_damaged_is_named_with_its_home(tmp_path, load, name, contents, path, verdict):
    write(tmp_path, contents)
    message = one_line(load, name, tmp_path)
    assert message.startswith(f"{name}: ")
    assert f"{tmp_path / path}" in message
    assert verdict in message
    assert "; get " in message
    assert "https://" in message


@pytest.mark.parametrize(
    ("file", "change", "verdict"),
    [
        ("index_test_3.txt", b"0.0", "does not hold what was published"),
        ("index_train_5.txt", b"zero", "cannot read"),
        ("index_train_5.txt", None, "cannot read"),
    ],
)
def test_other_splits_are_refused(monkeypatch, tmp_path, file, change, verdict):
    published(monkeypatch, tables, "yacht", [ROWS[:, :7]], SPLITS)
    splits = split_folder("yacht")
    changed = splits | {f"uci/yacht/data/{file}": change}
    kept = {path: content for path, content in changed.items() if content is not None}
    write(tmp_path, {"uci/yacht/data/data.txt": table_text(7)} | kept)
    message = one_line(load_table, "yacht", tmp_path)
    assert verdict in message
    assert f"{tmp_path}/uci/yacht/data/index_test_0.txt" in message


def test_a_damaged_archive_of_splits_is_refused(monkeypatch, tmp_path):
    published(monkeypatch, tables, "yacht", [ROWS[:, :7]], SPLITS)
    (path, content), *_ = split_archive("yacht").items()
    write(tmp_path, {"uci/yacht/data.txt": table_text(7), path: content[: len(content) // 2]})
    assert f"cannot read {tmp_path / path} (damaged, or of another format)" in one_line(
        load_table, "yacht", tmp_path
    )


def test_who_follows_the_advice_need_not_remove_what_is_damaged(monkeypatch, tmp_path):
    published(monkeypatch, images, "cifar10", [PICTURES, LABELS], [PICTURES[:1], LABELS[:1]])
    published(monkeypatch, tables, "yacht", [ROWS[:, :7]], SPLITS)
    archive = dict.fromkeys(split_archive("yacht"), b"")
    write(tmp_path, dict.fromkeys(CIFAR["npz"][1:], b"") | {"uci/yacht/data.txt.gz": b""} | archive)
    _, train, test = CIFAR["binary"]
    write(tmp_path, {train: cifar_binary(PICTURES, LABELS), test: cifar_binary(PICTURES[:1], LABELS[:1])})
    write(tmp_path, {"uci/yacht/data/data.txt": table_text(7)} | split_folder("yacht"))
    np.testing.assert_array_equal(load_images("cifar10", tmp_path).x_train, PICTURES)
    np.testing.assert_array_equal(load_table("yacht", tmp_path).y, ROWS[:, 6])
