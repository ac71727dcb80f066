"""The pictures of a study of Bayesian optimization, in the order of the report."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from surrogate_opt.study.bayesian.comparisons import Findings
from surrogate_opt.study.bayesian.figures.calibration import draw_calibration
from surrogate_opt.study.bayesian.figures.curves import draw_curves
from surrogate_opt.study.bayesian.figures.ghosts import draw_ghosts
from surrogate_opt.study.bayesian.figures.matrix import draw_matrix
from surrogate_opt.study.bayesian.figures.seconds import draw_seconds
from surrogate_opt.study.bayesian.tables import BayesianStudyData
from surrogate_opt.study.figures.style import Picture

__all__ = ["NUM_PICTURES", "draw_pictures"]

NUM_PICTURES = 5
"""At most so many."""


def draw_pictures(data: BayesianStudyData, findings: Findings) -> Iterator[Picture]:
    """Draw one after the other; those for which nothing is stored are left out."""
    for draw in (
        partial(draw_curves, data, findings),
        partial(draw_matrix, data, findings),
        partial(draw_ghosts, findings, data.spec.models),
        partial(draw_calibration, findings, data.spec.models),
        partial(draw_seconds, data),
    ):
        picture = draw()
        if picture is not None:
            yield picture
