"""The tables of the report on Bayesian optimization as text; page and terminal print the same ones."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import pandas as pd

from surrogate_opt.study.bayesian.comparisons import BARE, FIGURES, GP, HEADLINE, SOBOL, Findings, against
from surrogate_opt.study.bayesian.problems import Half
from surrogate_opt.study.bayesian.summaries import problem_names, summarize
from surrogate_opt.study.bayesian.tables import BayesianStudyData
from surrogate_opt.study.text_tables import (
    MISSING,
    Cell,
    TextTable,
    comparison_texts,
    number,
    percent,
    verdicts_by_group,
)

_SUMMARY_HEADER = [
    "model",
    "runs",
    "final regret\nmedian [quartiles]",
    "mean\nregret",
    "infer-\nence\nregret",
    "median\nopti-\nmism",
    "mean\n|opti-\nmism|",
    "phan-\ntom\nshare",
    "in\n50%",
    "in\n95%",
    "sec.\na step",
]

MARKS = {"ahead": "▲", "behind": "▼", "level": "="}
"""Of the verdicts in tables that have no room for words."""


def half_table(findings: Findings, half: Half, models: Sequence[str]) -> TextTable:
    """A row a model, over all instances of a half; where runs failed, finished and all runs are shown."""
    part = findings.runs[findings.runs["half"] == half]
    return TextTable(
        caption="Means over all instances; the final regret as median [quartiles].",
        header=_SUMMARY_HEADER,
        rows=_summary_rows(summarize(part, ["model"]), models),
    )


def problem_table(data: BayesianStudyData, findings: Findings, half: Half) -> TextTable:
    """The same problem by problem, under a heading that says what the problem is."""
    table = summarize(findings.runs, ["problem", "model"])
    problems = data.problems.set_index("name")
    rows: list[list[Cell]] = []
    for name in problem_names(data, half):
        problem = problems.loc[name]
        kind = "smooth" if problem["smooth"] else "non-smooth"
        n = findings.runs.loc[findings.runs["problem"] == name, "instance"].nunique()
        rows.append([Cell(text=f"{name}: {problem['dim']} inputs, {kind} (n = {n})")])
        rows += _summary_rows(table[table["problem"] == name], data.spec.models)
    return TextTable(
        caption="Means over the instances of each problem; the final regret as median [quartiles].",
        header=_SUMMARY_HEADER,
        rows=rows,
    )


def _summary_rows(table: pd.DataFrame, models: Sequence[str]) -> list[list[Cell]]:
    by_model = table.set_index("model").to_dict("index")
    rows = []
    for model in (name for name in models if name in by_model):
        row = by_model[model]
        finished, failed = row["finished"], row["failed"]
        texts = [
            model,
            f"{finished}/{finished + failed}" if failed else str(finished),
            _spread(row),
            _regret(row["mean_regret"]),
            _regret(row["inference_regret"]),
            number(row["optimism_median"], 3, signed=True),
            number(row["optimism_size"], 3),
            percent(row["phantom_share"]),
            percent(row["coverage50"]),
            percent(row["coverage95"]),
            number(row["seconds_step"], 2),
        ]
        rows.append([Cell(text=text) for text in texts])
    return rows


def _spread(row: Mapping[Hashable, Any]) -> str:
    median, low, high = (_regret(row[f"regret_{name}"]) for name in ("median", "lower", "upper"))
    return f"{median} [{low}, {high}]"


def _regret(value: float) -> str:
    """To the digits that matter, and never wider than six characters."""
    return number(value, 3 if abs(value) < 10 else 1)


def calibration_table(findings: Findings, half: Half, models: Sequence[str]) -> TextTable:
    """Coverage at the proposals and all over the box, and how well the last model explains the truth."""
    part = findings.runs[findings.runs["half"] == half]
    by_model = summarize(part, ["model"]).set_index("model").to_dict("index")
    columns = ["coverage50", "coverage95", "box_coverage50", "box_coverage95"]
    rows = [
        [
            Cell(text=model),
            *(Cell(text=percent(by_model[model][column])) for column in columns),
            Cell(text=number(by_model[model]["r2"], 3)),
        ]
        for model in models
        if model in by_model and model != SOBOL
    ]
    header = [
        "model",
        "proposals\nin 50%",
        "proposals\nin 95%",
        "box\nin 50%",
        "box\nin 95%",
        "R² on\nthe box",
    ]
    return TextTable(
        caption="Share of truths inside the central intervals, and R² of the last model.",
        header=header,
        rows=rows,
    )


def confounder_table(findings: Findings, models: Sequence[str]) -> TextTable:
    """What could spoil the comparison, by model, over all instances of both halves."""
    by_model = summarize(findings.runs, ["model"]).set_index("model").to_dict("index")
    rows = [
        [
            Cell(text=model),
            Cell(text=str(by_model[model]["finished"])),
            Cell(text=str(by_model[model]["failed"])),
            Cell(text=percent(by_model[model]["fallback_share"])),
        ]
        for model in models
        if model in by_model
    ]
    header = ["model", "runs\nfinished", "runs\nfailed", "proposals without\nthe model"]
    return TextTable(caption="Confounders, over all instances of both halves.", header=header, rows=rows)


def failure_table(data: BayesianStudyData) -> TextTable:
    """Every run that failed, and its message."""
    rows = [
        [Cell(text=f"{row.problem} {row.instance}"), Cell(text=str(row.model)), Cell(text=str(row.message))]
        for row in data.failures.itertuples()
    ]
    return TextTable(caption="Runs that failed.", header=["instance", "model", "message"], rows=rows)


def regret_matrix(data: BayesianStudyData, findings: Findings) -> TextTable:
    """Median final regret, a row a problem and a column a model, marked against the GP where there is one."""
    medians = median_regrets(data, findings)
    rows = []
    for name in problem_names(data):
        marks = verdict_marks(findings, name)
        cells = [Cell(text=name)]
        cells += [
            Cell(text=_regret(float(medians[model][name])) + marks.get(model, " "))
            for model in data.spec.models
        ]
        rows.append(cells)
    header = ["problem", *(model_heading(model) for model in data.spec.models)]
    return TextTable(caption="", header=header, rows=rows)


def median_regrets(data: BayesianStudyData, findings: Findings) -> pd.DataFrame:
    """Median final regret by problem (rows) and model (columns); NaN where no run came to its end."""
    table = summarize(findings.runs, ["problem", "model"])
    medians = table.pivot(index="problem", columns="model", values="regret_median")
    return medians.reindex(index=problem_names(data), columns=list(data.spec.models))


def model_heading(model: str) -> str:
    """A model's name over two lines, for narrow columns."""
    return model.replace(":", ":\n").replace("_", "_\n")


