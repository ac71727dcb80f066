"""The report of a study of Bayesian optimization: one self-contained page, and its pictures as files."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from rich.console import RenderableType
from rich.text import Text

from surrogate_opt.study.bayesian.comparisons import FIGURES, GP, Findings, gather
from surrogate_opt.study.bayesian.figures import NUM_PICTURES, draw_pictures
from surrogate_opt.study.bayesian.problems import TUNING_PROBLEMS, Half
from surrogate_opt.study.bayesian.result_tables import (
    calibration_table,
    confounder_table,
    failure_table,
    half_table,
    pooled_verdicts,
    problem_table,
    regret_matrix,
    verdict_tables,
)
from surrogate_opt.study.bayesian.summaries import HALVES, problem_names, stored_runs
from surrogate_opt.study.bayesian.tables import BayesianStudyData
from surrogate_opt.study.bayesian.verdict import verdict
from surrogate_opt.study.page import EmbeddedPicture, render_page, write_page
from surrogate_opt.study.terminal import render_table
from surrogate_opt.study.text_tables import TextTable, paired_table

_TEMPLATE = "bayesian/report.html.j2"


def write_report(
    data: BayesianStudyData,
    folder: Path,
    progress: Callable[[int, int], None] = lambda done, total: None,
    *,
    findings: Findings | None = None,
) -> Path:
    """Write ``report.html`` and ``figures/`` into a folder; the same data give the same bytes.

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
        lambda pictures: render(data, found, pictures),
        num_pictures=NUM_PICTURES,
        progress=progress,
    )


def render(data: BayesianStudyData, findings: Findings, pictures: dict[str, EmbeddedPicture]) -> str:
    """The page.

    Args:
        data: the study.
        findings: its comparisons.
        pictures: what is embedded, by the picture's name; those that are not there are left out.
    """
    models = data.spec.models
    halves = _stored_halves(data)
    return render_page(
        _TEMPLATE,
        spec=data.spec,
        num_runs=len(stored_runs(data)),
        wanted_runs=len(data.spec.cells()),
        reported=problem_names(data, "reported"),
        tuning=problem_names(data, "tuning"),
        tuning_problems=TUNING_PROBLEMS,
        verdict=verdict(data, findings),
        summaries={half: half_table(findings, half, models) for half in halves},
        calibrations={half: calibration_table(findings, half, models) for half in halves},
        problem_tables={half: problem_table(data, findings, half) for half in halves},
        verdict_tables={half: verdict_tables(data, findings, half) for half in halves},
        paired={half: _paired(findings, half) for half in halves},
        confounders=confounder_table(findings, models),
        failures=failure_table(data) if len(data.failures) else None,
        pictures=pictures,
        toml="\n".join(
            f"{name} = {json.dumps(value)}" for name, value in data.spec.model_dump(mode="json").items()
        ),
    )


def terminal_tables(data: BayesianStudyData, *, findings: Findings | None = None) -> list[RenderableType]:
    """Summaries, regret by problem and verdicts, at most 110 columns wide, and the verdict in words."""
    found = findings or gather(data)
    shown: list[RenderableType] = []
    for half in _stored_halves(data):
        problems = ", ".join(problem_names(data, half))
        shown.append(render_table(half_table(found, half, data.spec.models), f"{half} problems: {problems}"))
    marks = " (▲ ahead of, ▼ behind, = level with gp)" if GP in data.spec.models else ""
    shown.append(render_table(regret_matrix(data, found), f"Median final regret{marks}"))
    if any(found.pooled["reported"].values()):
        title = "Difference on the reported problems together, paired, Holm-corrected"
        shown.append(render_table(pooled_verdicts(found, "reported"), title))
    return [*shown, Text(""), *(Text(sentence) for sentence in verdict(data, found))]


def _stored_halves(data: BayesianStudyData) -> list[Half]:
    return [half for half in HALVES if problem_names(data, half)]


def _paired(findings: Findings, half: Half) -> list[TextTable]:
    tables = findings.pooled[half]
    return [
        paired_table(tables[figure.column], figure, frozenset(), figure.label)
        for figure in FIGURES
        if tables[figure.column]
    ]
