"""A fixed colour, marker and line a model; penalties keep the colours that they have in every report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from matplotlib.lines import Line2D

from surrogate_opt.study.bayesian.comparisons import GP, SOBOL
from surrogate_opt.study.figures.style import GREY, method_style


@dataclass(frozen=True)
class Look:
    """How a model looks in every picture."""

    colour: str
    marker: str
    line: Literal["-", "--", "-.", ":"] = "-"


# Wine, sky blue and olive stay apart from the penalties' colours with any colour vision.
_LOOKS = {
    "last_layer": Look("#56B4E9", "P", "--"),
    "deep_kernel": Look("#999933", "X", "-."),
    GP: Look("#882255", "*"),
    SOBOL: Look(GREY, "p", ":"),
}


def look(model: str) -> Look:
    """The look of a model."""
    if model in _LOOKS:
        return _LOOKS[model]
    style = method_style(model.partition(":")[2])
    return Look(style.colour, style.marker)


def line_handles(models: Sequence[str], emphasized: Sequence[str] = ()) -> list[Line2D]:
    """Legend entries of lines, thick where emphasized."""
    return [
        Line2D(
            [],
            [],
            color=look(model).colour,
            linestyle=look(model).line,
            linewidth=line_width(model in emphasized),
            label=model,
        )
        for model in models
    ]


def line_width(emphasized: bool) -> float:
    """Of a model's line."""
    return 2.2 if emphasized else 1.1
