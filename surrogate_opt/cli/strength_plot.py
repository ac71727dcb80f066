"""The strength curve as a picture: error above, gradient tails below, the choice marked in both."""

from __future__ import annotations

from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator

from surrogate_opt.cli.fit_report import Rival
from surrogate_opt.model_file import write_atomically
from surrogate_opt.penalties import get_method
from surrogate_opt.surrogate import Surrogate

# Okabe & Ito 2008: told apart with any colour vision.
_BLUE, _ORANGE, _GREEN, _GREY = "#0072B2", "#D55E00", "#009E73", "#666666"


def write_plot(path: Path, surrogate: Surrogate, rivals: list[Rival]) -> None:
    """Draw the curve into a file; the ending says the format."""
    figure = draw_strengths(surrogate, rivals)
    kind = path.suffix[1:].lower()
    write_atomically(path, lambda temporary: figure.savefig(temporary, format=kind))


def draw_strengths(surrogate: Surrogate, rivals: list[Rival]) -> Figure:
    """The figure: one position for each strength tried, weak to strong."""
    figure = Figure(figsize=(7.2, 6.0), dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    error, tails = figure.subplots(2, 1, sharex=True)
    _draw_error(error, surrogate, rivals)
    _draw_tails(tails, surrogate)
    selection = surrogate.selection
    places = range(len(selection))
    tails.set_xticks(places, [f"{level:.2g}" for level in selection["level"]])
    tails.set_xlabel(f"{get_method(surrogate.penalty).label}, weak to strong")
    tails.set_xlim(-0.5, len(selection) - 0.5)
    chosen = int(selection["chosen"].to_numpy().argmax())
    for axes in (error, tails):
        axes.axvspan(chosen - 0.35, chosen + 0.35, color=_GREY, alpha=0.15, linewidth=0)
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(axis="y", alpha=0.3)
    figure.suptitle(
        f"{surrogate.target_name}: {surrogate.penalty} at {surrogate.level:.3g} was chosen (grey band)"
    )
    return figure


def _draw_error(axes: Axes, surrogate: Surrogate, rivals: list[Rival]) -> None:
    selection = surrogate.selection
    places = list(range(len(selection)))
    axes.errorbar(
        places,
        selection["out_of_fold_mse"],
        yerr=selection["standard_error"],
        color=_BLUE,
        marker="o",
        markerfacecolor="white",
        capsize=3,
        label="surrogate ± s.e. of difference to best",
    )
    accepted = [place for place in places if selection["accepted"].iloc[place]]
    axes.plot(
        accepted,
        selection["out_of_fold_mse"].iloc[accepted],
        color=_BLUE,
        marker="o",
        linestyle="",
        zorder=4,
        label="accepted",
    )
    target = surrogate.record.target
    for rival, colour, style in zip(rivals[1:], (_ORANGE, _GREEN), ("--", ":"), strict=False):
        axes.axhline(1 - rival.r2(target), color=colour, linestyle=style, label=rival.name)
    axes.set_yscale("log")  # a plane is often a hundred times worse
    axes.yaxis.set_minor_locator(LogLocator(subs=(2, 5)))
    axes.yaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_minor_formatter("{x:g}")
    axes.set_ylabel("out-of-fold MSE\n(variances of the target)")
    axes.legend(frameon=False, fontsize="small", loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=4)


def _draw_tails(axes: Axes, surrogate: Surrogate) -> None:
    selection = surrogate.selection
    places = range(len(selection))
    axes.plot(places, selection["gradient_p99"], color=_ORANGE, marker="s", label="99th percentile")
    axes.plot(places, selection["gradient_mean"], color=_GREEN, marker="^", linestyle="--", label="mean")
    axes.set_ylim(bottom=0)
    axes.set_ylabel("gradient norm at the data\n(std of target per box width)")
    axes.legend(frameon=False, fontsize="small")
