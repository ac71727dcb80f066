"""Logged data in: a table with one row per instant becomes trajectories without gaps."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from jaxtyping import Bool, Float

from surrogate_opt.data.checks import refuse_unknown, shortened
from surrogate_opt.dynamics.transitions import Trajectory
from surrogate_opt.errors import InputError

_TIME_SLACK = 0.1  # of the time step: a row that comes later or earlier than that begins a new trajectory


def read_log(
    path: str | Path,
    states: Sequence[str],
    actions: Sequence[str],
    *,
    dt: float | None = None,
    time: str | None = None,
    episode: str | None = None,
) -> list[Trajectory]:
    """Read trajectories from a comma-separated table with a header line.

    Args:
        path: the file, UTF-8.
        states: columns measured at each instant.
        actions: columns held from each instant to the next.
        dt: see ``trajectories_of``.
        time: see there.
        episode: see there.

    Raises:
        InputError: the file cannot be read, a column is missing or holds text, or nothing is left.
    """
    try:
        table = pd.read_csv(path, skipinitialspace=True, encoding="utf-8-sig")
    except FileNotFoundError:
        raise InputError(f"{path}: expected a CSV file; there is none") from None
    except OSError as error:
        raise InputError(f"{path}: expected a CSV file; cannot read it ({error.strerror})") from None
    except (UnicodeDecodeError, pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise InputError(f"{path}: expected CSV text in UTF-8 with a header; {shortened(error)}") from None
    return trajectories_of(table, states, actions, dt=dt, time=time, episode=episode, label=str(path))


def trajectories_of(
    table: pd.DataFrame,
    states: Sequence[str],
    actions: Sequence[str],
    *,
    dt: float | None = None,
    time: str | None = None,
    episode: str | None = None,
    label: str = "table",
) -> list[Trajectory]:
    """Cut a table into trajectories: at missing values, at gaps in time, and where the episode changes.

    Args:
        table: one row an instant, in the order of time.
        states: columns measured at each instant.
        actions: columns held from each instant to the next; that of a trajectory's last row is not needed.
        dt: the time step, in the unit of the time column; the median of its differences where not given.
        time: a column of instants; without one, rows follow each other without gaps.
        episode: a column that changes where a new trajectory begins.
        label: what messages call the table.

    Raises:
        InputError: no column, a column that is missing or holds text, a time step that is not positive, or
            no two rows that follow each other.
    """
    for argument, names in (("states", states), ("actions", actions)):
        if isinstance(names, str) or not len(names):
            raise InputError(f"{argument}: expected a list of column names, got {names!r}")
    x = np.stack([_numbers(table, name, "states", label) for name in states], 1)
    u = np.stack([_numbers(table, name, "actions", label) for name in actions], 1)
    measured = np.isfinite(x).all(1)
    goes_on = measured[:-1] & np.isfinite(u).all(1)[:-1] & measured[1:]
    if time is not None:
        goes_on &= _without_gap(_numbers(table, time, "time", label), dt)
    if episode is not None:
        if episode not in table.columns:
            refuse_unknown(f"{label}: episode", episode, [str(name) for name in table.columns])
        goes_on &= table[episode].to_numpy()[1:] == table[episode].to_numpy()[:-1]
    edges = np.flatnonzero(np.diff(np.concatenate([[False], goes_on, [False]]).astype(int)))
    found = [
        Trajectory(states=torch.from_numpy(x[first : last + 1]), actions=torch.from_numpy(u[first:last]))
        for first, last in edges.reshape(-1, 2)
    ]
    if not found:
        raise InputError(f"{label}: expected rows that follow each other with every value there; got none")
    return found


def _numbers(table: pd.DataFrame, name: str, argument: str, label: str) -> Float[np.ndarray, " rows"]:
    """One column as float64, missing values NaN."""
    if name not in table.columns:
        refuse_unknown(f"{label}: {argument}", name, [str(known) for known in table.columns])
    values = pd.to_numeric(table[name], errors="coerce")
    text = values.isna() & table[name].notna()
    if bool(text.any()):
        raise InputError(
            f"{label}: column {name!r}: expected numbers; {int(text.sum())} of {len(text)} rows hold text, "
            f"first {shortened(table[name][text].iloc[0])}"
        )
    return values.to_numpy(dtype=np.float64)


def _without_gap(instants: Float[np.ndarray, " rows"], dt: float | None) -> Bool[np.ndarray, " pairs"]:
    """Whether each row comes one time step after the row before."""
    gaps = np.diff(instants)
    step = float(np.nanmedian(gaps)) if dt is None and np.isfinite(gaps).any() else dt
    if step is None or not 0.0 < step < np.inf:
        raise InputError(f"dt: expected a positive time step, got {step}")
    return np.abs(gaps - step) <= _TIME_SLACK * step
