"""Regret against evaluations, one panel a problem: medians, and quartiles of the models to watch."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from surrogate_opt.study.bayesian.comparisons import GP, SOBOL, Findings, against
from surrogate_opt.study.bayesian.figures.looks import line_handles, line_width, look
from surrogate_opt.study.bayesian.summaries import finished_runs, problem_names
from surrogate_opt.study.bayesian.tables import BayesianStudyData
from surrogate_opt.study.figures.style import (
    LIGHT_GREY,
    Picture,
    house_style,
    legend_above,
    log_scale,
    new_figure,
    settle,
    tidy,
)

_COLUMNS = 5
_FLOOR = 1e-3
"""Standard deviations; what is below counts as solved."""


def draw_curves(data: BayesianStudyData, findings: Findings) -> Picture | None:
    """The picture; None where no run came to its end."""
    proposals = finished_runs(data)
    finished = set(proposals["problem"].unique())
    names = [name for name in problem_names(data) if name in finished]
    if not names:
        return None
    columns = min(_COLUMNS, len(names))
    rows = math.ceil(len(names) / columns)
    with house_style():
        figure = new_figure(max(6.0, 0.4 + 2.3 * columns), 1.1 + 2.1 * rows)
        grid = figure.subplots(rows, columns, sharex=True, squeeze=False).ravel()
        for axes, name in zip(grid, names, strict=False):
            _draw_problem(axes, data, proposals[proposals["problem"] == name])
            axes.set_title(_title(data, findings, name), loc="left", fontsize=8)
        for axes in grid[len(names) :]:
            axes.remove()
        for axes in grid[len(names) - columns : len(names)]:
            axes.tick_params(labelbottom=True)
        figure.supxlabel("evaluations", fontsize=9)
        figure.supylabel("regret of the best point so far\n(standard deviations of the truth)", fontsize=9)
        initial = Patch(color=LIGHT_GREY, alpha=0.6, label="initial points")
        handles = [*line_handles(data.spec.models, _emphasized(data)), initial]
        legend_above(figure, handles, entry_width=1.75)
        settle(figure)
    return Picture(name="regret_curves", title="Regret", caption=_caption(data), figure=figure)


def _draw_problem(axes: Axes, data: BayesianStudyData, proposals: pd.DataFrame) -> None:
    first = proposals.loc[proposals["initial"].astype(bool), "evaluation"].max()
    axes.axvspan(1, first, color=LIGHT_GREY, alpha=0.6, linewidth=0)
    watched = _emphasized(data)
    for model in [*(name for name in data.spec.models if name not in watched), *watched]:
        runs = proposals[proposals["model"] == model]
        if runs.empty:
            continue
        quartiles = runs.groupby("evaluation")["regret"].quantile(np.array([0.25, 0.5, 0.75])).unstack()
        low, median, high = (quartiles[share].clip(lower=_FLOOR) for share in (0.25, 0.5, 0.75))
        colour, emphasized = look(model).colour, model in watched
        if emphasized:
            axes.fill_between(low.index, low, high, color=colour, alpha=0.15, linewidth=0)
        axes.plot(
            median.index,
            median,
            color=colour,
            linestyle=look(model).line,
            linewidth=line_width(emphasized),
        )
    log_scale(axes)
    axes.set_xlim(1, data.spec.evaluations)
    axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
    tidy(axes, grid="y")


def _emphasized(data: BayesianStudyData) -> list[str]:
    """The models to watch, the most important one last, so that it is drawn above the others."""
    return [name for name in (SOBOL, GP, data.spec.default_model) if name in data.spec.models]


def _title(data: BayesianStudyData, findings: Findings, name: str) -> str:
    problem = data.problems.set_index("name").loc[name]
    tuning = ", tuning" if problem["half"] == "tuning" else ""
    row = against(findings.by_problem[name], GP).get(data.spec.default_model)
    standing = f"\n{row.method} / {row.rival}: {row.verdict.removesuffix(' to say')}" if row else ""
    return f"{name} ({problem['dim']}-d{tuning}){standing}"


def _caption(data: BayesianStudyData) -> str:
    watched = ", ".join(reversed(_emphasized(data)))
    return (
        "Regret of the best point so far, median over the runs that finished; thick, with a band between the "
        f"quartiles: {watched}. Lower is better, and the scale is logarithmic; regret under "
        f"{_FLOOR:g} standard deviations is drawn at {_FLOOR:g}. All models start from the same initial "
        f"points (grey). Under each title: where {data.spec.default_model} stands against gp at the last "
        "evaluation, by the paired test. Bands may overlap although one model wins on nearly every instance, "
        "for instances differ more than models: the paired tables decide."
    )