def verdict_marks(findings: Findings, problem: str) -> dict[str, str]:
    """By model, the mark of its verdict against the GP; Sobol's is the GP's against it, turned round.

    Models without a verdict that has a mark are left out.
    """
    table = findings.by_problem[problem]
    verdicts: dict[str, str] = {model: row.verdict for model, row in against(table, GP).items()}
    turned = against(table, SOBOL).get(GP)
    if turned is not None:
        verdicts[SOBOL] = {"ahead": "behind", "behind": "ahead"}.get(turned.verdict, "")
    return {model: MARKS[verdict] for model, verdict in verdicts.items() if verdict in MARKS}


def verdict_tables(data: BayesianStudyData, findings: Findings, half: Half) -> list[TextTable]:
    """Final regret problem by problem against Sobol, the GP and the ensemble without a penalty."""
    names = problem_names(data, half)
    tables = {name: findings.by_problem[name] for name in names}
    return [
        verdicts_by_group(tables, HEADLINE, dict.fromkeys(names, frozenset()), rival=rival, group="problem")
        for rival in (SOBOL, GP, BARE)
        if any(row.rival == rival for table in tables.values() for row in table)
    ]


def pooled_verdicts(findings: Findings, half: Half) -> TextTable:
    """Difference and verdict of every pair, over all instances of a half, on the figures that have room."""
    tables = findings.pooled[half]
    figures = [figure for figure in FIGURES if figure.column != "inference_regret"]
    rows = []
    for first in tables[HEADLINE.column]:
        cells = [Cell(text=f"{first.method} / {first.rival}")]
        for figure in figures:
            row = against(tables[figure.column], first.rival).get(first.method)
            if row is None:
                cells.append(Cell(text=MISSING))
                continue
            words = row.verdict.removesuffix(" to say")
            cells.append(Cell(text=f"{comparison_texts(row, figure)[2]} {words}"))
        rows.append(cells)
    header = ["model / rival", *(figure.label.replace(" ", "\n") for figure in figures)]
    return TextTable(caption="", header=header, rows=rows)
