"""Ghosts: how many promises were broken against how far off the promises were, one mark a model."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import PercentFormatter

from surrogate_opt.study.bayesian.comparisons import SOBOL, Findings
from surrogate_opt.study.bayesian.figures.looks import look
from surrogate_opt.study.bayesian.summaries import HALVES
from surrogate_opt.study.figures.style import (
    Picture,
    house_style,
    legend_above,
    new_figure,
    settle,
    tidy,
)
from surrogate_opt.study.paired_tests import bootstrap_interval

_CAPTION = (
    "What the proposals promised and what came of it, mean over the instances of a half with 95% bootstrap "
    "intervals. Across: mean size of truth less prediction at the proposals. Up: of the proposals that "
    "promised an improvement, the share that brought none; a run that promised none has no share. "
    "Down and left is better: right is promises that "
    "are far off, up is promises that are broken. Sobol search promises nothing and is not shown. Intervals "
    "of models may overlap and yet differ on every instance: the paired tables decide."
)


def draw_ghosts(findings: Findings, models: Sequence[str]) -> Picture | None:
    """The picture; None where no model promised anything."""
    columns = ["optimism_size", "phantom_share"]
    runs = findings.runs.dropna(subset=columns, how="all")
    halves = [half for half in HALVES if half in set(runs.loc[runs["phantom_share"].notna(), "half"])]
    if not halves:
        return None
    shown = [model for model in models if model != SOBOL and model in set(runs["model"])]
    with house_style():
        figure = new_figure(1.6 + 4.4 * len(halves), 4.6)
        grid = figure.subplots(1, len(halves), sharex=True, sharey=True, squeeze=False)[0]
        for axes, half in zip(grid, halves, strict=True):
            part = runs[runs["half"] == half]
            for model in shown:
                _draw_model(axes, part.loc[part["model"] == model, columns], model)
            axes.set_title(f"{half} problems ({part['problem'].nunique()})", loc="left")
            axes.set_xlabel("mean |optimism| at the proposals\n(standard deviations of the truth)")
            axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
            tidy(axes)
        grid[0].set_xlim(left=0)
        grid[0].set_ylim(bottom=0)
        grid[0].set_ylabel("phantom share: broken promises\nof an improvement")
        legend_above(figure, [_handle(model) for model in shown], entry_width=1.6)
        settle(figure)
    return Picture(name="ghosts", title="Ghosts", caption=_CAPTION, figure=figure)


def _draw_model(axes: Axes, values: pd.DataFrame, model: str) -> None:
    across, up = values.mean()
    if math.isnan(across) or math.isnan(up):
        return
    colour = look(model).colour
    sizes, shares = (values[name].dropna().to_numpy() for name in values)
    if len(sizes) > 1:
        axes.plot(bootstrap_interval(sizes, seed=0), [up, up], color=colour, linewidth=1.0, alpha=0.6)
    if len(shares) > 1:
        heights = bootstrap_interval(shares, seed=0)
        axes.plot([across, across], heights, color=colour, linewidth=1.0, alpha=0.6)
    axes.plot([across], [up], marker=look(model).marker, markersize=9, color=colour)


def _handle(model: str) -> Line2D:
    return Line2D([], [], color=look(model).colour, linestyle="", marker=look(model).marker, label=model)
