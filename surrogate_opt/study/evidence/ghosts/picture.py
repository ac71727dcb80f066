"""Which diagnostic goes with what loops lost: rank correlations with their intervals, as dots."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from surrogate_opt.study.evidence.ghosts.correlations import Correlation, Pair
from surrogate_opt.study.evidence.ghosts.prediction import DIAGNOSTICS, READINGS, GhostTable, Reading
from surrogate_opt.study.figures.style import (
    GREY,
    house_style,
    legend_above,
    new_figure,
    settle_into,
    tidy,
)

_TITLES: Final[dict[Reading, str]] = {
    "within": "among the strengths of one data set",
    "given error": "the same at equal test error",
    "sound only": "the same without degenerate surrogates",
    "pooled": "over all surrogates of all data sets",
}
_LOOKS: Final = (("#0072B2", "o"), ("#E69F00", "s"), ("#009E73", "^"))  # one a loop
_SPREAD: Final = 0.22  # between the dots of one diagnostic


def draw_prediction(ghosts: GhostTable, table: pd.DataFrame, folder: Path) -> list[Path]:
    """Draw every correlation into ``prediction.png``.

    Args:
        ghosts: how the rows are read.
        table: a row a surrogate.
        folder: where the picture goes; made where it is not there.
    """
    with house_style():
        figure = new_figure(3.6 * len(ghosts.outcomes) + 1.4, 9.6)
        grid = figure.subplots(len(READINGS), len(ghosts.outcomes), sharex=True, squeeze=False)
        for row, reading in zip(grid, READINGS, strict=True):
            found = ghosts.correlations(table, reading)
            for axes, (outcome, columns) in zip(row, ghosts.outcomes.items(), strict=True):
                _panel(axes, found, columns)
                axes.set_title(f"{outcome}: {_TITLES[reading]}")
                axes.label_outer()
        for axes in grid[-1]:
            axes.set_xlabel("Spearman's rank correlation, 95% interval")
        figure.supxlabel("Does a diagnostic predict what the loop loses? * needs the truth's gradient.")
        handles = [
            Line2D([], [], color=colour, marker=marker, label=loop)
            for loop, (colour, marker) in zip(ghosts.loops, _LOOKS, strict=False)
        ]
        legend_above(figure, handles, entry_width=1.6)
        return [settle_into(figure, folder, "prediction")]


def _panel(axes: Axes, found: dict[Pair, Correlation], columns: tuple[str, ...]) -> None:
    for row, diagnostic in enumerate(DIAGNOSTICS):
        for loop, column in enumerate(columns):
            if (diagnostic, column) not in found:
                continue
            one = found[diagnostic, column]
            colour, marker = _LOOKS[loop]
            height = row + _SPREAD * (loop - (len(columns) - 1) / 2)
            axes.plot([one.low, one.high], [height, height], color=colour, linewidth=1.2)
            axes.plot(one.value, height, marker=marker, color=colour, markersize=4)
    axes.axvline(0.0, color=GREY, linewidth=0.8)
    axes.set_yticks(range(len(DIAGNOSTICS)), list(DIAGNOSTICS.values()))
    axes.set_ylim(len(DIAGNOSTICS) - 0.5, -0.5)
    axes.set_xlim(-1.0, 1.0)
    tidy(axes, grid="x")
