"""What the comparisons of closed loops say, in sentences."""

from __future__ import annotations

from collections.abc import Sequence

from surrogate_opt.study.control.comparisons import BARE, FIGURES, Findings
from surrogate_opt.study.control.summaries import summarize, unsolved_tasks
from surrogate_opt.study.control.tables import ControlStudyData
from surrogate_opt.study.statistics import Comparison, Verdict
from surrogate_opt.study.text_tables import number, span

TARGET_RATIO = 1.1
"""What a surrogate from plentiful data should reach: so many times the oracle's cost."""

_SENTENCE_FIGURES = ("cost_ratio", "plan_gap_size", "gradient_error")

_WORDS: dict[Verdict, str] = {
    "ahead": "ahead",
    "level": "level",
    "behind": "behind",
    "undecided": "undecided",
    "too few to say": "too few instances to say",
}


def verdict(data: ControlStudyData, findings: Findings) -> list[str]:
    """Sentences on the methods under the first planner, on gradients as such, on what learned plants cost."""
    sentences = [
        *_unsolved(findings),
        *(_methods(data, findings, num_train) for num_train in data.spec.num_train),
        _gradients(findings),
        _costs(data, findings),
    ]
    return [sentence for sentence in sentences if sentence]


def _unsolved(findings: Findings) -> list[str]:
    tasks = unsolved_tasks(findings.runs)
    if not tasks:
        return []
    listed = ", ".join(f"{controller} on {plant}" for controller, plant in tasks)
    return [f"Left out, since the planner does not solve the true plant either: {listed}."]


def _methods(data: ControlStudyData, findings: Findings, num_train: int) -> str:
    """How every method stands against no penalty, figure by figure."""
    controller = data.spec.controllers[0]
    tables = findings.pooled.get((controller, num_train))
    if tables is None:
        return ""
    labels = {figure.column: figure.label for figure in FIGURES}
    parts = []
    for column in _SENTENCE_FIGURES:
        rows = [row for row in tables[column] if row.rival == BARE]
        if rows:
            parts.append(f"{labels[column]}: {standing(rows)}")
    if not parts:
        return ""
    return (
        f"{controller} on surrogates of {num_train:,} transitions, against {BARE}. " + "; ".join(parts) + "."
    )


def standing(rows: Sequence[Comparison]) -> str:
    """Who is ahead, level, behind, and of how many instances that is said."""
    parts = []
    for word, text in _WORDS.items():
        names = [row.method for row in rows if row.verdict == word]
        if names:
            parts.append(f"{', '.join(names)} {text}")
    return f"{', '.join(parts)} (n = {span([row.num_instances for row in rows])})"


def _gradients(findings: Findings) -> str:
    """Whether the planner that follows gradients is led astray more than those that draw samples."""
    labels = {figure.column: figure.label for figure in FIGURES}
    parts = [
        f"{row.method} against {row.rival}, {labels[column]}: {number(row.difference, 3, signed=True)} "
        f"[{number(row.lower, 3, signed=True)}, {number(row.upper, 3, signed=True)}], {row.verdict} "
        f"(n = {row.num_instances})"
        for column, rows in findings.planners.items()
        for row in rows
    ]
    if not parts:
        return ""
    return f"Planners on the same surrogates, each over its own oracle. {'; '.join(parts)}."


def _costs(data: ControlStudyData, findings: Findings) -> str:
    """What a surrogate of the most data costs, plant by plant, under the first planner."""
    method = "dreg" if "dreg" in data.spec.methods else data.spec.methods[0]
    controller, most = data.spec.controllers[0], max(data.spec.num_train)
    runs = findings.runs
    part = runs[(runs["controller"] == controller) & (runs["num_train"] == most) & (runs["method"] == method)]
    table = summarize(part[part["solved"]], ["plant"])
    if table.empty:
        return ""
    listed = ", ".join(f"{row['plant']} {number(row['cost_ratio'], 3)}" for row in table.to_dict("records"))
    reached = int((table["cost_ratio"] <= TARGET_RATIO).sum())
    return (
        f"With {most:,} transitions {method} costs at most {TARGET_RATIO:g} times the oracle on {reached} of "
        f"{len(table)} plants (median over instances of the median over starts): {listed}."
    )
