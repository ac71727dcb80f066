"""Figure 1: gradient norms and test error against DREG's strength, family by family."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from surrogate_opt.study.figures.style import (
    GREY,
    house_style,
    legend_above,
    log_scale,
    new_figure,
    settle_into,
    tidy,
)
from surrogate_opt.study.text_tables import number

_NORM, _ERROR = "#D55E00", "#0072B2"
_QUARTILES = (0.25, 0.5, 0.75)


def draw_synthetic(table: pd.DataFrame, folder: Path) -> list[Path]:
    """Draw ``strengths.png``: everything relative to no penalty, median and quartiles over instances."""
    problems, activations = (list(dict.fromkeys(table[name])) for name in ("problem", "activation"))
    with house_style():
        figure = new_figure(2.3 * len(problems) + 0.6, 2.5 * len(activations) + 0.8)
        grid = figure.subplots(len(activations), len(problems), squeeze=False)
        for panels, activation in zip(grid, activations, strict=True):
            for axes, problem in zip(panels, problems, strict=True):
                own = table[(table["problem"] == problem) & (table["activation"] == activation)]
                _panel(axes, own, f"{problem}, {activation}")
            panels[0].set_ylabel("relative to no penalty")
        figure.supxlabel("DREG weight λ", fontsize=9.0)
        handles = [
            Line2D([], [], color=_NORM, marker="o", label="gradient norm, 90th percentile"),
            Line2D([], [], color=_ERROR, marker="s", label="test error"),
        ]
        legend_above(figure, handles, entry_width=3.0)
        return [settle_into(figure, folder, "strengths")]


def _panel(axes: Axes, table: pd.DataFrame, title: str) -> None:
    means = table.groupby(["instance", "strength"])[["p90", "test_mse", "r2"]].mean().unstack("strength")
    strengths = np.array([float(strength) for strength in means["p90"].columns])
    places = np.arange(len(strengths))
    for name, colour, marker in (("p90", _NORM, "o"), ("test_mse", _ERROR, "s")):
        ratio = means[name].div(means[name][0.0], axis=0)
        low, middle, high = (ratio.quantile(level) for level in _QUARTILES)
        axes.fill_between(places, low, high, color=colour, alpha=0.2, linewidth=0)
        axes.plot(places, middle, color=colour, marker=marker, markersize=4)
    axes.axhline(1.0, color=GREY, linewidth=0.8)
    log_scale(axes)
    axes.set_xticks(places, ["0", *(f"{strength:.0e}".replace("e-0", "e-") for strength in strengths[1:])])
    axes.tick_params(axis="x", rotation=60)
    weak, strong = (float(means["r2"][strength].mean()) for strength in (0.0, strengths[-1]))
    axes.set_title(f"{title}\nR² {number(weak, 2)} → {number(strong, 2)}")
    tidy(axes)
