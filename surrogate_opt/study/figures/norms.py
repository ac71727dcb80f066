"""Distributions of gradient norms, each method's against the truth's, one panel a family."""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Float, Int
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from surrogate_opt.study.cell import NORM_EDGES
from surrogate_opt.study.figures.style import (
    GREY,
    LIGHT_GREY,
    Picture,
    house_style,
    method_style,
    new_figure,
    settle,
    tidy,
)
from surrogate_opt.study.tables import StudyData

_BIN_WIDTH = NORM_EDGES[1] - NORM_EDGES[0]
_SHOWN = (1e-3, 1 - 1e-4)  # shares of the points between which the axis runs
_COLUMNS = 3

_CAPTION = (
    "How steep the surrogates are, at the plateau strength: the distribution of gradient norms over "
    "scrambled Sobol points of all instances, on a logarithmic axis. Grey is the truth. A line to the "
    "right of the grey has slopes that the truth does not have, a line to its left is too flat; the "
    "triangles below mark each 99th percentile, the tail that loops trip over. A method that only "
    "narrows its line does not become more faithful: compare with the grey, not with the other lines."
)


def norm_counts(data: StudyData, family: str, name: str) -> Int[np.ndarray, " bins"]:
    """The histogram of a method (or of "truth"), summed over a family's instances."""
    total = np.zeros(NORM_EDGES.size - 1, dtype=np.int64)
    for (cell_family, _), arrays in data.arrays.items():
        if cell_family == family and f"{name}.norms" in arrays:
            total += arrays[f"{name}.norms"].numpy()
    return total


def norm_quantile(counts: Int[np.ndarray, " bins"], share: float) -> float:
    """The norm under which a share of the points lies, log-linear within a bin; NaN of an empty histogram."""
    if not counts.sum():
        return float("nan")
    cumulative = np.concatenate([[0.0], np.cumsum(counts) / counts.sum()])
    upper = int(np.searchsorted(cumulative, share, side="left"))
    upper = max(upper, 1)
    below, above = cumulative[upper - 1], cumulative[upper]
    within = (share - below) / (above - below) if above > below else 0.0
    return float(10.0 ** (NORM_EDGES[upper - 1] + within * _BIN_WIDTH))


def norm_tail_ratio(counts: Int[np.ndarray, " bins"]) -> float:
    """The 99th percentile over the mean, from a histogram; NaN of an empty one."""
    if not counts.sum():
        return float("nan")
    middles = 10.0 ** (0.5 * (NORM_EDGES[1:] + NORM_EDGES[:-1]))
    return norm_quantile(counts, 0.99) / float((counts * middles).sum() / counts.sum())


def draw_norms(data: StudyData) -> Picture:
    """The picture, from the stored histograms."""
    families = list(dict.fromkeys(data.surrogates["family"]))
    columns = min(_COLUMNS, len(families) + 1)
    rows = -(-(len(families) + 1) // columns)
    with house_style():
        figure = new_figure(3.4 * columns, 2.5 * rows + 0.3)
        grid = figure.subplots(rows, columns, sharex=True, squeeze=False)
        panels = list(grid.flat)
        for axes, family in zip(panels, families, strict=False):
            _draw_family(axes, data, family)
        _label_norms(panels[0], *_limits(data, families))
        for place, axes in enumerate(panels[: len(families)]):
            axes.tick_params(labelbottom=place + columns >= len(families))
        for axes in panels[len(families) :]:
            axes.set_axis_off()
        panels[len(families)].legend(
            handles=_handles(data.spec.methods), loc="center", frameon=False, title="at the plateau strength"
        )
        figure.supxlabel("gradient norm (standard deviations of the truth per box width)", fontsize=9)
        figure.supylabel("density over the logarithm\n(each panel to its own height)", fontsize=9)
        settle(figure)
    return Picture(name="gradient_norms", title="Gradient norms", caption=_CAPTION, figure=figure)


def _draw_family(axes: Axes, data: StudyData, family: str) -> None:
    truth = norm_counts(data, family, "truth")
    edges = 10.0**NORM_EDGES
    axes.stairs(_density(truth), edges, fill=True, color=LIGHT_GREY)
    _mark_tail(axes, truth, GREY, 0)
    for place, method in enumerate(data.spec.methods, start=1):
        counts = norm_counts(data, family, method)
        if not counts.sum():
            continue
        colour = method_style(method).colour
        first, last = np.flatnonzero(counts)[[0, -1]]
        axes.stairs(_density(counts)[first : last + 1], edges[first : last + 2], color=colour, linewidth=1.3)
        _mark_tail(axes, counts, colour, place)
    axes.set_ylim(bottom=-0.17 * axes.get_ylim()[1])
    axes.axhline(0.0, color=GREY, linewidth=0.6)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    axes.set_title(family, loc="left")
    tidy(axes, grid="x")


def _mark_tail(axes: Axes, counts: Int[np.ndarray, " bins"], colour: str, place: int) -> None:
    """A triangle at the 99th percentile under the axis, staggered so that equal ones stay visible."""
    axes.plot(
        [norm_quantile(counts, 0.99)],
        [0.118 - 0.02 * place],
        marker="^",
        markersize=5.5,
        color=colour,
        markeredgecolor="white",
        markeredgewidth=0.4,
        transform=axes.get_xaxis_transform(),
        clip_on=False,
        zorder=5,
    )


def _label_norms(axes: Axes, low: float, high: float) -> None:
    """A logarithmic axis in plain numbers, two or three a decade."""
    axes.set_xscale("log")
    axes.set_xlim(low, high)
    ticks = [
        factor * 10.0**power
        for power in range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
        for factor in (1.0, 2.0, 5.0)
    ]
    inside = [tick for tick in ticks if low <= tick <= high]
    axes.set_xticks(inside, [f"{tick:.3g}" for tick in inside])
    axes.minorticks_off()


def _density(counts: Int[np.ndarray, " bins"]) -> Float[np.ndarray, " bins"]:
    density: np.ndarray = counts / max(1, counts.sum()) / _BIN_WIDTH
    return density


def _limits(data: StudyData, families: list[str]) -> tuple[float, float]:
    histograms = [
        norm_counts(data, family, name) for family in families for name in ("truth", *data.spec.methods)
    ]
    histograms = [counts for counts in histograms if counts.sum()]
    if not histograms:
        return 1e-1, 1e1
    low = min(norm_quantile(counts, _SHOWN[0]) for counts in histograms)
    high = max(norm_quantile(counts, _SHOWN[1]) for counts in histograms)
    return low / 1.2, high * 1.2


def _handles(methods: tuple[str, ...]) -> list[Patch | Line2D]:
    lines = [Line2D([], [], color=method_style(name).colour, label=name) for name in methods]
    tail = Line2D([], [], color=GREY, marker="^", linestyle="", markersize=5, label="99th percentile")
    return [Patch(color=LIGHT_GREY, label="truth"), *lines, tail]
