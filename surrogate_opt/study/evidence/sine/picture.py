"""Figures 5 and 6: what networks under SpectReg make of 100 noisy points of a sine."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from surrogate_opt.study.evidence.sine.cells import SineCell, SineSpec, grid, sine, training_points
from surrogate_opt.study.figures.style import (
    GREY,
    house_style,
    legend_above,
    new_figure,
    settle_into,
    tidy,
)

_COLUMNS: Final = 4
_FIT, _TRUTH, _PLAIN = "#0072B2", "#000000", "#D55E00"
_ZOOM: Final = (0.05, 0.6)

_Curves = dict[float, list[float]]
"""What a network makes of the grid, by weight."""


def draw_sine(table: pd.DataFrame, folder: Path, spec: SineSpec) -> list[Path]:
    """Draw the first run: ``weights.png``, a panel a weight; ``zoom.png``, no penalty and the best weight."""
    first = table[table["run"] == 0]
    curves = dict(zip(first["weight"], first["curve"], strict=True))
    errors = {weight: float(table[table["weight"] == weight]["mse"].mean()) for weight in curves}
    cell = SineCell(spec=spec, instance=0)
    points = np.stack([part[:, 0].numpy() for part in training_points(cell)])
    with house_style():
        return [
            _weights(curves, errors, points, folder),
            _zoom(curves, errors, points, folder),
        ]


def _weights(
    curves: dict[float, list[float]],
    errors: dict[float, float],
    points: Float[np.ndarray, "2 n"],
    folder: Path,
) -> Path:
    rows = -(-len(curves) // _COLUMNS)
    figure = new_figure(9.6, 1.9 * rows + 0.6)
    panels = figure.subplots(rows, _COLUMNS, sharex=True, sharey=True, squeeze=False).ravel()
    for axes, (weight, curve) in zip(panels, curves.items(), strict=False):
        _background(axes, points)
        axes.plot(grid()[:, 0], curve, color=_FIT, linewidth=1.4)
        axes.set_title(f"λ = {weight:g}, MSE {errors[weight]:.2g}")
    for axes in panels[len(curves) :]:
        axes.set_axis_off()
    for axes in panels[-_COLUMNS:]:
        axes.set_xlabel("x")
    legend_above(figure, [*_handles(), _line(_FIT, "network under SpectReg")], entry_width=2.4)
    return settle_into(figure, folder, "weights")


def _zoom(
    curves: dict[float, list[float]],
    errors: dict[float, float],
    points: Float[np.ndarray, "2 n"],
    folder: Path,
) -> Path:
    best = min(errors, key=errors.__getitem__)
    figure = new_figure(6.4, 4.0)
    axes = figure.subplots()
    _background(axes, points)
    for weight, colour in ((0.0, _PLAIN), (best, _FIT)):
        axes.plot(grid()[:, 0], curves[weight], color=colour, linewidth=1.6)
    axes.set_xlim(*_ZOOM)
    axes.set_ylim(0.0, 1.35)
    axes.set_xlabel("x")
    axes.set_ylabel("y")
    lines = [
        _line(_PLAIN, f"no penalty, MSE {errors[0.0]:.2g}"),
        _line(_FIT, f"λ = {best:g}, MSE {errors[best]:.2g}"),
    ]
    legend_above(figure, [*_handles(), *lines], entry_width=2.2)
    return settle_into(figure, folder, "zoom")


def _background(axes: Axes, points: Float[np.ndarray, "2 n"]) -> None:
    axes.plot(*points, linestyle="none", marker=".", markersize=3, color=GREY)
    axes.plot(grid()[:, 0], sine(grid())[:, 0], color=_TRUTH, linewidth=0.9, linestyle="--")
    tidy(axes)


def _handles() -> list[Line2D]:
    points = Line2D([], [], linestyle="none", marker=".", color=GREY, label="training points")
    return [points, Line2D([], [], color=_TRUTH, linestyle="--", linewidth=0.9, label="sin(5x)")]


def _line(colour: str, label: str) -> Line2D:
    return Line2D([], [], color=colour, label=label)
