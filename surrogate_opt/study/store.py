"""Results in one SQLite file: a cell is stored whole or not at all, so a killed study loses nothing done."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self, TypeVar

import safetensors
import safetensors.torch
from pydantic import BaseModel
from torch import Tensor

from surrogate_opt.errors import InputError

_SCHEMA = """
CREATE TABLE IF NOT EXISTS cells (
    key TEXT PRIMARY KEY,
    family TEXT NOT NULL,
    instance INTEGER NOT NULL,
    spec TEXT NOT NULL,
    seconds REAL NOT NULL,
    truth TEXT NOT NULL,
    rows TEXT NOT NULL,
    arrays BLOB NOT NULL
) STRICT;
"""


class StudyCell(Protocol):
    """What the store and the runner ask of a cell of any study."""

    @property
    def key(self) -> str:
        """Hash of all that determines the result."""
        ...

    @property
    def family(self) -> str:
        """Name of the problem, or of the family it belongs to."""
        ...

    @property
    def instance(self) -> int:
        """Seed of the problem."""
        ...

    @property
    def place(self) -> str:
        """What the cell is called in messages, unlike any other of the study."""
        ...

    @property
    def spec(self) -> BaseModel:
        """The study, kept beside the result for people."""
        ...


class CellOutcome(Protocol):
    """What the store keeps of a cell."""

    @property
    def truth(self) -> dict[str, Any]:
        """Figures of the instance itself."""
        ...

    @property
    def rows(self) -> Any:
        """Rows of figures, plain numbers and strings by name: one list, or a list for each table."""
        ...

    @property
    def arrays(self) -> dict[str, Tensor]:
        """Tensors by name."""
        ...


@dataclass(frozen=True, kw_only=True)
class StoredOutcome:
    """An outcome and nothing more, to be stored or as it was read back; see `CellOutcome`."""

    truth: dict[str, Any]
    rows: Any
    arrays: dict[str, Tensor]


CellT = TypeVar("CellT", bound=StudyCell)


class ResultsStore:
    """The cells of one results file.

    Args:
        path: the SQLite file; made where it is not there.

    Raises:
        InputError: the file cannot be opened, or is no results file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._connection = sqlite3.connect(path)
            self._connection.execute("PRAGMA journal_mode = WAL")
            self._connection.executescript(_SCHEMA)
            self._connection.execute("SELECT key, rows, arrays FROM cells LIMIT 0")
        except (sqlite3.Error, OSError) as error:
            raise InputError(f"results: cannot use {path}: {error}") from None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def missing(self, cells: Iterable[CellT]) -> list[CellT]:
        """Those cells that are not stored yet.

        Raises:
            InputError: the file is damaged.
        """
        try:
            with closing(self._connection.execute("SELECT key FROM cells")) as cursor:
                stored = {key for (key,) in cursor}
        except sqlite3.Error as error:
            raise self._damaged(error) from None
        return [cell for cell in cells if cell.key not in stored]

    def put(self, cell: StudyCell, result: CellOutcome, seconds: float) -> None:
        """Store a cell in one transaction."""
        with self._connection:
            self._connection.execute(
                "INSERT OR REPLACE INTO cells VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    cell.key,
                    cell.family,
                    cell.instance,
                    cell.spec.model_dump_json(),
                    seconds,
                    _dump(result.truth),
                    _dump(result.rows),
                    safetensors.torch.save(result.arrays),
                ),
            )

    def get(self, cell: StudyCell) -> StoredOutcome:
        """Read a cell back.

        Raises:
            InputError: it is not stored, or the file is damaged.
        """
        query = "SELECT truth, rows, arrays FROM cells WHERE key = ?"
        try:
            found = self._connection.execute(query, (cell.key,)).fetchone()
            if found is None:
                raise InputError(f"results: no cell of {cell.family}, instance {cell.instance}")
            truth, rows, arrays = found
            return StoredOutcome(
                truth=json.loads(truth), rows=json.loads(rows), arrays=safetensors.torch.load(arrays)
            )
        except (sqlite3.Error, json.JSONDecodeError, safetensors.SafetensorError) as error:
            raise self._damaged(error) from None

    def _damaged(self, error: Exception) -> InputError:
        return InputError(f"results: {self._path} is damaged ({error}); move it away and run again")


def _dump(value: Any) -> str:
    """JSON with NaN and infinity as Python writes and reads them."""
    return json.dumps(value)
