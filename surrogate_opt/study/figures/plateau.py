"""Plateau curves: what grows and what falls as a method gets stronger, one column a method."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from surrogate_opt.penalties import get_method
from surrogate_opt.study.figures.norms import norm_counts, norm_quantile, norm_tail_ratio
from surrogate_opt.study.figures.style import (
    GREY,
    LIGHT_GREY,
    Picture,
    house_style,
    legend_above,
    method_style,
    new_figure,
    settle,
    tidy,
)
from surrogate_opt.study.tables import StudyData, loop_label

_DASHES: tuple[object, ...] = ("-", (0, (6, 1.5)), (0, (3, 1.5)), (0, (1, 1)), (0, (6, 1.5, 1, 1.5)))
_FAMILY_MARKERS = "osD^v"
_LOWEST = 1 / 40  # of ratios: below, a surrogate is flat

_CAPTION = (
    "What each method does as it gets stronger, from left (weak) to right. One line a family, the mean over "
    "its instances. The bars at the foot say which strengths the plateau rule chose; the dotted vertical "
    "line is the papers' fixed strength. Grey horizontal lines are what to compare with: the same figure "
    "without any penalty (first and fifth row), the truth's own gradients (second and third), no optimism "
    "(fourth). The plateau rule stops where the first row begins to climb. A method that keeps its promise "
    "lowers the fourth and fifth rows before that; lower tails in the second row alone show only that the "
    "surrogate is flatter than before. A strength that not every instance of a family needed has no point."
)


@dataclass(frozen=True, kw_only=True)
class _Row:
    """One row of panels: a column of the data, and a reference of each family to put it beside."""

    label: str
    column: str
    reference: Callable[[StudyData, str], float]
    combine: Callable[[pd.Series, float], pd.Series]
    level: float
    logarithmic: bool


def draw_plateau(data: StudyData) -> Picture | None:
    """The picture, from every strength's rows; None where no method has a strength."""
    methods = [name for name in data.spec.methods if get_method(name).num_points > 1]
    if not methods:
        return None
    families = list(dict.fromkeys(data.surrogates["family"]))
    rows = _rows(data)
    with house_style():
        figure = new_figure(max(4.0, 1.0 + 2.5 * len(methods)), 10.0)
        grid = figure.subplots(
            len(rows) + 1,
            len(methods),
            sharex="col",
            sharey="row",
            squeeze=False,
            height_ratios=[1.0] * len(rows) + [0.45],
        )
        for column, method in enumerate(methods):
            part = data.surrogates[data.surrogates["method"] == method]
            for index, row in enumerate(rows):
                _draw_curves(grid[index, column], data, part, row, families, method)
            _draw_choices(grid[-1, column], data, part, method)
            grid[0, column].set_title(method, loc="left", color=method_style(method).colour, weight="bold")
            _label_strengths(grid[-1, column], part, method)
        for index, row in enumerate(rows):
            grid[index, 0].set_ylabel(row.label)
            if row.logarithmic:
                _plain_log(grid[index, 0])
        grid[-1, 0].set_ylabel("share of\nchoices")
        figure.align_ylabels(list(grid[:, 0]))
        legend_above(figure, _handles(families), entry_width=1.5)
        settle(figure)
    return Picture(name="plateau", title="Strength curves", caption=_CAPTION, figure=figure)


def _rows(data: StudyData) -> list[_Row]:
    loop = data.spec.loops[0]
    name = loop_label(loop)
    return [
        _Row(
            label="out-of-fold error\n÷ that of none",
            column="out_of_fold_mse",
            reference=lambda data, family: _without(data, family, "out_of_fold_mse"),
            combine=lambda values, reference: values / reference,
            level=1.0,
            logarithmic=True,
        ),
        _Row(
            label="gradient p99 / mean\n÷ the truth's",
            column="sensitivity.tail_ratio",
            reference=lambda data, family: norm_tail_ratio(norm_counts(data, family, "truth")),
            combine=lambda values, reference: values / reference,
            level=1.0,
            logarithmic=True,
        ),
        _Row(
            label="gradient p99\n÷ the truth's",
            column="sensitivity.p99",
            reference=lambda data, family: norm_quantile(norm_counts(data, family, "truth"), 0.99),
            combine=lambda values, reference: values / reference,
            level=1.0,
            logarithmic=True,
        ),
        _Row(
            label=f"optimism, {name}\n(std. dev. of the truth)",
            column=f"{loop}.optimism",
            reference=lambda data, family: 0.0,
            combine=lambda values, reference: values - reference,
            level=0.0,
            logarithmic=False,
        ),
        _Row(
            label=f"regret, {name}, above\nthat of none (std. dev.)",
            column=f"{loop}.regret_selected",
            reference=lambda data, family: _without(data, family, f"{loop}.regret_selected"),
            combine=lambda values, reference: values - reference,
            level=0.0,
            logarithmic=False,
        ),
    ]


