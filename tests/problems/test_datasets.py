"""Loaders of real data sets read every format on files written here."""

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
    idx_files,
    published,
    split_archive,
    split_folder,
    table_text,
    write,
)
from surrogate_problems.datasets import images, load_images, load_table, load_texts, tables, texts
from surrogate_problems.datasets.files import checksum


def test_a_checksum_is_of_the_data_and_not_of_their_storage():
    array = np.arange(6.0).reshape(2, 3)
    same = [array.astype(">f8"), np.asfortranarray(array), array[:, ::-1][:, ::-1]]
    assert {checksum([array])} == {checksum([other]) for other in same}
    other = [array.T, array.reshape(3, 2), array.astype(np.float32), array.astype(np.int64), array + 1e-15]
    assert len({checksum([array]), *(checksum([changed]) for changed in other)}) == 6
    assert checksum([array[:1], array[1:]]) != checksum([array])


@pytest.mark.parametrize("name", ["mnist", "fashion-mnist"])
@pytest.mark.parametrize("ending", ["", ".gz"])
def test_idx_files_are_read_packed_and_not(monkeypatch, tmp_path, name, ending):
    published(monkeypatch, images, name, [MINE[:, None]], [LABELS], [MINE[:1, None]], [LABELS[:1]])
    write(tmp_path, idx_files(name, ending, gzip.compress if ending else bytes))
    found = load_images(name, tmp_path)
    assert found.x_train.shape == (2, 1, 3, 4)
    np.testing.assert_array_equal(found.x_train[:, 0], MINE)
    np.testing.assert_array_equal(found.x_test[:, 0], MINE[:1])
    assert found.y_train.tolist() == [3, 9]
    assert found.y_train.dtype == np.int64
    assert found.num_classes == 10


def test_a_file_packed_otherwise_is_the_same_data(monkeypatch, tmp_path):
    published(monkeypatch, images, "mnist", [MINE[:, None]], [LABELS], [MINE[:1, None]], [LABELS[:1]])
    for level in (0, 9):
        write(tmp_path, idx_files("mnist", ".gz", lambda content, level=level: gzip.compress(content, level)))
        np.testing.assert_array_equal(load_images("mnist", tmp_path).x_train[:, 0], MINE)


@pytest.mark.parametrize(("pack", "train", "test"), CIFAR.values(), ids=CIFAR)
def test_cifar_is_read_in_both_formats_and_the_environment_names_the_folder(
    monkeypatch, tmp_path, pack, train, test
):
    published(monkeypatch, images, "cifar10", [PICTURES, LABELS], [PICTURES[:1], LABELS[:1]])
    write(tmp_path, {train: pack(PICTURES, LABELS), test: pack(PICTURES[:1], LABELS[:1])})
    monkeypatch.setenv("SURROGATE_OPT_DATA", str(tmp_path))
    found = load_images("cifar10")
    np.testing.assert_array_equal(found.x_train, PICTURES)
    np.testing.assert_array_equal(found.x_test, PICTURES[:1])
    assert (found.y_train.tolist(), found.y_test.tolist()) == ([3, 9], [3])
    assert found.num_classes == 10


TABLES = {
    "the repository's": ("yacht", 7, "data/data.txt", table_text(7, "\t")),
    "beside its name": ("yacht", 7, "data.txt", table_text(7, "   ")),
    "packed": ("yacht", 7, "data.txt.gz", gzip.compress(table_text(7))),
    "with a second target": ("energy", 9, "data.txt", table_text(10)),
    "UCI's yachts": ("yacht", 7, "yacht_hydrodynamics.data", table_text(7)),
    "UCI's houses": ("bostonHousing", 14, "housing.data", table_text(14)),
    "UCI's wine": ("wine-quality-red", 12, "winequality-red.csv", b'"a b";"c"\n' + table_text(12, ";")),
}


