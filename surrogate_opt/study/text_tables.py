"""The report's tables as text, cell by cell: the page and the terminal print the same ones."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import pandas as pd

from surrogate_opt.study.statistics import Comparison
from surrogate_opt.study.tables import (
    Figure,
    Setting,
    StudyData,
    loop_label,
    summarize,
    summary_figures,
)

MISSING = "\N{EN DASH}"


@dataclass(frozen=True, kw_only=True)
class Cell:
    """A cell.

    Attributes:
        text: what it says.
        beside: the same at the fixed strength, where the table shows both.
        muted: grey, for degenerate surrogates.
        beside_muted: the same for ``beside``.
    """

    text: str
    beside: str = ""
    muted: bool = False
    beside_muted: bool = False


@dataclass(frozen=True, kw_only=True)
class TextTable:
    """A table of text.

    Attributes:
        caption: what it shows.
        header: of the columns; the first one names the rows.
        rows: cells, as many as the header has; a row of one cell is a heading.
    """

    caption: str
    header: list[str]
    rows: list[list[Cell]] = field(default_factory=list)


def number(value: float, digits: int, *, signed: bool = False) -> str:
    """A number with a true minus sign and no negative zero; a dash where it is not a number."""
    if math.isnan(value):
        return MISSING
    if math.isinf(value):
        return ("+" if signed and value > 0 else "") + _minus("-∞" if value < 0 else "∞")
    rounded = round(value, digits) + 0.0
    return _minus(f"{rounded:+.{digits}f}" if signed else f"{rounded:.{digits}f}")


def percent(share: float) -> str:
    """A share in whole percent; a dash where it is not a number."""
    return MISSING if math.isnan(share) else f"{share:.0%}"


def span(counts: Sequence[int]) -> str:
    """The smallest and the largest of some numbers, or the one that all are."""
    low, high = min(counts), max(counts)
    return str(low) if low == high else f"{low} to {high}"


def probability(p: float) -> str:
    """A p-value."""
    return MISSING if math.isnan(p) else "<0.001" if p < 0.001 else f"{p:.3f}"


def _minus(text: str) -> str:
    return text.replace("-", "\N{MINUS SIGN}")


def summary_table(data: StudyData, setting: Setting) -> TextTable:
    """Means of every figure at one setting, degenerate methods last and grey."""
    figures = summary_figures(data.spec)
    rows = []
    for _, row in summarize(data, setting).iterrows():
        muted = bool(row["degenerate"])
        cells = [Cell(text=str(row["method"]), muted=muted)]
        cells += [Cell(text=text, muted=muted) for text in _row_texts(row, figures)]
        rows.append(cells)
    return TextTable(caption="", header=_summary_header(figures), rows=rows)


def both_settings_table(data: StudyData) -> TextTable:
    """As ``summary_table`` for the plateau strength, with the fixed strength beside each figure."""
    return TextTable(
        caption="Means over all instances at the plateau strength; small, beside it, at the fixed strength.",
        header=_summary_header(summary_figures(data.spec)),
        rows=_both_rows(data, summarize(data, "chosen"), summarize(data, "paper")),
    )


def family_table(data: StudyData) -> TextTable:
    """The same family by family, under a heading with the share that a plane explains."""
    chosen, paper = summarize(data, "chosen", by=["family"]), summarize(data, "paper", by=["family"])
    rows: list[list[Cell]] = []
    for family, truths in data.truths.groupby("family", sort=False):
        plane, own = truths["linear_r2"], truths[f"{data.spec.loops[0]}.regret_selected"]
        rows.append(
            [
                Cell(
                    text=f"{family}: a plane explains {plane.mean():.0%} of the variance "
                    f"({plane.min():.0%} to {plane.max():.0%}); the truth's own loop has regret "
                    f"{number(float(own.mean()), 3)} (n = {len(truths)})"
                )
            ]
        )
        rows += _both_rows(data, chosen[chosen["family"] == family], paper[paper["family"] == family])
    return TextTable(
        caption="Means over each family's instances at the plateau strength; small: at the fixed strength.",
        header=_summary_header(summary_figures(data.spec)),
        rows=rows,
    )


def _both_rows(data: StudyData, chosen: pd.DataFrame, paper: pd.DataFrame) -> list[list[Cell]]:
    figures = summary_figures(data.spec)
    fixed = paper.set_index("method")
    rows = []
    for _, row in chosen.iterrows():
        other = fixed.loc[row["method"]]
        muted, beside_muted = bool(row["degenerate"]), bool(other["degenerate"])
        texts = zip(_row_texts(row, figures), _row_texts(other, figures), strict=True)
        rows.append(
            [
                Cell(text=str(row["method"]), muted=muted),
                *(
                    Cell(text=text, beside=beside, muted=muted, beside_muted=beside_muted)
                    for text, beside in texts
                ),
            ]
        )
    return rows


def _summary_header(figures: list[Figure]) -> list[str]:
    return ["method", *(figure.label for figure in figures), "degen-\nerate"]


def _row_texts(row: pd.Series, figures: list[Figure]) -> list[str]:
    share = float(row["collapsed"]) + float(row["linearized"])
    return [*(number(float(row[figure.column]), figure.digits) for figure in figures), f"{share:.0%}"]


PAIRED_HEADER = [
    "method against rival",
    "method",
    "rival",
    "difference",
    "95% interval",
    "Holm p",
    "effect size",
    "n",
    "verdict",
]


def paired_table(
    table: list[Comparison], figure: Figure, degenerate: frozenset[str], caption: str
) -> TextTable:
    """A table of comparisons on one figure; comparisons of degenerate methods are grey."""
    rows = []
    for row in table:
        muted = row.method in degenerate or row.rival in degenerate
        verdict = verdict_text(row, degenerate)
        texts = [f"{row.method} against {row.rival}", *comparison_texts(row, figure), verdict]
        rows.append([Cell(text=text, muted=muted) for text in texts])
    return TextTable(caption=caption, header=PAIRED_HEADER, rows=rows)


def verdict_text(row: Comparison, degenerate: frozenset[str]) -> str:
    """The verdict; a degenerate method is never said to be ahead or level, whatever its figures."""
    return "degenerate" if row.method in degenerate and row.verdict in ("ahead", "level") else row.verdict


def comparison_texts(row: Comparison, figure: Figure) -> list[str]:
    """Means, difference, interval, corrected p, effect size and n."""
    missing = row.missing + row.rival_missing
    return [
        number(row.mean, figure.digits),
        number(row.rival_mean, figure.digits),
        number(row.difference, figure.digits, signed=True),
        f"[{number(row.lower, figure.digits, signed=True)}, {number(row.upper, figure.digits, signed=True)}]",
        probability(row.p_corrected),
        number(row.effect_size, 2, signed=True),
        f"{row.num_instances}" + (f" ({missing} missing)" if missing else ""),
    ]


def verdicts_by_group(
    tables: dict[str, list[Comparison]],
    figure: Figure,
    degenerate: dict[str, frozenset[str]],
    *,
    rival: str = "none",
    group: str = "family",
) -> TextTable:
    """Every method against one rival, a row a group: difference and interval, the verdict beside.

    Args:
        tables: comparisons by group; those with other rivals are passed over.
        figure: what they compare.
        degenerate: by group, the methods whose cells are grey.
        rival: who all are compared with.
        group: what a group is.
    """
    methods = list(
        dict.fromkeys(row.method for rows in tables.values() for row in rows if row.rival == rival)
    )
    rows = []
    for name, table in tables.items():
        found = {row.method: row for row in table if row.rival == rival}
        cells = [Cell(text=f"{name} (n = {_fewest(table)})")]
        for method in methods:
            row, hollow = found[method], method in degenerate[name]
            low, high = (number(end, 2, signed=True) for end in (row.lower, row.upper))
            text = f"{number(row.difference, 2, signed=True)} [{low}, {high}]"
            verdict = verdict_text(row, degenerate[name])
            cells.append(Cell(text=text, beside=verdict, muted=hollow, beside_muted=hollow))
        rows.append(cells)
    return TextTable(
        caption=f"{figure.label}, difference to {rival} with its 95% interval, {group} by {group}.",
        header=[group, *methods],
        rows=rows,
    )


def _fewest(table: list[Comparison]) -> int:
    return min((row.num_instances for row in table), default=0)


def confounder_table(data: StudyData) -> TextTable:
    """What could spoil the comparison, by method, at the plateau strength; the truth's own loop first."""
    loop = data.spec.loops[0]
    part = data.at("chosen")
    name = loop_label(loop)
    rows = [
        [
            Cell(text="the truth's own loop"),
            Cell(text=_percent(part[f"{loop}.truth_boundary_share"])),
            Cell(text=_percent(part[f"{loop}.truth_failed_share"])),
            Cell(text=MISSING),
        ]
    ]
    for method, group in part.groupby("method", sort=False):
        rows.append(
            [
                Cell(text=str(method)),
                Cell(text=_percent(group[f"{loop}.boundary_share"])),
                Cell(text=_percent(group[f"{loop}.failed_share"])),
                Cell(text=str(int(group["failed"].sum()))),
            ]
        )
    header = ["", f"{name} ends\non the boundary", f"{name} loops\nfailed", "ensembles with\nfailed members"]
    return TextTable(caption="Confounders, means over all instances.", header=header, rows=rows)


def _percent(values: pd.Series) -> str:
    mean = float(values.mean())
    return MISSING if math.isnan(mean) else f"{mean:.1%}"
