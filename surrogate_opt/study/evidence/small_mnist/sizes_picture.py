"""Figure 2: test accuracy against the number of training images, and what regularizers add to it."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from surrogate_opt.study.evidence.small_mnist.cells import Method
from surrogate_opt.study.evidence.small_mnist.choice import NAMES, ChosenRuns, MissingRowsError
from surrogate_opt.study.evidence.small_mnist.protocol import FIGURE_METHODS
from surrogate_opt.study.figures.style import (
    house_style,
    legend_above,
    log_scale,
    new_figure,
    settle_into,
    tidy,
)
from surrogate_opt.study.paired_tests import bootstrap_interval

_LOOKS: Final[dict[Method, tuple[str, str]]] = {
    "none": ("#000000", "o"),
    "confidence": ("#E69F00", "^"),
    "spectreg": ("#0072B2", "s"),
    "datagrad": ("#D55E00", "D"),
    "jacreg": ("#009E73", "v"),
}
_SEED: Final = 0  # of the bootstrap
_APART: Final = 0.03  # of a decade, between the dots of one size


def draw_sizes(table: pd.DataFrame, folder: Path) -> list[Path]:
    """Draw ``sizes.png`` where all of the figure's regularizers have runs at several sizes; else nothing."""
    runs = ChosenRuns(table)
    try:
        sizes = runs.sizes(*FIGURE_METHODS)
    except MissingRowsError:
        return []
    with house_style():
        figure = new_figure(8.4, 3.8)
        accuracies, gains = figure.subplots(1, 2)
        for method in FIGURE_METHODS:
            _accuracies(accuracies, runs, method, sizes)
        for place, method in enumerate(FIGURE_METHODS[1:]):
            _gains(gains, runs, method, sizes, 10.0 ** (_APART * (place - 1.5)))
        accuracies.set_title("mean over runs")
        accuracies.set_ylabel("test accuracy, %")
        gains.axhline(0.0, color=_LOOKS["none"][0], linewidth=1.0)
        gains.set_title("gain over dropout alone, 95% interval over runs")
        gains.set_ylabel("points of accuracy")
        for axes in (accuracies, gains):
            axes.set_xlim(sizes[0] / 1.4, sizes[-1] * 1.4)
            log_scale(axes, "x")
            axes.set_xticks(sizes, [f"{size:,}" for size in sizes])
            axes.set_xlabel("training images")
            tidy(axes)
        handles = [
            Line2D([], [], color=colour, marker=marker, label=_label(method))
            for method, (colour, marker) in _LOOKS.items()
        ]
        legend_above(figure, handles, entry_width=1.5)
        return [settle_into(figure, folder, "sizes")]


def _accuracies(axes: Axes, runs: ChosenRuns, method: Method, sizes: list[int]) -> None:
    colour, marker = _LOOKS[method]
    means = [runs.of(method, size=size).accuracies.mean() for size in sizes]
    axes.plot(sizes, means, color=colour, marker=marker, markersize=4, linewidth=1.2)


def _gains(axes: Axes, runs: ChosenRuns, method: Method, sizes: list[int], shift: float) -> None:
    colour, marker = _LOOKS[method]
    places = shift * np.array(sizes, dtype=float)
    gains = [runs.of(method, size=size).over(runs.of("none", size=size)) for size in sizes]
    axes.plot(
        places, [gain.mean() for gain in gains], color=colour, marker=marker, markersize=4, linewidth=0.8
    )
    for place, gain in zip(places, gains, strict=True):
        axes.plot([place, place], bootstrap_interval(gain, seed=_SEED), color=colour, linewidth=1.4)


def _label(method: Method) -> str:
    return "dropout alone" if method == "none" else NAMES[method]
