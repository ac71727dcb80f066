"""A campaign's file as the command line uses it: what the results are called, and ids of proposals."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from surrogate_opt.errors import InputError
from surrogate_opt.loops.bayesian import BayesianLoop
from surrogate_opt.loops.bayesian.storage import opened, sqlite_errors, write_new


@dataclass(frozen=True, kw_only=True)
class ResultNames:
    """What the columns of results are called.

    Attributes:
        target: of what is minimized or maximized.
        constraints: of values that are feasible up to 0.
    """

    target: str
    constraints: tuple[str, ...] = ()

    @property
    def columns(self) -> tuple[str, ...]:
        """All of them, the target first."""
        return (self.target, *self.constraints)


def create_campaign(path: Path, loop: BayesianLoop, names: ResultNames) -> None:
    """Begin a campaign with a loop, in one step: the file is there with all of it, or not at all.

    Raises:
        InputError: there is a file, or the log of one that was deleted, or it cannot be written.
    """

    def write(temporary: Path) -> None:
        loop.save(temporary)
        with sqlite_errors(path), closing(sqlite3.connect(temporary)) as connection, connection:
            connection.execute("CREATE TABLE result_names (names TEXT NOT NULL) STRICT")
            connection.execute("INSERT INTO result_names VALUES (?)", (json.dumps(names.columns),))

    write_new(path, write)


def read_result_names(path: Path, num_constraints: int) -> ResultNames:
    """The names a campaign was begun with; those of the loop's history where it was not begun by ``ask``.

    Args:
        path: of a campaign.
        num_constraints: how many constraints its loop has.

    Raises:
        InputError: the file is missing or damaged.
    """
    with opened(path) as connection, sqlite_errors(path):
        tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_schema")}
        if "result_names" not in tables:
            return ResultNames(
                target="y", constraints=tuple(f"constraint_{index}" for index in range(num_constraints))
            )
        row = connection.execute("SELECT names FROM result_names").fetchone()
    try:
        target, *constraints = json.loads(row[0])
    except (TypeError, ValueError):
        raise InputError(f"campaign: {path} is damaged (names of the results)") from None
    return ResultNames(target=target, constraints=tuple(constraints))


def proposal_id(x: Sequence[float]) -> str:
    """A short name of a proposed point: a function of the point, so that it lasts without being stored.

    It begins with a letter that no number has, or spreadsheets would read some of them as numbers.
    """
    return "p" + hashlib.sha256(json.dumps(list(x)).encode()).hexdigest()[:8]
