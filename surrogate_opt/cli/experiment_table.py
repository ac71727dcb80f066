"""CSV files of experiments: what ask writes for a user to fill in, what tell reads back."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from surrogate_opt.cli.campaign_file import ResultNames, proposal_id
from surrogate_opt.cli.console import write_text
from surrogate_opt.data.checks import listed, shortened
from surrogate_opt.errors import InputError
from surrogate_opt.loops.bayesian.ledger import Proposal
from surrogate_opt.loops.bayesian.settings import LoopSettings

ID = "id"
FAILED = frozenset({"failed", "nan"})
_SLACK = 1e-6  # of a side: what rounding to a table's digits does


@dataclass(frozen=True, kw_only=True)
class ExperimentRow:
    """One row of a table.

    Attributes:
        line: where it is in the file; the header is line 1.
        proposal: its id, empty where there is none.
        x: d inputs, raw units.
        results: target, then constraints, NaN where the experiment failed; None where nothing is filled in.
    """

    line: int
    proposal: str
    x: tuple[float, ...]
    results: tuple[float, ...] | None


@dataclass(frozen=True, kw_only=True)
class CSVCells:
    """A CSV file as text.

    Attributes:
        path: the file.
        header: names of the columns, each once.
        rows: line numbers and cells by column.
    """

    path: Path
    header: tuple[str, ...]
    rows: tuple[tuple[int, dict[str, str]], ...]

    def experiments(self, feature_names: Sequence[str], names: ResultNames) -> list[ExperimentRow]:
        """The rows as numbers; columns other than those named are ignored.

        Raises:
            InputError: a column is missing, or a cell cannot be used.
        """
        missing = [name for name in (*feature_names, *names.columns) if name not in self.header]
        if missing:
            raise InputError(
                f"{self.path}: expected a column for every input and result; {listed(missing)} missing, "
                f"the file has {listed(self.header)}"
            )
        return [
            ExperimentRow(
                line=line,
                proposal=cells.get(ID, ""),
                x=tuple(self._input(line, name, cells[name]) for name in feature_names),
                results=self._results(line, names, cells),
            )
            for line, cells in self.rows
        ]

    def _input(self, line: int, name: str, cell: str) -> float:
        value = _float(cell)
        if value is None or not math.isfinite(value):
            raise InputError(
                f"{self.path}: row {line}: expected a finite number for the input {name!r}; "
                f"came {shortened(cell)}"
            )
        return value

    def _results(self, line: int, names: ResultNames, cells: dict[str, str]) -> tuple[float, ...] | None:
        texts = [cells[name] for name in names.columns]
        if not any(texts):
            return None
        has_failed = any(text.lower() in FAILED for text in texts)
        values = []
        for name, text in zip(names.columns, texts, strict=True):
            failed = text.lower() in FAILED or (has_failed and not text)
            value = math.nan if failed else _float(text)
            if value is None:
                raise InputError(
                    f"{self.path}: row {line}: expected a number or the word failed for {name!r}; "
                    f"came {shortened(text)}"
                )
            values.append(value if math.isfinite(value) else math.nan)
        return tuple(values)


def read_cells(path: Path) -> CSVCells:
    """Read a CSV file with one header line; rows without any value are skipped.

    Raises:
        InputError: the file cannot be read as such a table.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: expected CSV text in UTF-8; byte {error.start} is not") from None
    except OSError as error:
        raise InputError(f"{path}: expected a CSV file; cannot read it ({error.strerror})") from None
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        rows = [(reader.line_num, [cell.strip() for cell in row]) for row in reader]
    except csv.Error as error:
        raise InputError(f"{path}: expected CSV text; row {reader.line_num} is not ({error})") from None
    rows = [(line, row) for line, row in rows if any(row)]
    if not rows:
        raise InputError(f"{path}: expected a CSV file with a header line; the file is empty")
    header = rows[0][1]
    if "" in header or len(set(header)) < len(header):
        raise InputError(f"{path}: expected a name of its own for every column; came {listed(header)}")
    for line, row in rows[1:]:
        if len(row) != len(header):
            raise InputError(
                f"{path}: row {line}: expected {len(header)} values, as in the header; came {len(row)}"
            )
    cells = tuple((line, dict(zip(header, row, strict=True))) for line, row in rows[1:])
    return CSVCells(path=path, header=tuple(header), rows=cells)


def check_inside(path: Path, rows: Sequence[ExperimentRow], settings: LoopSettings) -> None:
    """Refuse inputs outside of the box, and integer inputs that are none.

    Raises:
        InputError: the first such input.
    """
    for row in rows:
        for index, (name, value, low, high) in enumerate(
            zip(settings.feature_names, row.x, *settings.bounds, strict=True)
        ):
            slack = _SLACK * (high - low)
            if not low - slack <= value <= high + slack:
                raise InputError(
                    f"{path}: row {row.line}: expected {name!r} from {low:g} to {high:g}; came {value:g}"
                )
            if index in settings.integers and value != round(value):
                raise InputError(
                    f"{path}: row {row.line}: expected a whole number for {name!r}; came {value:g}"
                )


def write_proposals(
    path: Path, proposals: Sequence[Proposal], settings: LoopSettings, names: ResultNames
) -> None:
    """Write points to evaluate, with an id each and empty cells for the results.

    Raises:
        InputError: the file cannot be written.
    """
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns_to_fill_in(settings, names))
    for proposal in proposals:
        inputs = [
            int(value) if index in settings.integers else value for index, value in enumerate(proposal.x)
        ]
        writer.writerow([proposal_id(proposal.x), *inputs, *("" for _ in names.columns)])
    write_text(path, text.getvalue())


def columns_to_fill_in(settings: LoopSettings, names: ResultNames) -> tuple[str, ...]:
    """The header that ask writes."""
    return (ID, *settings.feature_names, *names.columns)


def _float(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
