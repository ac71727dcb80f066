"""The tables of the report on closed loops as text; page and terminal print the same ones."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

from surrogate_opt.study.control.comparisons import BARE, FIGURES, HEADLINE, Findings
from surrogate_opt.study.control.summaries import summarize
from surrogate_opt.study.control.tables import ControlStudyData
from surrogate_opt.study.text_tables import (
    MISSING,
    Cell,
    TextTable,
    comparison_texts,
    number,
    paired_table,
    percent,
    verdicts_by_group,
)

_HEADER = [
    "method",
    "cost ratio\nmedian [quartiles]",
    "success\n(oracle's)",
    "plan\ngap",
    "action\nerror",
    "chatter\n(oracle's)",
    "viola-\ntions",
    "di-\nverged",
    "1 - R²",
    "gradient\nerror",
    "p99 /\nmean",
    "degen-\nerate",
]


def task_table(findings: Findings, controller: str, num_train: int) -> TextTable:
    """A row a method, plant by plant, under one planner and number of transitions."""
    runs = findings.runs
    part = runs[(runs["controller"] == controller) & (runs["num_train"] == num_train)]
    table = summarize(part, ["plant", "method"])
    rows: list[list[Cell]] = []
    for plant, group in table.groupby("plant", sort=False):
        rows.append([Cell(text=f"{plant} (n = {int(group['n'].max())})")])
        rows += [_summary_row(row) for row in group.to_dict("records")]
    return TextTable(
        caption=f"{controller}, {num_train:,} transitions: means over instances of medians over starts; the "
        "cost ratio as median [quartiles] over instances.",
        header=_HEADER,
        rows=rows,
    )


def _summary_row(row: Mapping[Hashable, Any]) -> list[Cell]:
    middle, low, high = (number(row[name], 3) for name in ("cost_ratio", "cost_lower", "cost_upper"))
    muted = row["degenerate"] > 0.5
    texts = [
        str(row["method"]),
        f"{middle} [{low}, {high}]",
        f"{percent(row['success'])} ({percent(row['oracle_success'])})",
        number(row["plan_gap"], 3, signed=True),
        number(row["action_error"], 3),
        f"{number(row['chatter'], 3)} ({number(row['oracle_chatter'], 3)})",
        percent(row["violation"]),
        percent(row["diverged"]),
        number(row["test_error"], 4),
        number(row["gradient_error"], 3),
        number(row["tail_ratio"], 2),
        percent(row["degenerate"]),
    ]
    return [Cell(text=text, muted=muted) for text in texts]


def cost_matrix(data: ControlStudyData, findings: Findings) -> TextTable:
    """Median cost ratio and mean success, a row a task and a column a method."""
    table = summarize(findings.runs, ["controller", "num_train", "plant", "method"])
    rows = []
    for (controller, num_train, plant), group in table.groupby(
        ["controller", "num_train", "plant"], sort=False
    ):
        by_method = group.set_index("method").to_dict("index")
        cells = [Cell(text=f"{plant}, {num_train:,}, {controller}")]
        for method in data.spec.methods:
            row = by_method.get(method)
            cells.append(
                Cell(
                    text=MISSING
                    if row is None
                    else f"{number(row['cost_ratio'], 3)} {percent(row['success'])}"
                )
            )
        rows.append(cells)
    return TextTable(caption="", header=["plant, transitions, planner", *data.spec.methods], rows=rows)


def pooled_verdicts(findings: Findings, controller: str, num_train: int) -> TextTable:
    """Difference and verdict of every pair, over all instances of all plants, on every figure."""
    tables = findings.pooled[controller, num_train]
    figures = [figure for figure in FIGURES if figure.column not in ("failure", "violation")]
    rows = []
    for index, first in enumerate(tables[HEADLINE.column]):
        cells = [Cell(text=f"{first.method} / {first.rival}")]
        for figure in figures:
            row = tables[figure.column][index]
            cells.append(
                Cell(text=f"{comparison_texts(row, figure)[2]} {row.verdict.removesuffix(' to say')}")
            )
        rows.append(cells)
    return TextTable(
        caption="",
        header=["method / rival", *(figure.label.replace(" ", "\n", 1) for figure in figures)],
        rows=rows,
    )


def paired_tables(findings: Findings, controller: str, num_train: int) -> list[TextTable]:
    """Every figure's comparisons in full."""
    tables = findings.pooled[controller, num_train]
    return [
        paired_table(tables[figure.column], figure, frozenset(), figure.label)
        for figure in FIGURES
        if tables[figure.column]
    ]


def plant_verdicts(findings: Findings, controller: str, num_train: int) -> TextTable:
    """The cost ratio against no penalty, plant by plant."""
    tables = findings.by_plant[controller, num_train]
    return verdicts_by_group(tables, HEADLINE, dict.fromkeys(tables, frozenset()), rival=BARE, group="plant")


def failure_table(data: ControlStudyData) -> TextTable:
    """Which methods could not be trained where, and why."""
    rows = [
        [
            Cell(text=f"{row.plant} {row.instance}, {row.num_train}"),
            Cell(text=str(row.method)),
            Cell(text=str(row.message)),
        ]
        for row in data.failures.itertuples()
    ]
    return TextTable(
        caption="Methods that could not be trained.", header=["instance", "method", "message"], rows=rows
    )


def planner_seconds(findings: Findings) -> TextTable:
    """Milliseconds of one control step for one loop of a batch, by planner and plant."""
    table = findings.runs.groupby(["plant", "controller"], sort=False)["seconds_step"].median().unstack()
    rows = [
        [Cell(text=str(plant)), *(Cell(text=_milliseconds(value)) for value in values)]
        for plant, values in zip(table.index, table.to_numpy(), strict=True)
    ]
    return TextTable(
        caption="Milliseconds of a control step, one loop's share of its batch, median.",
        header=["plant", *(str(name) for name in table.columns)],
        rows=rows,
    )


def _milliseconds(seconds: float) -> str:
    return number(1e3 * seconds, 2)
