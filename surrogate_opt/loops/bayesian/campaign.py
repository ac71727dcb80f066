"""A loop that lives in a file: every step is one transaction, so a crash loses nothing that was shown."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from surrogate_opt.data.checks import check_count
from surrogate_opt.loops.bayesian.loop import BayesianLoop
from surrogate_opt.loops.bayesian.refits import FitterFactory
from surrogate_opt.loops.bayesian.storage import (
    opened,
    put_state,
    read_campaign,
    read_state,
    sqlite_errors,
    write_new,
)


class Campaign:
    """Asks and tells through a SQLite file, for experiments that outlast a process.

    A proposal is committed before it is handed out, and an evaluation together with the end of its proposal.
    One process at a time takes a step; others wait.

    Args:
        path: a file of ``create`` or of ``BayesianLoop.save``.
        model: from a seed to a fitter, for a loop that was made with such a function.

    Raises:
        InputError: the file is missing, damaged or of another kind, or ``model`` does not fit it.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> from surrogate_opt.loops.bayesian import BayesianLoop, Campaign
        >>> path = Path(tempfile.mkdtemp()) / "alloy.campaign"
        >>> campaign = Campaign.create(path, BayesianLoop([[0.0], [1.0]], model="gp"))
        >>> x = campaign.ask()
        >>> campaign.tell(x, (x[:, 0] - 0.3) ** 2)
        >>> len(Campaign(path).loop.history)
        1
    """

    def __init__(self, path: str | Path, *, model: FitterFactory | None = None) -> None:
        self._path = Path(path)
        self._model = model
        BayesianLoop.from_state(read_campaign(self._path), model=model)

    @classmethod
    def create(cls, path: str | Path, loop: BayesianLoop, *, model: FitterFactory | None = None) -> Self:
        """Begin a campaign with a loop's settings and whatever it was told.

        Args:
            path: where; no file may be there.
            loop: what to begin with.
            model: what the loop was made with, if that was a function.

        Raises:
            InputError: there is a file, or the log of one that was deleted, or it cannot be written.
        """
        write_new(Path(path), loop.save)
        return cls(path, model=model)

    @property
    def loop(self) -> BayesianLoop:
        """The loop as the file has it now; what is done to it does not reach the file."""
        return BayesianLoop.from_state(read_campaign(self._path), model=self._model)

    def ask(self, q: int = 1, *, more: bool = False) -> Float[NDArray[np.float64], "p d"]:
        """The pending points if there are any, else new ones, raw units.

        Args:
            q: how many new points.
            more: propose new points though some are pending, and hand out those alone.

        Raises:
            InputError: as ``BayesianLoop.ask``; or the file cannot be used.
        """
        check_count("q", q, 1)
        with self.step() as loop:
            if len(loop.pending) and not more:
                return loop.pending
            points = loop.ask(q)
        return points

    def tell(self, x: ArrayLike | Tensor, y: ArrayLike | Tensor, constraints: Any = None) -> None:
        """Record evaluations: see ``BayesianLoop.tell``.

        Raises:
            InputError: as there; or the file cannot be used.
        """
        with self.step() as loop:
            loop.tell(x, y, constraints)

    @contextmanager
    def step(self) -> Iterator[BayesianLoop]:
        """The loop as the file has it, for a step of several parts; other processes wait until it ends.

        The loop's new state goes into the file at the end, whole or, where the step raises, not at all.

        Raises:
            InputError: the file cannot be used.
        """
        with opened(self._path) as connection, _transaction(connection, self._path):
            before = read_state(connection, self._path)
            loop = BayesianLoop.from_state(before, model=self._model)
            yield loop
            if loop.state is not before:
                with sqlite_errors(self._path):
                    put_state(connection, loop.state)


@contextmanager
def _transaction(connection: sqlite3.Connection, path: Path) -> Iterator[None]:
    """Begin, and commit or roll back; the lock is taken at once, so that what is read stays true."""
    with sqlite_errors(path):
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        with sqlite_errors(path):
            connection.execute("COMMIT")
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
