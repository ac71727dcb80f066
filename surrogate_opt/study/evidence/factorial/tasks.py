"""Eight classification tasks as rows of numbers: images, sentences, one table."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np
from jaxtyping import Float, Int
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer
from surrogate_problems.datasets import load_images, load_table, load_texts

_NUM_COMPONENTS: Final = 100
_MAX_WORDS: Final = 20_000


@dataclass(frozen=True, kw_only=True, eq=False)
class Task:
    """Labelled rows.

    Attributes:
        x: to train on, float32.
        y: labels from 0.
        x_test: to measure on.
        y_test: theirs.
    """

    x: Float[np.ndarray, "n d"]
    y: Int[np.ndarray, " n"]
    x_test: Float[np.ndarray, "k d"]
    y_test: Int[np.ndarray, " k"]

    @property
    def num_classes(self) -> int:
        """How many labels there are."""
        return int(self.y.max()) + 1


def load_task(name: str, folder: Path, *, max_rows: int, seed: int) -> Task:
    """A task with at most so many training rows, chosen by the seed, inputs scaled by them.

    Args:
        name: one of ``TASKS``.
        folder: of the data sets.
        max_rows: of training, at most.
        seed: of the choice and of the truncated SVD.
    """
    return _LOADERS[name](folder, max_rows, seed)


def _chosen(count: int, max_rows: int, seed: int) -> Int[np.ndarray, " n"]:
    return np.random.default_rng(seed).permutation(count)[:max_rows]


def _images(folder: Path, max_rows: int, seed: int, *, name: str) -> Task:
    """Pixels, each channel to zero mean and unit deviation."""
    images = load_images(name, folder)
    rows = _chosen(len(images.y_train), max_rows, seed)
    train, test = (part.astype(np.float32) for part in (images.x_train[rows], images.x_test))
    mean, std = (figure(train, axis=(0, 2, 3), keepdims=True) for figure in (np.mean, np.std))
    x, x_test = (((part - mean) / std).reshape(len(part), -1) for part in (train, test))
    return Task(
        x=x, y=images.y_train[rows].astype(np.int64), x_test=x_test, y_test=images.y_test.astype(np.int64)
    )


def _texts(folder: Path, max_rows: int, seed: int, *, name: str) -> Task:
    """TF-IDF of the words, truncated to its first singular directions, in one common scale."""
    texts = load_texts(name, folder)
    rows = _chosen(len(texts.y_train), max_rows, seed)
    words = TfidfVectorizer(max_features=_MAX_WORDS, sublinear_tf=True)
    counted = words.fit_transform([texts.x_train[row] for row in rows])
    reduction = TruncatedSVD(min(_NUM_COMPONENTS, counted.shape[1] - 1), random_state=seed)
    x = reduction.fit_transform(counted)
    x_test = reduction.transform(words.transform(texts.x_test))
    mean = x.mean(0)
    scale = (x - mean).std()
    x, x_test = (((part - mean) / scale).astype(np.float32) for part in (x, x_test))
    return Task(x=x, y=texts.y_train[rows], x_test=x_test, y_test=texts.y_test)


def _table(folder: Path, max_rows: int, seed: int, *, name: str) -> Task:
    """Whether the target exceeds its median; columns to zero mean and unit deviation."""
    table = load_table(name, folder)
    train, test = table.splits[0]
    rows = train[_chosen(len(train), max_rows, seed)]
    mean, std = table.x[rows].mean(0), table.x[rows].std(0)
    median = np.median(table.y[rows])
    x, x_test = (((table.x[part] - mean) / std).astype(np.float32) for part in (rows, test))
    y, y_test = ((table.y[part] > median).astype(np.int64) for part in (rows, test))
    return Task(x=x, y=y, x_test=x_test, y_test=y_test)


_LOADERS: Final[dict[str, Callable[[Path, int, int], Task]]] = {
    **{name: partial(_images, name=name) for name in ("mnist", "fashion-mnist", "cifar10")},
    **{name: partial(_texts, name=name) for name in ("sst2", "trec", "sms_spam", "subj")},
    "protein": partial(_table, name="protein-tertiary-structure"),
}

TASKS: Final = tuple(_LOADERS)
"""Names, images first."""

KINDS: Final = dict.fromkeys(TASKS[:3], "vision") | dict.fromkeys(TASKS[3:7], "text") | {TASKS[7]: "table"}
"""What each is."""
