"""What an experiment of the papers is: cells, what decides its claims, its table, its picture."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pandas as pd

from surrogate_opt.study.evidence.claim import Claim, Finding
from surrogate_opt.study.store import CellOutcome, StudyCell
from surrogate_opt.study.text_tables import MISSING

PROTOCOL: Final = "paper"
"""The preset on which verdicts rest."""

LONG: Final = "long"
QUICK: Final = "quick"

SHOWN: Final = (PROTOCOL, LONG, QUICK)
"""Presets with findings to show, the fullest first; those of a cut one are not run at protocol."""


@dataclass(frozen=True, kw_only=True)
class Preset:
    """A size of an experiment.

    Attributes:
        cells: given the data folder.
        cuts: what it leaves out of the source's protocol; empty where nothing.
    """

    cells: Callable[[Path], Sequence[StudyCell]]
    cuts: str = ""


@dataclass(frozen=True, kw_only=True, eq=False)
class Experiment:
    """One experiment: what it computes, and which claims it decides.

    Attributes:
        name: what users type.
        title: one line.
        protocol: how the claims' figures were measured, there and here.
        claims: those it decides.
        presets: by name; ``paper`` is the protocol.
        compute: computes a cell; a function that worker processes can import.
        find: judges the claims by the rows of all cells.
        summarize: the table for people, all text, from the same rows.
        check: raises where the data folder lacks what is needed; None where no data are.
        draw: writes pictures of the rows into a folder and names them; None where there are none.
    """

    name: str
    title: str
    protocol: str
    claims: tuple[Claim, ...]
    presets: dict[str, Preset]
    compute: Callable[[Any], CellOutcome]
    find: Callable[[pd.DataFrame], list[Finding]]
    summarize: Callable[[pd.DataFrame], pd.DataFrame]
    check: Callable[[Path], object] | None = None
    draw: Callable[[pd.DataFrame, Path], list[Path]] | None = None

    def unknown(self) -> list[Finding]:
        """The findings of an experiment that has not run."""
        return [Finding(claim=claim.name, ours=MISSING, verdict="not run") for claim in self.claims]


def means_over_seeds(
    table: pd.DataFrame, groups: Sequence[str], columns: Sequence[str], *, digits: int = 3
) -> pd.DataFrame:
    """Mean and standard deviation of every figure as text, a row a group, whose names share a column."""
    grouped = table.groupby(list(groups), sort=False)[list(columns)]
    means, deviations = grouped.mean(), grouped.std(ddof=1)
    shown = {
        column.replace("_over_", "/"): [
            f"{mean:.{digits}f}±{deviation:.{digits}f}"
            for mean, deviation in zip(means[column], deviations[column], strict=True)
        ]
        for column in columns
    }
    names = [" ".join(map(str, place)) for place in means.index]
    return pd.DataFrame({"mean±std": names} | shown)