def _without(data: StudyData, family: str, column: str) -> float:
    """The family's mean without a penalty; of the weakest strengths where "none" is not in the study."""
    part = data.surrogates[data.surrogates["family"] == family]
    bare = part[part["method"] == "none"]
    if bare.empty:
        bare = part[part["position"] == 0]
    return float(bare[column].mean())


def _draw_curves(
    axes: Axes, data: StudyData, part: pd.DataFrame, row: _Row, families: list[str], method: str
) -> None:
    axes.axhline(row.level, color=GREY, linewidth=1.0)
    axes.axvline(_paper_position(part), color=GREY, linestyle=":", linewidth=1.2)
    for place, family in enumerate(families):
        own = part[part["family"] == family]
        curve = row.combine(_mean_curve(own, row.column), row.reference(data, family))
        axes.plot(
            curve.index,
            curve.to_numpy(),
            color=method_style(method).colour,
            linestyle=_DASHES[place % len(_DASHES)],
            marker=_FAMILY_MARKERS[place % len(_FAMILY_MARKERS)],
            markersize=3.2,
            markerfacecolor="white",
            markeredgewidth=0.8,
            linewidth=1.0,
        )
    tidy(axes)


def _mean_curve(part: pd.DataFrame, column: str) -> pd.Series:
    """Means over instances, at those positions that every instance tried."""
    table = part.pivot(index="instance", columns="position", values=column)
    return table.loc[:, table.notna().all()].mean()


def _paper_position(part: pd.DataFrame) -> float:
    return float(part.loc[part["paper"], "position"].median())


def _draw_choices(axes: Axes, data: StudyData, part: pd.DataFrame, method: str) -> None:
    counts = part.loc[part["chosen"], "position"].value_counts()
    axes.bar(counts.index, counts.to_numpy() / counts.sum(), color=method_style(method).colour, alpha=0.8)
    axes.axvline(_paper_position(part), color=GREY, linestyle=":", linewidth=1.2)
    axes.set_ylim(bottom=0)
    tidy(axes, grid="y")


def _label_strengths(axes: Axes, part: pd.DataFrame, method: str) -> None:
    levels = part.groupby("position")["level"].first()
    axes.set_xticks(
        levels.index,
        [f"{level:.1g}" if level < 0.5 else f"{level:.2g}" for level in levels],
        rotation=60,
        ha="right",
        rotation_mode="anchor",
    )
    axes.set_xlim(levels.index.min() - 0.6, levels.index.max() + 0.6)
    label = get_method(method).label
    axes.set_xlabel(label if len(label) < 28 else label.replace(" of ", " of\n", 1))


def _plain_log(axes: Axes) -> None:
    """Powers of 2 in plain numbers, and their halves on a short axis; what has collapsed runs off below."""
    axes.set_yscale("log", base=2)
    low, high = axes.get_ylim()
    low = max(low, _LOWEST)
    power = 0.5 if high / low < 6.0 else 1.0
    exponents = np.arange(np.floor(np.log2(low)), np.ceil(np.log2(high)) + 1, power)
    inside = [tick for tick in 2.0**exponents if low <= tick <= high]
    axes.set_ylim(low, high)
    axes.set_yticks(inside, [f"{tick:.2g}" if tick >= 0.2 else f"1/{1 / tick:.0f}" for tick in inside])
    axes.minorticks_off()


def _handles(families: list[str]) -> list[Line2D | Patch]:
    lines: list[Line2D | Patch] = [
        Line2D(
            [],
            [],
            color=GREY,
            linestyle=_DASHES[place % len(_DASHES)],  # type: ignore[arg-type]  # pairs are dashes too
            marker=_FAMILY_MARKERS[place % len(_FAMILY_MARKERS)],
            markersize=3.2,
            markerfacecolor="white",
            label=family,
        )
        for place, family in enumerate(families)
    ]
    return [
        *lines,
        Line2D([], [], color=GREY, linestyle=":", label="papers' strength"),
        Patch(color=LIGHT_GREY, label="plateau choices"),
    ]
