"""A logarithmic axis whose ticks can be read whatever its range."""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter, NullLocator

_NARROW, _WIDE = 5.0, 60.0  # ratios of the ends


def logarithmic(axes: Axes) -> None:
    """Make the x axis logarithmic, once everything is drawn.

    A narrow one gets round numbers, a wide one powers of ten, one between them 1, 2, 5.
    """
    axes.set_xscale("log")
    low, high = axes.get_xlim()
    ratio = high / low
    if ratio < _NARROW:
        axes.xaxis.set_major_locator(MaxNLocator(4))
    else:
        axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if ratio < _WIDE else (1.0,)))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter("{x:g}")
    axes.xaxis.set_minor_formatter(NullFormatter())
