"""What learned plants cost in closed loop, what their plans promised, how wrong their derivatives are."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from surrogate_opt.study.control.comparisons import Findings
from surrogate_opt.study.control.spec import ControlStudySpec
from surrogate_opt.study.figures.style import (
    GREY,
    Picture,
    house_style,
    legend_above,
    log_scale,
    method_style,
    new_figure,
    settle,
    tidy,
)

_PANELS = (
    ("cost_ratio", "cost, times the oracle's"),
    ("plan_gap_size", "|plan gap|, times the cost\nof the oracle's plans"),
    ("gradient_error", "error of the derivatives,\ntimes their mean size"),
)
_SHIFT = 0.17


def draw_costs(spec: ControlStudySpec, findings: Findings) -> Picture | None:
    """The picture, under the first planner; None where nothing is stored of it."""
    runs = findings.runs[findings.runs["controller"] == spec.controllers[0]]
    plants = [name for name in spec.plants if name in set(runs["plant"])]
    if not plants:
        return None
    sizes = sorted(spec.num_train)
    with house_style():
        figure = new_figure(8.6, 1.1 + (0.5 + 0.2 * len(spec.methods)) * len(plants))
        grid = figure.subplots(len(plants), len(_PANELS), sharex="col", sharey=True, squeeze=False)
        for row, plant in enumerate(plants):
            part = runs[runs["plant"] == plant]
            for column, (name, label) in enumerate(_PANELS):
                axes = grid[row, column]
                _draw_panel(axes, part, name, spec.methods, sizes)
                if row == len(plants) - 1:
                    axes.set_xlabel(label)
                    log_scale(axes, "x")
            grid[row, 0].set_title(_title(plant, part), loc="left")
        grid[0, 0].set_yticks(range(len(spec.methods)), spec.methods)
        grid[0, 0].set_ylim(len(spec.methods) - 0.5, -0.5)
        legend_above(figure, _handles(sizes), entry_width=2.4)
        settle(figure)
    return Picture(
        name="costs",
        title="What learned plants cost",
        caption=f"Closed loops planned by {spec.controllers[0]} on each method's surrogates: median over "
        "instances, bars the quartiles. Left: cost over the oracle's, dashed where it is as low. Middle: how "
        "far the plans were from what they would have cost on the true plant. Right: how wrong the "
        "surrogate's derivatives are all over the data's box. All scales are logarithmic. Intervals may "
        "overlap where methods differ on every instance: the paired tables decide.",
        figure=figure,
    )


def _title(plant: str, part: pd.DataFrame) -> str:
    solved = "" if part["solved"].all() else ", not solved by the oracle"
    return f"{plant.replace('_', ' ')} (n = {part['instance'].nunique()}{solved})"


def _draw_panel(
    axes: Axes, part: pd.DataFrame, column: str, methods: Sequence[str], sizes: Sequence[int]
) -> None:
    for place, size in enumerate(sizes):
        shift = _SHIFT * (2.0 * place / max(1, len(sizes) - 1) - 1.0) if len(sizes) > 1 else 0.0
        for row, method in enumerate(methods):
            chosen = (part["method"] == method) & (part["num_train"] == size)
            values = part.loc[chosen, column].to_numpy(dtype=np.float64)
            values = values[np.isfinite(values)]
            if not values.size:
                continue
            low, middle, high = np.quantile(values, [0.25, 0.5, 0.75])
            style = method_style(method)
            filled = place == len(sizes) - 1
            axes.plot([low, high], [row + shift] * 2, color=style.colour, linewidth=1.2)
            axes.plot(
                [middle],
                [row + shift],
                marker=style.marker,
                markersize=5,
                color=style.colour,
                markerfacecolor=style.colour if filled else "white",
            )
    if column == "cost_ratio":
        axes.axvline(1.0, color=GREY, linestyle="--", linewidth=1.0)
    tidy(axes, grid="x")


def _handles(sizes: Sequence[int]) -> list[Line2D]:
    handles = [
        Line2D(
            [],
            [],
            marker="s",
            linestyle="",
            color=GREY,
            markerfacecolor=GREY if size == sizes[-1] else "white",
            label=f"{size:,} transitions",
        )
        for size in sizes
    ]
    return [*handles, Line2D([], [], color=GREY, linestyle="--", label="as the oracle")]
