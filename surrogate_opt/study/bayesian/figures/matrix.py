"""Median final regret of every model on every problem, coloured by how it compares with the GP's."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure

from surrogate_opt.study.bayesian.comparisons import GP, Findings
from surrogate_opt.study.bayesian.result_tables import median_regrets, model_heading, verdict_marks
from surrogate_opt.study.bayesian.summaries import problem_names
from surrogate_opt.study.bayesian.tables import BayesianStudyData
from surrogate_opt.study.figures.style import Picture, house_style, new_figure, settle
from surrogate_opt.study.statistics import REGRET_MARGIN
from surrogate_opt.study.text_tables import number

_COLOURS = "PuOr_r"
_WIDEST = 4.0
"""The ratio from which on the colour stays the same."""

_DARK = 2.6
"""The ratio from which on text is white."""

_CAPTION = (
    "Median regret after the last evaluation, in standard deviations of the truth, and its colour: its ratio "
    f"to gp's, {REGRET_MARGIN.absolute:g} added to both, since less than that counts as level. Purple is "
    "lower than gp's, orange higher. ▲ ahead of gp, ▼ behind it, = level with it, by the paired test over "
    "the instances of that problem; no mark: undecided, or under ten instances."
)


def draw_matrix(data: BayesianStudyData, findings: Findings) -> Picture | None:
    """The picture; None without the GP, or where no run came to its end."""
    names, models = problem_names(data), list(data.spec.models)
    if GP not in models or findings.runs["final_regret"].isna().all():
        return None
    values = median_regrets(data, findings).to_numpy(dtype=np.float64)
    with house_style():
        figure = new_figure(2.9 + 0.9 * len(models), max(2.3, 1.3 + 0.3 * len(names)))
        axes = figure.subplots()
        ratios, norm = relative_regret(values, models.index(GP)), LogNorm(1 / _WIDEST, _WIDEST)
        axes.imshow(ratios, cmap=_COLOURS, norm=norm, aspect="auto")
        for row, name in enumerate(names):
            marks = verdict_marks(findings, name)
            for column, model in enumerate(models):
                _write_cell(axes, (column, row), values[row, column], ratios[row, column], marks.get(model))
        _label(axes, data, names, models)
        _colour_bar(figure, axes, norm)
        settle(figure)
    return Picture(name="regret_matrix", title="Problem by problem", caption=_CAPTION, figure=figure)


def relative_regret(
    medians: Float[np.ndarray, "problems models"], reference: int
) -> Float[np.ndarray, "problems models"]:
    """Ratio to the reference's column, the margin of "level" added to both so that tiny regrets are alike."""
    raised = medians + REGRET_MARGIN.absolute
    ratio: np.ndarray = raised / raised[:, [reference]]
    return ratio


def _write_cell(axes: Axes, place: tuple[int, int], value: float, ratio: float, mark: str | None) -> None:
    dark = ratio > _DARK or ratio < 1 / _DARK
    axes.text(
        *place,
        f"{number(float(value), 3)} {mark}" if mark else number(float(value), 3),
        ha="center",
        va="center",
        fontsize=8,
        color="white" if dark else "black",
    )


def _label(axes: Axes, data: BayesianStudyData, names: list[str], models: list[str]) -> None:
    axes.set_xticks(range(len(models)), [model_heading(name) for name in models])
    axes.xaxis.tick_top()
    problems = data.problems.set_index("name").to_dict("index")
    labels = [
        f"{name} ({problems[name]['dim']}-d{'' if problems[name]['smooth'] else ', non-smooth'})"
        for name in names
    ]
    axes.set_yticks(range(len(names)), labels)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    reported = len(problem_names(data, "reported"))
    if 0 < reported < len(names):
        axes.axhline(reported - 0.5, color="black", linewidth=1.5)
        axes.text(len(models) - 0.45, -0.5, "reported", rotation=270, va="top", ha="left", fontsize=8)
        axes.text(
            len(models) - 0.45, reported - 0.45, "tuning", rotation=270, va="top", ha="left", fontsize=8
        )


def _colour_bar(figure: Figure, axes: Axes, norm: LogNorm) -> None:
    bar = figure.colorbar(ScalarMappable(norm, _COLOURS), ax=axes, pad=0.05, aspect=30, extend="both")
    bar.minorticks_off()
    bar.set_ticks(
        [1 / _WIDEST, 0.5, 1, 2, _WIDEST], labels=["a quarter", "half", "as gp", "twice", "4 times gp's"]
    )
    bar.outline.set_visible(False)
