"""The report of a study of closed loops: one self-contained page, and its pictures as files."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from pathlib import Path

from rich.console import RenderableType
from rich.text import Text

from surrogate_opt.study.control.comparisons import Findings, gather
from surrogate_opt.study.control.pictures import ANIMATION, NUM_PICTURES, draw_animation, draw_pictures
from surrogate_opt.study.control.result_tables import (
    cost_matrix,
    failure_table,
    paired_tables,
    planner_seconds,
    plant_verdicts,
    pooled_verdicts,
    task_table,
)
from surrogate_opt.study.control.tables import ControlStudyData
from surrogate_opt.study.control.verdict import verdict
from surrogate_opt.study.page import EmbeddedPicture, render_page, write_page
from surrogate_opt.study.terminal import render_table

_TEMPLATE = "control/report.html.j2"


def write_report(
    data: ControlStudyData,
    folder: Path,
    progress: Callable[[int, int], None] = lambda done, total: None,
    *,
    findings: Findings | None = None,
) -> Path:
    """Write ``report.html`` and ``figures/`` into a folder.

    Args:
        data: the study, complete or not.
        folder: made where it is not there.
        progress: called with the numbers of steps done and of all, after each.
        findings: the study's comparisons where they are at hand, else they are computed.

    Returns:
        The page.

    Raises:
        InputError: the folder cannot be written to.
    """
    found = findings or gather(data)
    return write_page(
        folder,
        draw_pictures(data, found),
        lambda pictures: render(data, found, pictures, draw_animation(data, folder / "figures")),
        num_pictures=NUM_PICTURES,
        progress=progress,
    )


def render(
    data: ControlStudyData,
    findings: Findings,
    pictures: dict[str, EmbeddedPicture],
    animation: bytes | None = None,
) -> str:
    """The page.

    Args:
        data: the study.
        findings: its comparisons.
        pictures: what is embedded, by the picture's name; those that are not there are left out.
        animation: a GIF; None where there is none.
    """
    spec = data.spec
    tasks = [(controller, num_train) for controller in spec.controllers for num_train in spec.num_train]
    compared = [task for task in tasks if task in findings.pooled]
    return render_page(
        _TEMPLATE,
        spec=spec,
        num_cells=len(data.surrogates[["plant", "instance", "num_train"]].drop_duplicates()),
        wanted_cells=len(spec.cells()),
        verdict=verdict(data, findings),
        task_tables=[task_table(findings, *task) for task in tasks],
        plant_verdicts={_name(task): plant_verdicts(findings, *task) for task in compared},
        paired={_name(task): paired_tables(findings, *task) for task in compared},
        seconds=planner_seconds(findings),
        failures=failure_table(data) if len(data.failures) else None,
        pictures=pictures,
        animation=None if animation is None else base64.b64encode(animation).decode("ascii"),
        animation_caption=ANIMATION,
        toml="\n".join(
            f"{name} = {json.dumps(value)}" for name, value in spec.model_dump(mode="json").items()
        ),
    )


def terminal_tables(data: ControlStudyData, *, findings: Findings | None = None) -> list[RenderableType]:
    """Cost ratios and verdicts, at most 110 columns wide, and the verdict in words."""
    found = findings or gather(data)
    title = "Median cost over the oracle's, and success"
    shown: list[RenderableType] = [render_table(cost_matrix(data, found), title)]
    for task, tables in found.pooled.items():
        if any(tables.values()):
            heading = f"Differences with {_name(task)}, paired, Holm-corrected"
            shown.append(render_table(pooled_verdicts(found, *task), heading))
    return [*shown, Text(""), *(Text(sentence) for sentence in verdict(data, found))]


def _name(task: tuple[str, int]) -> str:
    controller, num_train = task
    return f"{controller}, {num_train:,} transitions"
