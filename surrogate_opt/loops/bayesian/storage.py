"""A loop's state in one SQLite file: the same tables for a file that is saved and one that grows.

A saved file is in SQLite's plain journal mode, so that it is complete by itself; a campaign switches it to a
write-ahead log.
"""

from __future__ import annotations

import json
import math
import os
import secrets
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor

from surrogate_opt.adapters.botorch.fitter import FitterState
from surrogate_opt.errors import InputError
from surrogate_opt.loops.bayesian.ledger import Evaluation, Ledger, Proposal
from surrogate_opt.loops.bayesian.refits import RefitRecord
from surrogate_opt.loops.bayesian.settings import LoopSettings
from surrogate_opt.loops.bayesian.state import LoopState
from surrogate_opt.model_file import write_atomically

FORMAT = "surrogate-opt-campaign/1"

_SCHEMA = """
CREATE TABLE loop (
    format TEXT NOT NULL,
    settings TEXT NOT NULL,
    num_asked INTEGER NOT NULL,
    num_sobol INTEGER NOT NULL,
    last_refit TEXT
) STRICT;
CREATE TABLE evaluations (
    number INTEGER PRIMARY KEY,
    proposal TEXT NOT NULL,
    y REAL,
    constraints TEXT NOT NULL
) STRICT;
CREATE TABLE proposals (
    number INTEGER PRIMARY KEY,
    proposal TEXT NOT NULL
) STRICT;
CREATE TABLE fitter_states (
    moment TEXT NOT NULL CHECK (moment IN ('start', 'end')),
    output INTEGER NOT NULL,
    tensors BLOB NOT NULL,
    about TEXT NOT NULL,
    PRIMARY KEY (moment, output)
) STRICT;
"""

_WAIT_S = 30.0  # for another process that asks or tells
_LOG_SUFFIXES = ("-wal", "-shm", "-journal")
_COUNTS = ("num_evaluations", "chosen_before", "chosen")


def write_campaign(path: Path, state: LoopState) -> None:
    """Write a state to a new file, which then takes the place of one that is there.

    Raises:
        InputError: the file cannot be written, or there is the log of one that was deleted.
    """
    _settle(path)

    def write(temporary: Path) -> None:
        with sqlite_errors(path), closing(sqlite3.connect(temporary)) as connection, connection:
            connection.executescript(_SCHEMA)
            put_state(connection, state)

    write_atomically(path, write)


def write_new(path: Path, write: Callable[[Path], None]) -> None:
    """Let ``write`` fill a temporary file, which then becomes a campaign under a name that no file has.

    It has a write-ahead log from the start, so that a step that fails changes no byte of it.

    Raises:
        InputError: there is a file, even one begun meanwhile, or the log of one that was deleted; or it
            cannot be written.
    """
    if not path.exists():
        _settle(path)
    staged = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        write_atomically(staged, write)
        with sqlite_errors(path), closing(sqlite3.connect(staged)) as connection:
            connection.execute("PRAGMA journal_mode = WAL")
        os.link(staged, path)
    except FileExistsError:
        raise InputError(f"campaign: expected a new file; {path} is there already") from None
    except OSError as error:
        raise InputError(f"campaign: cannot write {path}: {error.strerror}") from None
    finally:
        staged.unlink(missing_ok=True)


def read_campaign(path: Path) -> LoopState:
    """Read a state as of one moment, whatever other processes commit meanwhile.

    Raises:
        InputError: the file is missing, damaged or of another kind.
    """
    with opened(path) as connection:
        with sqlite_errors(path):
            connection.execute("BEGIN")
        return read_state(connection, path)


@contextmanager
def opened(path: Path) -> Iterator[sqlite3.Connection]:
    """A connection to a file that is there; transactions are the caller's.

    Raises:
        InputError: there is no such file, or it cannot be opened.
    """
    if not path.is_file():
        raise InputError(f"campaign: no such file: {path}")
    with sqlite_errors(path):
        connection = sqlite3.connect(path, timeout=_WAIT_S, isolation_level=None)
    with closing(connection):
        yield connection


@contextmanager
def sqlite_errors(path: Path) -> Iterator[None]:
    """Turn SQLite's errors into one line.

    Raises:
        InputError: the file is locked, damaged, no SQLite file, or cannot be written.
    """
    try:
        yield
    except sqlite3.Error as error:
        if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_BUSY:
            reason = f"another process has used it for over {_WAIT_S:g} s"
        else:
            reason = str(error)
        raise InputError(f"campaign: cannot use {path}: {reason}") from None


def read_state(connection: sqlite3.Connection, path: Path) -> LoopState:
    """The state in an open file.

    Raises:
        InputError: the file is damaged or of another kind.
    """
    with sqlite_errors(path):
        tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_schema")}
        if not {"loop", "evaluations", "proposals", "fitter_states"} <= tables:
            raise InputError(f"campaign: {path} is a file of another kind")
        try:
            (check,) = connection.execute("PRAGMA quick_check").fetchone()
            if check != "ok":
                raise ValueError(str(check).splitlines()[0])
            return _get_state(connection)
        except (SafetensorError, ArithmeticError, KeyError, TypeError, ValueError) as error:
            reason = f"{type(error).__name__}: {error}"
            raise InputError(f"campaign: {path} is damaged ({reason})") from None


