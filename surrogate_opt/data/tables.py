"""CSV tables in: a table of numbers, a file of bounds, and name=value assignments."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor

from surrogate_opt.data.checks import check_num_rows, check_spread, listed, refuse_unknown, shortened
from surrogate_opt.errors import InputError

_MISSING = frozenset({"", "na", "n/a", "#n/a", "nan", "null", "none", "<na>", "?"})


@dataclass(frozen=True, eq=False)
class Table:
    """A numeric table split into inputs and target.

    Attributes:
        x: inputs, ``(n, d)``, float64, raw units.
        y: target, ``(n,)``, float64, raw units.
        feature_names: the d input columns, in the order of ``x``.
        target_name: the target's column.
    """

    x: Float[np.ndarray, "n d"]
    y: Float[np.ndarray, " n"]
    feature_names: tuple[str, ...]
    target_name: str


@dataclass(frozen=True)
class _Rows:
    """A CSV file's cells as text, with the line each row ends on (the header of a plain file is line 1)."""

    path: Path
    header: list[str]
    cells: list[list[str]]
    lines: list[int]

    def numbers(self, name: str) -> Float[np.ndarray, " rows"]:
        """One column as finite float64."""
        column = self.header.index(name)
        text = pd.Series([row[column] for row in self.cells], dtype=object)
        values = pd.to_numeric(text, errors="coerce").to_numpy(dtype=np.float64)
        missing = text.str.lower().isin(_MISSING).to_numpy()
        kinds = (
            (np.isnan(values) & ~missing, "holds text"),
            (missing, "misses a value"),
            (np.isinf(values), "is infinite"),
        )
        for bad, problem in kinds:
            if bad.any():
                first = int(bad.argmax())
                raise InputError(
                    f"{self.path}: column {name!r} {problem} in {bad.sum()} of {len(values)} rows, "
                    f"first in row {self.lines[first]} ({shortened(text[first])}); expected finite numbers"
                )
        return values


def read_csv(
    path: str | Path,
    target: str,
    *,
    inputs: Sequence[str] | None = None,
    ignore: Sequence[str] = (),
    vary: bool = True,
    min_rows: int = 10,
) -> Table:
    """Read a comma-separated table of numbers with one header line.

    Lines without any value are skipped. Row numbers in messages are those of an editor: the header is line 1.

    Args:
        path: the file, UTF-8.
        target: the column to predict.
        inputs: the columns to predict it from, in this order; all others where None.
        ignore: columns that are no inputs. What is no input may hold anything.
        vary: whether every input has to.
        min_rows: how many rows of data there must be at least.

    Raises:
        InputError: the file cannot be read as such a table, or a column cannot be used.
    """
    rows = _read_rows(Path(path))
    if target not in rows.header:
        refuse_unknown(f"{path}: target", target, rows.header)
    missing = [name for name in inputs or () if name not in rows.header]
    if missing:
        raise InputError(f"{path}: expected the inputs {listed(inputs or ())}; {listed(missing)} missing")
    for name in ignore:
        if name not in rows.header:
            refuse_unknown(f"{path}: ignore", name, rows.header)
    if target in (*(inputs or ()), *ignore):
        raise InputError(f"{path}: expected inputs and ignored columns without the target; came {target!r}")
    wanted = rows.header if inputs is None else inputs
    features = tuple(name for name in wanted if name not in (target, *ignore))
    if not features:
        raise InputError(
            f"{path}: expected comma-separated columns, the target and at least one input; "
            f"{target!r} is the only one"
        )
    check_num_rows(len(rows.cells), min_rows, str(path))
    columns = {name: rows.numbers(name) for name in rows.header if name in (*features, target)}
    for name, values in columns.items():
        if vary or name == target:
            check_spread(values, f"{path}: {'target' if name == target else 'column'} {name!r}")
    return Table(np.stack([columns[name] for name in features], axis=1), columns[target], features, target)


