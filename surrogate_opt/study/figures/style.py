"""One look for all pictures: a fixed colour and marker a method, sizes, and files that repeat to the byte."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, Literal

import matplotlib
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, Locator, LogLocator, MaxNLocator, NullLocator

from surrogate_opt.model_file import write_atomically

PNG_DPI = 150
GREY = "#666666"
LIGHT_GREY = "#CFCFCF"
ALARM = "#D55E00"
"""Kept free of methods: what points the wrong way."""

_FEW, _MANY = 4.0, 100.0
"""Ratios of an axis' ends: from the one on 1, 2 and 5 are enough, from the other on powers of ten."""

_RC: Any = {
    "font.size": 9.0,
    "axes.titlesize": 9.5,
    "axes.labelsize": 9.0,
    "xtick.labelsize": 8.0,
    "ytick.labelsize": 8.0,
    "legend.fontsize": 8.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "grid.color": "#DDDDDD",
    "grid.linewidth": 0.6,
    "savefig.dpi": PNG_DPI,
    "svg.hashsalt": "surrogate-opt",
}


@dataclass(frozen=True)
class MethodStyle:
    """How a method looks in every picture."""

    colour: str
    marker: str


# Okabe & Ito 2008: told apart with any colour vision.
_STYLES = {
    "none": MethodStyle("#000000", "o"),
    "dreg": MethodStyle("#0072B2", "s"),
    "igp": MethodStyle("#E69F00", "^"),
    "sn": MethodStyle("#009E73", "D"),
    "dreg+igp": MethodStyle("#CC79A7", "v"),
}
_OTHER = MethodStyle("#56B4E9", "P")


def method_style(method: str) -> MethodStyle:
    """The colour and marker of a method."""
    return _STYLES.get(method, _OTHER)


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A figure with what the report says about it.

    Attributes:
        name: of its files, without ending.
        title: of its section.
        caption: what to look at, and what it means.
        figure: drawn, its layout settled.
    """

    name: str
    title: str
    caption: str
    figure: Figure


@contextmanager
def house_style() -> Iterator[None]:
    """Sizes and fonts while a picture is drawn or saved; what was set before comes back."""
    with matplotlib.rc_context(_RC):
        yield


def new_figure(width: float, height: float) -> Figure:
    """An empty figure, inches, that no global state knows."""
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def legend_above(figure: Figure, handles: Sequence[Artist], *, entry_width: float) -> None:
    """A legend over the panels, in as many columns as the figure has room for.

    Args:
        figure: what it belongs to.
        handles: its entries.
        entry_width: of the longest entries, inches.
    """
    columns = min(len(handles), max(1, int(figure.get_figwidth() / entry_width)))
    figure.legend(handles=handles, loc="outside upper center", ncols=columns, frameon=False)


def settle(figure: Figure) -> Figure:
    """Compute the layout once, so that each file that is saved need not."""
    figure.draw_without_rendering()
    figure.set_layout_engine("none")
    return figure


def tidy(axes: Axes, *, grid: str = "both") -> None:
    """A light grid behind the data."""
    axes.grid(axis=grid)  # type: ignore[arg-type]  # "both", "x" or "y"
    axes.tick_params(length=2.5)


def log_scale(axes: Axes, axis: Literal["x", "y"] = "y") -> None:
    """A logarithmic axis with plain numbers: round ones, at 1, 2 and 5, or at powers of ten by its length."""
    ticks: Axis = axes.xaxis if axis == "x" else axes.yaxis
    if axis == "x":
        axes.set_xscale("log")
    else:
        axes.set_yscale("log")
    low, high = ticks.get_view_interval()
    locator: Locator = LogLocator(subs=(1.0, 2.0, 5.0) if high < _MANY * low else (1.0,))
    ticks.set_major_locator(MaxNLocator(4) if high < _FEW * low else locator)
    ticks.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    ticks.set_minor_locator(NullLocator())


def png_bytes(figure: Figure) -> bytes:
    """The picture as PNG, the same bytes for the same picture."""
    buffer = BytesIO()
    with house_style():
        figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()


def save_png(figure: Figure, path: Path) -> bytes:
    """Write a figure into a PNG file, whole or not at all; returns its bytes.

    Raises:
        InputError: the file cannot be written.
    """
    png = png_bytes(figure)

    def write(temporary: Path) -> None:
        temporary.write_bytes(png)

    write_atomically(path, write)
    return png


def settle_into(figure: Figure, folder: Path, name: str) -> Path:
    """Settle a figure and write it as PNG into a folder, which is made where it is missing.

    Raises:
        InputError: the file cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.png"
    save_png(settle(figure), path)
    return path


def save_picture(picture: Picture, folder: Path) -> bytes:
    """Write PNG and SVG into an existing folder; returns the PNG.

    Raises:
        InputError: the folder cannot be written to.
    """
    png = save_png(picture.figure, folder / f"{picture.name}.png")

    def write_svg(temporary: Path) -> None:
        with house_style():
            picture.figure.savefig(temporary, format="svg", metadata={"Date": None})

    write_atomically(folder / f"{picture.name}.svg", write_svg)
    return png
