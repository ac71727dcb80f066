"""Figure 4: accuracy and the sum of squares of all parameters against DataGrad's weight."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from surrogate_opt.study.figures.style import (
    house_style,
    legend_above,
    log_scale,
    new_figure,
    settle_into,
    tidy,
)

_SQUARES, _ACCURACY = "#000000", "#0072B2"
_COLUMNS: Final = 3
_LEAST: Final = 90.0  # percent; a network that has collapsed further is drawn at the frame


def draw_weights(table: pd.DataFrame, folder: Path) -> list[Path]:
    """Draw ``weights.png``: a panel a weight decay, means over runs with their range."""
    own = table[table["method"] == "datagrad"]
    decays = sorted({float(decay) for decay in own["weight_decay"]})
    columns = min(_COLUMNS, len(decays))
    rows = -(-len(decays) // columns)
    with house_style():
        figure = new_figure(3.2 * columns + 0.6, 2.4 * rows + 0.7)
        panels = figure.subplots(rows, columns, squeeze=False, sharex=True).ravel()
        for number, (axes, decay) in enumerate(zip(panels, decays, strict=False)):
            right = _panel(axes, own[own["weight_decay"] == decay], f"weight decay {decay:g}")
            if number % columns == 0:
                axes.set_ylabel("sum of squares")
            if number % columns == columns - 1 or number == len(decays) - 1:
                right.set_ylabel("test accuracy, %", color=_ACCURACY)
        for axes in panels[len(decays) :]:
            axes.set_axis_off()
        figure.supxlabel("DataGrad weight λ", fontsize=9.0)
        handles = [
            Line2D([], [], color=_SQUARES, marker="o", label="sum of squares of all parameters (left)"),
            Line2D([], [], color=_ACCURACY, marker="s", linestyle="--", label="test accuracy (right)"),
        ]
        legend_above(figure, handles, entry_width=3.0)
        return [settle_into(figure, folder, "weights")]


def _panel(axes: Axes, table: pd.DataFrame, title: str) -> Axes:
    """Draw both figures; returns the axis of the accuracy."""
    right = axes.twinx()
    right.spines["right"].set_visible(True)
    right.tick_params(axis="y", colors=_ACCURACY)
    for panel, name, colour, marker, style in (
        (axes, "squares", _SQUARES, "o", "-"),
        (right, "test", _ACCURACY, "s", "--"),
    ):
        by_weight = table.groupby("weight")[name]
        weights = np.array([float(weight) for weight in by_weight.mean().index])
        low, mean, high = (
            by_weight.agg(statistic).to_numpy(dtype=float) for statistic in ("min", "mean", "max")
        )
        panel.fill_between(weights, low, high, color=colour, alpha=0.15, linewidth=0)
        panel.plot(weights, mean, color=colour, marker=marker, markersize=4, linestyle=style)
    axes.set_ylim(bottom=0.0)
    bottom, top = right.get_ylim()
    if bottom < _LEAST < top:
        right.set_ylim(bottom=_LEAST)
    log_scale(axes, "x")
    axes.set_title(title)
    tidy(axes)
    return right