def read_bounds(path: str | Path, feature_names: Sequence[str]) -> Float[Tensor, "2 d"]:
    """Read a box from a CSV with the columns name, lower, upper; rows in any order, further columns ignored.

    Returns:
        Lower and upper bounds in the order of ``feature_names``, ``(2, d)``, raw units.

    Raises:
        InputError: a feature is missing, unknown or there twice, or a bound is no number or out of order.
    """
    rows = _read_rows(Path(path))
    absent = [column for column in ("name", "lower", "upper") if column not in rows.header]
    if absent:
        raise InputError(
            f"{path}: expected the columns name, lower, upper; {listed(absent)} missing, "
            f"the file has {listed(rows.header)}"
        )
    names = [row[rows.header.index("name")] for row in rows.cells]
    for row, name in enumerate(names):
        if name not in feature_names:
            refuse_unknown(f"{path}: row {rows.lines[row]}: name", name, feature_names)
        if name in names[:row]:
            raise InputError(f"{path}: row {rows.lines[row]}: expected every name once; {name!r} came again")
    missing = [name for name in feature_names if name not in names]
    if missing:
        raise InputError(f"{path}: expected bounds of every input; {listed(missing)} missing")
    lower, upper = rows.numbers("lower"), rows.numbers("upper")
    for row, name in enumerate(names):
        if lower[row] >= upper[row]:
            raise InputError(
                f"{path}: row {rows.lines[row]}: expected lower < upper for {name!r}; "
                f"came {lower[row]:g} and {upper[row]:g}"
            )
    order = [names.index(name) for name in feature_names]
    return torch.from_numpy(np.stack([lower[order], upper[order]]))


def parse_fixed(assignments: Iterable[str], feature_names: Sequence[str]) -> dict[int, float]:
    """Turn ``["age_days=28", ...]`` into ``{column: value}``.

    Raises:
        InputError: no ``name=value``, an unknown name, a name given twice, or no finite number.
    """
    fixed: dict[int, float] = {}
    for assignment in assignments:
        name, equals, text = (part.strip() for part in assignment.rpartition("="))
        if not equals or not name:
            raise InputError(f"fix: expected name=value; came {shortened(assignment)}")
        if name not in feature_names:
            refuse_unknown("fix: name", name, feature_names)
        column = list(feature_names).index(name)
        if column in fixed:
            raise InputError(f"fix: expected every name once; {name!r} came again")
        try:
            fixed[column] = float(text)
        except ValueError:
            raise InputError(f"fix: expected a number for {name!r}; came {shortened(text)}") from None
        if not math.isfinite(fixed[column]):
            raise InputError(f"fix: expected a finite number for {name!r}; came {shortened(text)}")
    return fixed


def _read_rows(path: Path) -> _Rows:
    """A CSV file as text cells under unique names, every row as long as the header."""
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        raise InputError(f"{path}: expected a CSV file; there is none") from None
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: expected CSV text in UTF-8; byte {error.start} is not") from None
    except OSError as error:
        raise InputError(f"{path}: expected a CSV file; cannot read it ({error.strerror})") from None
    if "\0" in text:
        raise InputError(f"{path}: expected CSV text; came binary data")
    reader = csv.reader(io.StringIO(text.replace("\r\n", "\n").replace("\r", "\n")), strict=True)
    try:
        numbered = [([cell.strip() for cell in row], reader.line_num) for row in reader]
    except csv.Error as error:
        raise InputError(f"{path}: expected CSV text; row {reader.line_num} is not ({error})") from None
    numbered = [(row, line) for row, line in numbered if any(row)]
    if not numbered:
        raise InputError(f"{path}: expected a CSV file with a header line; the file is empty")
    (header, _), *body = numbered
    _check_header(path, header)
    for row, line in body:
        if len(row) != len(header):
            raise InputError(
                f"{path}: expected {len(header)} values in every row, as in the header; "
                f"row {line} has {len(row)}"
            )
    return _Rows(path, header, [row for row, _ in body], [line for _, line in body])


def _check_header(path: Path, header: list[str]) -> None:
    if len(header) == 1 and (";" in header[0] or "\t" in header[0]):
        raise InputError(f"{path}: expected commas between columns; the header is {shortened(header[0])}")
    if pd.to_numeric(pd.Series(header, dtype=object), errors="coerce").notna().all():
        raise InputError(f"{path}: expected a header line of column names; the first line holds numbers")
    for column, name in enumerate(header):
        if not name:
            raise InputError(f"{path}: expected a name for every column; column {column + 1} has none")
        if name in header[:column]:
            raise InputError(
                f"{path}: expected every column name once; {name!r} came again (column {column + 1})"
            )
