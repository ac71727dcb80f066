"""The pictures of a study, in the order of the report."""

from __future__ import annotations

from collections.abc import Iterator

from surrogate_opt.study.figures.ghost_map import draw_ghost_map
from surrogate_opt.study.figures.norms import draw_norms
from surrogate_opt.study.figures.plateau import draw_plateau
from surrogate_opt.study.figures.regret import draw_regret
from surrogate_opt.study.figures.style import Picture, save_picture
from surrogate_opt.study.tables import StudyData

__all__ = ["NUM_PICTURES", "Picture", "draw_pictures", "save_picture"]

NUM_PICTURES = 4
"""At most so many."""


def draw_pictures(data: StudyData) -> Iterator[Picture]:
    """Draw one after the other; those for which nothing is stored are left out."""
    for draw in (draw_regret, draw_ghost_map, draw_plateau, draw_norms):
        picture = draw(data)
        if picture is not None:
            yield picture
