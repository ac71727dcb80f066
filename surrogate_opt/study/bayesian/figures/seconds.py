"""Seconds of a step against the number of evaluations that the model learns from."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from surrogate_opt.study.bayesian.comparisons import SOBOL
from surrogate_opt.study.bayesian.figures.looks import line_handles, line_width, look
from surrogate_opt.study.bayesian.summaries import finished_runs
from surrogate_opt.study.bayesian.tables import BayesianStudyData
from surrogate_opt.study.figures.style import (
    Picture,
    house_style,
    legend_above,
    log_scale,
    new_figure,
    settle,
    tidy,
)

_BLOCK = 10
"""Evaluations that are averaged: as often the strength is chosen anew, which costs more than a refit."""

_PARTS = {"seconds_fit": "refit", "seconds_acquisition": "acquisition", "seconds": "both: one step"}

_CAPTION = (
    "Wall-clock seconds of a step, mean over each ten evaluations and all instances, so that the choice of "
    "the strength at every tenth evaluation counts; logarithmic. Every worker has one thread. Workers share "
    "a machine and problems have different numbers of inputs: read it as a comparison of models that ran "
    "side by side, not as a benchmark."
)


def draw_seconds(data: BayesianStudyData) -> Picture | None:
    """The picture; None where no model proposed anything."""
    proposals = finished_runs(data)
    proposals = proposals[~proposals["initial"].astype(bool) & (proposals["model"] != SOBOL)]
    if proposals.empty:
        return None
    finished = set(proposals["model"].unique())
    models = [model for model in data.spec.models if model in finished]
    blocks = proposals.assign(
        seconds=proposals["seconds_fit"] + proposals["seconds_acquisition"],
        block=(proposals["evaluation"] - 1) // _BLOCK,
        learned=proposals["evaluation"] - 1,
    ).groupby(["model", "block"])
    table = blocks[["learned", *_PARTS]].mean().reset_index()
    with house_style():
        figure = new_figure(10.0, 3.7)
        grid = figure.subplots(1, len(_PARTS), sharex=True, sharey=True)
        for axes, (column, title) in zip(grid, _PARTS.items(), strict=True):
            for model in models:
                _draw_line(axes, table[table["model"] == model], column, model)
            axes.set_title(title, loc="left")
            axes.set_xlabel("evaluations so far")
            tidy(axes)
        _seconds_axis(grid[0])
        legend_above(figure, line_handles(models), entry_width=1.75)
        settle(figure)
    return Picture(name="seconds", title="Seconds a step", caption=_CAPTION, figure=figure)


def _draw_line(axes: Axes, table: pd.DataFrame, column: str, model: str) -> None:
    shown = table[table[column] > 0]
    axes.plot(
        shown["learned"],
        shown[column],
        color=look(model).colour,
        linestyle=look(model).line,
        linewidth=line_width(emphasized=False),
        marker=look(model).marker,
        markersize=5,
    )


def _seconds_axis(axes: Axes) -> None:
    log_scale(axes)
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    axes.set_ylabel("seconds")
