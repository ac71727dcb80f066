"""Planners that follow gradients beside planners that never see one, on the same surrogates."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from surrogate_opt.study.control.comparisons import Findings
from surrogate_opt.study.control.spec import GRADIENT_FREE, ControlStudySpec
from surrogate_opt.study.figures.style import (
    GREY,
    Picture,
    house_style,
    legend_above,
    log_scale,
    new_figure,
    settle,
    tidy,
)

_COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7")  # Okabe & Ito 2008
_MARKERS = ("o", "s", "^", "D")
_PANELS = (("cost_ratio", "cost, times the planner's own oracle's"), ("plan_gap_size", "|plan gap|"))


def draw_planners(spec: ControlStudySpec, findings: Findings) -> Picture | None:
    """The picture; None where the study has not both kinds of planners."""
    kinds = {name in GRADIENT_FREE for name in spec.controllers}
    runs = findings.shared[findings.shared["solved"]]
    plants = [name for name in spec.plants if name in set(runs["plant"])]
    if len(kinds) < 2 or not plants:
        return None
    size = min(spec.num_train)
    runs = runs[runs["num_train"] == size]
    with house_style():
        figure = new_figure(8.2, 1.3 + 0.42 * len(plants))
        grid = figure.subplots(1, len(_PANELS), sharey=True)
        for axes, (column, label) in zip(grid, _PANELS, strict=True):
            _draw_panel(axes, runs, column, plants, spec.controllers)
            axes.set_xlabel(label)
        grid[0].set_yticks(range(len(plants)), [name.replace("_", " ") for name in plants])
        grid[0].set_ylim(len(plants) - 0.5, -0.5)
        legend_above(figure, _handles(spec.controllers), entry_width=2.0)
        settle(figure)
    return Picture(
        name="planners",
        title="With and without gradients",
        caption="The same surrogates and starts under different planners: mean over the methods, median and "
        f"quartiles over instances, {size:,} transitions. Filled marks follow the surrogate's gradients, "
        "hollow ones draw samples and never see a gradient. A ghost of the gradient would push the filled "
        "marks to the right of the hollow ones. Tasks that a planner does not solve on the true plant are "
        "left out.",
        figure=figure,
    )


def _draw_panel(
    axes: Axes, runs: pd.DataFrame, column: str, plants: Sequence[str], controllers: Sequence[str]
) -> None:
    means = runs.groupby(["plant", "controller", "instance"])[column].mean()
    for place, controller in enumerate(controllers):
        shift = 0.5 * (place + 0.5) / len(controllers) - 0.25
        for row, plant in enumerate(plants):
            values = means.get((plant, controller), pd.Series(dtype=float)).to_numpy(dtype=np.float64)
            values = values[np.isfinite(values)]
            if not values.size:
                continue
            low, middle, high = np.quantile(values, [0.25, 0.5, 0.75])
            axes.plot([low, high], [row + shift] * 2, color=_COLOURS[place], linewidth=1.2)
            axes.plot([middle], [row + shift], **_look(place, controller))
    if column == "cost_ratio":
        axes.axvline(1.0, color=GREY, linestyle="--", linewidth=1.0)
    log_scale(axes, "x")
    tidy(axes, grid="x")


def _look(place: int, controller: str) -> dict[str, Any]:
    return {
        "marker": _MARKERS[place],
        "markersize": 5.5,
        "color": _COLOURS[place],
        "markerfacecolor": "white" if controller in GRADIENT_FREE else _COLOURS[place],
        "linestyle": "",
    }


def _handles(controllers: Sequence[str]) -> list[Line2D]:
    return [Line2D([], [], label=name, **_look(place, name)) for place, name in enumerate(controllers)]
