"""Coverage of the 50% and 95% intervals, at the proposals and all over the box, one row a model."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import PercentFormatter

from surrogate_opt.study.bayesian.comparisons import SOBOL, Findings
from surrogate_opt.study.bayesian.figures.looks import look
from surrogate_opt.study.bayesian.problems import Half
from surrogate_opt.study.bayesian.summaries import HALVES
from surrogate_opt.study.figures.style import (
    GREY,
    Picture,
    house_style,
    legend_above,
    new_figure,
    settle,
    tidy,
)
from surrogate_opt.study.paired_tests import bootstrap_interval

_LEVELS = (0.5, 0.95)
_MARKERS = {0.5: "o", 0.95: "D"}
_PREFIXES = {"": -0.16, "box_": 0.18}
"""Of the columns of figures at the proposals and on the box, and where in a row they are drawn."""

_CAPTION = (
    "How often the truth lies inside the central 50% (round) and 95% (diamond) intervals; the dashed lines "
    "are where it should. Filled: at the proposals, which the acquisition picked because the model hoped for "
    "much there. Hollow: the last model, at points all over the box. Means over the instances of a half with "
    "95% bootstrap intervals. Left of its line a model is too sure of itself, right of it too timid. "
    "Filled marks left of the hollow ones: the acquisition went where the model errs."
)


def draw_calibration(findings: Findings, models: Sequence[str]) -> Picture | None:
    """The picture; None where no interval was measured."""
    columns = [_column(prefix, level) for prefix in _PREFIXES for level in _LEVELS]
    runs = findings.runs.dropna(subset=columns, how="all")
    halves: list[Half] = [half for half in HALVES if half in set(runs["half"])]
    if not halves:
        return None
    shown = [model for model in models if model != SOBOL and model in set(runs["model"])]
    with house_style():
        figure = new_figure(2.0 + 4.2 * len(halves), 1.7 + 0.38 * len(shown))
        grid = figure.subplots(1, len(halves), sharex=True, sharey=True, squeeze=False)[0]
        for axes, half in zip(grid, halves, strict=True):
            part = runs[runs["half"] == half]
            _draw_half(axes, part, shown)
            axes.set_title(f"{half} problems ({part['problem'].nunique()})", loc="left")
        grid[0].set_yticks(range(len(shown)), shown)
        grid[0].set_ylim(len(shown) - 0.5, -0.5)
        grid[0].set_xlim(0, 1.02)
        grid[0].set_xticks([0.0, 0.25, 0.5, 0.75, 0.95])
        figure.supxlabel("share of truths inside the interval", fontsize=9)
        legend_above(figure, _handles(), entry_width=1.9)
        settle(figure)
    return Picture(name="calibration", title="Calibration", caption=_CAPTION, figure=figure)


def _column(prefix: str, level: float) -> str:
    return f"{prefix}coverage{round(100 * level)}"


def _draw_half(axes: Axes, runs: pd.DataFrame, models: Sequence[str]) -> None:
    for level in _LEVELS:
        axes.axvline(level, color=GREY, linestyle="--", linewidth=1.0)
        for prefix, shift in _PREFIXES.items():
            for row, model in enumerate(models):
                values = runs.loc[runs["model"] == model, _column(prefix, level)].dropna().to_numpy()
                if values.size:
                    _draw_mark(axes, values, row + shift, model, _MARKERS[level], filled=not prefix)
    axes.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    tidy(axes, grid="x")


def _draw_mark(
    axes: Axes, values: np.ndarray, height: float, model: str, marker: str, *, filled: bool
) -> None:
    colour = look(model).colour
    if values.size > 1:
        axes.plot(bootstrap_interval(values, seed=0), [height] * 2, color=colour, linewidth=1.2)
    face = colour if filled else "white"
    axes.plot([values.mean()], [height], marker=marker, markersize=5, color=colour, markerfacecolor=face)


def _handles() -> list[Line2D]:
    def mark(marker: str, fill: str, label: str) -> Line2D:
        return Line2D([], [], marker=marker, color=GREY, markerfacecolor=fill, linestyle="", label=label)

    return [
        mark("o", GREY, "50%, at proposals"),
        mark("D", GREY, "95%, at proposals"),
        mark("o", "white", "50%, on the box"),
        mark("D", "white", "95%, on the box"),
        Line2D([], [], color=GREY, linestyle="--", label="what it should be"),
    ]