def put_state(connection: sqlite3.Connection, state: LoopState) -> None:
    """Write a state over an earlier one of the same loop, of which it keeps the evaluations.

    Call it in a transaction.
    """
    ledger = state.ledger
    connection.execute("DELETE FROM loop")
    connection.execute(
        "INSERT INTO loop VALUES (?, ?, ?, ?, ?)",
        (FORMAT, state.settings.to_json(), ledger.num_asked, ledger.num_sobol, _counts(state.last_refit)),
    )
    (num_stored,) = connection.execute("SELECT count(*) FROM evaluations").fetchone()
    connection.executemany(
        "INSERT INTO evaluations VALUES (?, ?, ?, ?)",
        [
            (
                number,
                json.dumps(asdict(evaluation.proposal)),
                None if math.isnan(evaluation.y) else evaluation.y,
                json.dumps(evaluation.constraints),
            )
            for number, evaluation in enumerate(ledger.evaluations, start=1)
            if number > num_stored
        ],
    )
    connection.execute("DELETE FROM proposals")
    connection.executemany(
        "INSERT INTO proposals VALUES (?, ?)",
        [(number, json.dumps(asdict(proposal))) for number, proposal in enumerate(ledger.pending, start=1)],
    )
    connection.execute("DELETE FROM fitter_states")
    connection.executemany("INSERT INTO fitter_states VALUES (?, ?, ?, ?)", _fitter_rows(state.last_refit))


def _get_state(connection: sqlite3.Connection) -> LoopState:
    (row,) = connection.execute("SELECT format, settings, num_asked, num_sobol, last_refit FROM loop")
    if row[0] != FORMAT:
        raise ValueError(f"expected the format {FORMAT!r}, got {row[0]!r}")
    settings = LoopSettings.from_json(row[1])
    evaluations = connection.execute("SELECT proposal, y, constraints FROM evaluations ORDER BY number")
    pending = connection.execute("SELECT proposal FROM proposals ORDER BY number")
    return LoopState(
        settings=settings,
        ledger=Ledger(
            evaluations=tuple(
                Evaluation(
                    proposal=_proposal(proposal, settings),
                    y=math.nan if y is None else y,
                    constraints=_numbers(json.loads(constraints), settings.num_constraints),
                )
                for proposal, y, constraints in evaluations
            ),
            pending=tuple(_proposal(proposal, settings) for (proposal,) in pending),
            num_asked=row[2],
            num_sobol=row[3],
        ),
        last_refit=_refit_record(connection, row[4]),
    )


def _proposal(text: str, settings: LoopSettings) -> Proposal:
    values = json.loads(text)
    return Proposal(**values | {"x": _numbers(values["x"], len(settings.feature_names))})


def _numbers(values: Sequence[float], num_expected: int) -> tuple[float, ...]:
    if len(values) != num_expected:
        raise ValueError(f"expected {num_expected} numbers, got {len(values)}")
    return tuple(map(float, values))


def _counts(record: RefitRecord | None) -> str | None:
    """A refit's counts as text; its states go into a table of their own."""
    if record is None:
        return None
    return json.dumps({name: getattr(record, name) for name in _COUNTS})


def _fitter_rows(record: RefitRecord | None) -> list[tuple[str, int, bytes, str]]:
    if record is None:
        return []
    return [
        (moment, output, _dump_tensors(state.tensors), json.dumps(state.about))
        for moment, states in (("start", record.start), ("end", record.end))
        for output, state in states.items()
    ]


def _dump_tensors(tensors: Mapping[str, Tensor]) -> bytes:
    return save_tensors({name: tensor.detach().contiguous() for name, tensor in tensors.items()})


def _refit_record(connection: sqlite3.Connection, counts: str | None) -> RefitRecord | None:
    if counts is None:
        return None
    states: dict[str, dict[int, FitterState]] = {"start": {}, "end": {}}
    rows = connection.execute("SELECT moment, output, tensors, about FROM fitter_states")
    for moment, output, tensors, about in rows:
        states[moment][output] = FitterState(tensors=load_tensors(tensors), about=json.loads(about))
    numbers = json.loads(counts)
    return RefitRecord(
        num_evaluations=int(numbers["num_evaluations"]),
        start=states["start"],
        end=states["end"],
        chosen_before=int(numbers["chosen_before"]),
        chosen=int(numbers["chosen"]),
    )


def _settle(path: Path) -> None:
    """Let SQLite finish with the write-ahead log of a file that is about to be replaced.

    The log of a process that was killed would otherwise be taken for one of the new file.

    Raises:
        InputError: there is a log without its file; what it holds may be wanted.
    """
    if not path.exists():
        for left_over in (path.with_name(f"{path.name}{suffix}") for suffix in _LOG_SUFFIXES):
            if left_over.exists():
                raise InputError(
                    f"campaign: expected no log of a file that is gone; delete {left_over}, or bring "
                    f"{path.name} back"
                )
    elif path.is_file() and path.with_name(f"{path.name}-wal").exists():
        with sqlite_errors(path), closing(sqlite3.connect(path, timeout=_WAIT_S)) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