@pytest.mark.parametrize(("name", "width", "file", "content"), TABLES.values(), ids=TABLES)
@pytest.mark.parametrize("splits", [split_folder, split_archive])
def test_tables_and_splits_are_read_in_every_format(
    monkeypatch, tmp_path, name, width, file, content, splits
):
    published(monkeypatch, tables, name, [ROWS[:, :width]], SPLITS)
    write(tmp_path, {f"uci/{name}/{file}": content} | splits(name))
    found = load_table(name, tmp_path)
    np.testing.assert_array_equal(found.x, ROWS[:, : width - 1])
    np.testing.assert_array_equal(found.y, ROWS[:, width - 1])
    assert len(found.splits) == 11
    for split, (train, test) in enumerate(found.splits):
        assert (train.tolist(), test.tolist()) == ([split % 2] * 3, [split % 2])


def test_sentences_are_read_in_both_codings(monkeypatch, tmp_path):
    train = "HUM:ind Who was José ?\nLOC:city Où ?".encode()
    test = b"NUM:date When ?"
    published(monkeypatch, texts, "trec", *([np.frombuffer(text, np.uint8)] for text in (train, test)))
    mixed = "HUM:ind Who was José ?\n".encode("latin-1") + "LOC:city Où ? \r\n\n".encode()
    for names in (("train_5500.label", "TREC_10.label"), ("TREC.train", "TREC.test")):
        folder = tmp_path / names[0]
        write(folder / "text" / "trec", {names[0]: mixed, names[1]: test})
        found = load_texts("trec", folder)
        assert found.x_train == ("Who was José ?", "Où ?")
        assert found.y_train.tolist() == [3, 4]
        assert (found.x_test, found.y_test.tolist()) == (("When ?",), [5])


def test_labels_lead_the_sentences_of_sst2(monkeypatch, tmp_path):
    contents = [b"1 good one\n0 bad", b"0 awful"]
    published(monkeypatch, texts, "sst2", *([np.frombuffer(text, np.uint8)] for text in contents))
    write(tmp_path / "text/sst2", dict(zip(["stsa.binary.train", "stsa.binary.test"], contents, strict=True)))
    found = load_texts("sst2", tmp_path)
    assert (found.x_train, found.y_train.tolist()) == (("good one", "bad"), [1, 0])


@pytest.mark.parametrize("file", ["SMSSpamCollection", "sms.tsv"])
def test_sets_without_a_published_split_give_every_fifth_row_to_the_test(monkeypatch, tmp_path, file):
    rows = [f"{'spam' if k % 3 == 0 else 'ham'}\ttext {k}" for k in range(50)]
    content = "\n".join(rows).encode()
    published(monkeypatch, texts, "sms_spam", [np.frombuffer(content, np.uint8)])
    write(tmp_path, {f"text/sms_spam/{file}": content})
    found = load_texts("sms_spam", tmp_path)
    assert (len(found.x_train), len(found.x_test)) == (40, 10)
    assert not set(found.x_train) & set(found.x_test)
    for text, label in zip(found.x_train + found.x_test, [*found.y_train, *found.y_test], strict=True):
        assert label == (int(text.split()[1]) % 3 == 0)


@pytest.mark.parametrize(
    "files", [("quote.tok.gt9.5000", "plot.tok.gt9.5000"), ("subj.subjective", "subj.objective")]
)
def test_both_kinds_of_sentence_are_split_alike(monkeypatch, tmp_path, files):
    contents = ["\n".join(f"{kind} {k}" for k in range(50)).encode() for kind in "ab"]
    published(monkeypatch, texts, "subj", *([np.frombuffer(text, np.uint8)] for text in contents))
    write(tmp_path / "text/subj", dict(zip(files, contents, strict=True)))
    found = load_texts("subj", tmp_path)
    assert (found.y_train.sum(), found.y_test.sum()) == (40, 10)
    for text, label in zip(found.x_train + found.x_test, [*found.y_train, *found.y_test], strict=True):
        assert text.startswith("a") == label
