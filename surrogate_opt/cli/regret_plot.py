"""A run of Bayesian optimization as a picture: how it went above, what its proposals promised below."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from surrogate_opt.cli.bo_run import NUM_SOBOL_SEARCHES, BayesianRun
from surrogate_opt.study.figures.style import (
    ALARM,
    GREY,
    LIGHT_GREY,
    house_style,
    log_scale,
    new_figure,
    save_png,
    settle,
    tidy,
)

_BLUE = "#0072B2"
_FLOOR = 1e-3
"""Standard deviations of the truth; what is below counts as solved."""


def write_plot(path: Path, run: BayesianRun, title: str) -> None:
    """Draw a run into a PNG file."""
    save_png(draw_run(run, title), path)


def draw_run(run: BayesianRun, title: str) -> Figure:
    """The figure.

    Args:
        run: what to draw.
        title: what was run.
    """
    with house_style():
        figure = new_figure(7.6, 7.0)
        regret, promises = figure.subplots(2, 1, sharex=True, height_ratios=[2, 3])
        _draw_regret(regret, run)
        _draw_promises(promises, run)
        for axes in (regret, promises):
            axes.axvspan(0.5, run.num_initial + 0.5, color=LIGHT_GREY, alpha=0.45, linewidth=0, zorder=0)
            tidy(axes, grid="y")
        promises.set_xlim(0.5, len(run.history) + 0.5)
        promises.xaxis.set_major_locator(MaxNLocator(8, integer=True))
        promises.set_xlabel("evaluations (grey: first points, without a model)")
        figure.suptitle(title)
        return settle(figure)


def _draw_regret(axes: Axes, run: BayesianRun) -> None:
    number = run.history["evaluation"]
    regret = run.history["regret"].clip(lower=_FLOOR)
    axes.plot(number, regret, color=_BLUE, linewidth=2.2, drawstyle="steps-post", label="this run")
    low, median, high = np.quantile(run.sobol_regret, [0.25, 0.5, 0.75], axis=0).clip(_FLOOR)
    axes.plot(
        number,
        median,
        color=GREY,
        linestyle=":",
        drawstyle="steps-post",
        label=f"without a model: median of {NUM_SOBOL_SEARCHES} Sobol searches",
    )
    axes.fill_between(
        number, low, high, color=GREY, alpha=0.2, linewidth=0, step="post", label="their quartiles"
    )
    log_scale(axes)
    axes.set_ylabel("regret (std of the truth)")
    axes.set_title("How far the best point so far is from the optimum", loc="left", pad=20)
    _legend_below_title(axes)


def _draw_promises(axes: Axes, run: BayesianRun) -> None:
    """Predictions and truths as heights over the optimum."""
    scale, optimum = run.problem.output_std, float(run.problem.optimal_value)
    history, proposals = run.history, run.proposals
    came = (history["truth"] - optimum) / scale
    predicted = (proposals["predicted_mean"] - optimum) / scale
    axes.errorbar(
        proposals["evaluation"],
        predicted,
        yerr=proposals["predicted_std"] / scale,
        color=GREY,
        linestyle="",
        marker="_",
        markersize=7,
        elinewidth=0.8,
        label="predicted ± std",
    )
    phantom, broken = history["phantom"], proposals.index[proposals["phantom"]]
    axes.vlines(history["evaluation"][broken], predicted[broken], came[broken], color=ALARM, linestyle=":")
    noise = "" if history["truth"].equals(history["y"]) else ", without its noise"
    for kept, colour, marker, label in (
        (~phantom, "black", "o", f"what came{noise}"),
        (phantom, ALARM, "X", "phantom: an improvement was promised, none came"),
    ):
        axes.scatter(
            history["evaluation"][kept], came[kept], s=24, color=colour, marker=marker, label=label, zorder=3
        )
    axes.plot(
        history["evaluation"], history["regret"], color=_BLUE, drawstyle="steps-post", label="best so far"
    )
    axes.axhline(0.0, color="black", linewidth=0.8, linestyle="--", label="optimum")
    # The widest error bars would leave no room for all else, and are cut off.
    heights = pd.concat([came, predicted, pd.Series([0.0])])
    margin = 0.06 * float(heights.max() - heights.min())
    axes.set_ylim(float(heights.min()) - margin, float(heights.max()) + margin)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.set_ylabel("value less the optimum (std of the truth)")
    axes.set_title("What each proposal promised, and what came", loc="left", pad=34)
    _legend_below_title(axes)


def _legend_below_title(axes: Axes) -> None:
    axes.legend(
        frameon=False,
        loc="lower left",
        bbox_to_anchor=(-0.01, 0.985),
        ncols=3,
        columnspacing=1.4,
        handlelength=1.6,
        borderaxespad=0.0,
    )
