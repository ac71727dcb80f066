"""Regret of each method, and what its loops promised against what they got, one column a family."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from surrogate_opt.study.figures.style import (
    ALARM,
    GREY,
    Picture,
    house_style,
    legend_above,
    method_style,
    new_figure,
    settle,
    tidy,
)
from surrogate_opt.study.paired_tests import bootstrap_interval
from surrogate_opt.study.tables import SETTING_NAMES, Setting, StudyData, loop_label

_SHIFT: dict[Setting, float] = {"chosen": -0.16, "paper": 0.18}


def draw_regret(data: StudyData) -> Picture:
    """The picture, from the rows of the first loop."""
    families = list(dict.fromkeys(data.surrogates["family"]))
    methods = [name for name in data.spec.methods if name in set(data.surrogates["method"])]
    loop = data.spec.loops[0]
    with house_style():
        figure = new_figure(max(4.5, 1.2 + 1.95 * len(families)), 2.2 + 0.62 * len(methods))
        grid = figure.subplots(2, len(families), sharex="col", sharey=True, squeeze=False)
        for column, family in enumerate(families):
            _draw_regrets(grid[0, column], data, family, methods)
            _draw_promises(grid[1, column], data, family, methods)
            grid[0, column].set_title(family, loc="left")
        grid[0, 0].set_yticks(range(len(methods)), methods)
        grid[0, 0].set_ylim(len(methods) - 0.5, -0.5)
        grid[0, 0].set_ylabel("regret of the\nselected end point")
        grid[1, 0].set_ylabel("promise and truth,\nmean over end points")
        figure.supxlabel(
            "above the true optimum (standard deviations of the truth; 0 is the optimum)", fontsize=9
        )
        legend_above(figure, _handles(), entry_width=1.8)
        settle(figure)
    return Picture(
        name="regret", title="What the loops cost", caption=_caption(loop_label(loop)), figure=figure
    )


def _caption(loop: str) -> str:
    return (
        "Above: the regret a user would pay, f at the end point with the lowest prediction less f*, "
        f"after {loop} from every start; mean over instances with a 95% bootstrap interval. The dashed "
        "line is what the same loop pays on the truth itself. Below: where the surrogate promised its "
        "end points would lie (stroke) and where they lie in truth (dot), the mean error over the box "
        "taken off; the bar between them is the optimism, the ghost signal, grey where the truth was "
        "kinder than the promise. A stroke left of 0 promises more than the problem has to give. Pale "
        "marks: more than half of those surrogates are degenerate (collapsed or hardly better than a "
        "plane). Intervals of methods may overlap and yet differ on every instance: the paired tables "
        "decide."
    )


def _draw_regrets(axes: Axes, data: StudyData, family: str, methods: list[str]) -> None:
    loop = data.spec.loops[0]
    own = data.truths.loc[data.truths["family"] == family, f"{loop}.regret_selected"]
    axes.axvline(float(own.mean()), color=GREY, linestyle="--", linewidth=1.0)
    for setting, shift in _SHIFT.items():
        for row, method in enumerate(methods):
            values = _values(data, setting, family, method, f"{loop}.regret_selected")
            if not values.size:
                continue
            mean, alpha = float(values.mean()), _opacity(data, setting, family, method)
            style = method_style(method)
            if values.size > 1:
                low, high = bootstrap_interval(values, seed=0)
                axes.plot([low, high], [row + shift] * 2, color=style.colour, linewidth=1.2, alpha=alpha)
            axes.plot(
                [mean],
                [row + shift],
                marker=style.marker,
                markersize=5,
                color=style.colour,
                markerfacecolor=style.colour if setting == "chosen" else "white",
                alpha=alpha,
            )
    tidy(axes, grid="x")


def _draw_promises(axes: Axes, data: StudyData, family: str, methods: list[str]) -> None:
    loop = data.spec.loops[0]
    axes.axvline(0.0, color=GREY, linewidth=0.8)
    for setting, shift in _SHIFT.items():
        for row, method in enumerate(methods):
            got = _values(data, setting, family, method, f"{loop}.regret_mean")
            gap = _values(data, setting, family, method, f"{loop}.optimism")
            if not got.size or not gap.size:
                continue
            truth, promise = float(got.mean()), float(got.mean() - gap.mean())
            colour, alpha = method_style(method).colour, _opacity(data, setting, family, method)
            bar = ALARM if truth > promise else GREY
            axes.plot([promise, truth], [row + shift] * 2, color=bar, linewidth=1.8, alpha=0.8 * alpha)
            axes.plot(
                [promise],
                [row + shift],
                marker="|",
                markersize=8,
                markeredgewidth=2.2,
                color=colour,
                alpha=alpha,
            )
            axes.plot(
                [truth],
                [row + shift],
                marker="o",
                markersize=4.8,
                color=colour,
                markerfacecolor=colour if setting == "chosen" else "white",
                alpha=alpha,
            )
    tidy(axes, grid="x")


def _opacity(data: StudyData, setting: Setting, family: str, method: str) -> float:
    """Pale where more than half of the surrogates are degenerate."""
    part = data.at(setting)
    kinds = part.loc[(part["family"] == family) & (part["method"] == method), "degeneracy.kind"]
    return 0.35 if (kinds != "sound").mean() > 0.5 else 1.0


def _values(data: StudyData, setting: Setting, family: str, method: str, column: str) -> np.ndarray:
    part: pd.DataFrame = data.at(setting)
    part = part[(part["family"] == family) & (part["method"] == method)]
    values: np.ndarray = part[column].to_numpy(dtype=np.float64)
    finite: np.ndarray = values[np.isfinite(values)]
    return finite


def _handles() -> list[Line2D]:
    def mark(marker: str, fill: str, label: str) -> Line2D:
        return Line2D([], [], marker=marker, color=GREY, markerfacecolor=fill, linestyle="", label=label)

    return [
        mark("s", GREY, f"{SETTING_NAMES['chosen']} strength"),
        mark("s", "white", f"{SETTING_NAMES['paper']} strength (hollow)"),
        Line2D([], [], color=GREY, linestyle="--", label="the truth's own loop"),
        Line2D(
            [], [], marker="|", markersize=8, markeredgewidth=2.2, color=GREY, linestyle="", label="promised"
        ),
        mark("o", GREY, "got"),
        Line2D([], [], color=ALARM, linewidth=1.8, label="got worse than promised"),
    ]
