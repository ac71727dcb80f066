"""What the statistics say, in words: how methods stand on a figure, and which of DREG's claims hold."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import pandas as pd

from surrogate_opt.study.spec import StudySpec
from surrogate_opt.study.statistics import ERROR_MARGIN, REGRET_MARGIN, Comparison, Verdict
from surrogate_opt.study.tables import (
    Figure,
    Setting,
    StudyData,
    comparisons,
    family_comparisons,
    loop_label,
    summarize,
)
from surrogate_opt.study.text_tables import span

Status = Literal["borne out", "borne out in part", "not borne out", "undecided", "too few to say", "void"]

SETTINGS: tuple[Setting, ...] = get_args(Setting)


def paired_figures(spec: StudySpec) -> list[Figure]:
    """The figures that methods are compared on, the headline first; lower is better in each.

    Optimism counts by its size, since to promise too little is no merit. The out-of-fold error is not among
    them: it chose the strength, and the least of many candidates is low by luck alone.
    """
    loop = spec.loops[0]
    return [
        Figure(
            column=f"{loop}.regret_selected",
            label=f"regret ({loop_label(loop)})",
            digits=3,
            margin=REGRET_MARGIN,
        ),
        Figure(
            column=f"{loop}.optimism_size",
            label=f"|optimism| ({loop_label(loop)})",
            digits=3,
            margin=REGRET_MARGIN,
        ),
        Figure(column="field.wrong_way_rate", label="wrong-way rate", digits=3, margin=ERROR_MARGIN),
        Figure(column="field.gradient_error", label="gradient error", digits=3, margin=ERROR_MARGIN),
        Figure(
            column="sensitivity.tail_ratio", label="tail ratio (p99 / mean)", digits=3, margin=ERROR_MARGIN
        ),
        Figure(column="test_error", label="test error (1 - R²)", digits=3, margin=ERROR_MARGIN),
    ]


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """Every comparison that the report shows, computed once.

    Attributes:
        paired: by setting and column, over all families.
        by_family: the headline figure's, by setting and family.
        degenerate: by setting, the methods of which more than half of the surrogates are degenerate.
        family_degenerate: the same by setting and family.
    """

    paired: dict[Setting, dict[str, list[Comparison]]]
    by_family: dict[Setting, dict[str, list[Comparison]]]
    degenerate: dict[Setting, frozenset[str]]
    family_degenerate: dict[Setting, dict[str, frozenset[str]]]


def degenerate_methods(table: pd.DataFrame) -> frozenset[str]:
    """The methods that a summary marks as degenerate."""
    return frozenset(table.loc[table["degenerate"], "method"])


def gather(data: StudyData) -> Evidence:
    """Compare the methods on every figure, at both settings."""
    figures = paired_figures(data.spec)
    headline = figures[0]
    paired: dict[Setting, dict[str, list[Comparison]]] = {}
    by_family: dict[Setting, dict[str, list[Comparison]]] = {}
    degenerate: dict[Setting, frozenset[str]] = {}
    family_degenerate: dict[Setting, dict[str, frozenset[str]]] = {}
    for setting in SETTINGS:
        margins = {figure.column: figure.margin for figure in figures if figure.margin is not None}
        paired[setting] = comparisons(data, setting, margins)
        by_family[setting] = family_comparisons(
            data, setting, headline.column, headline.margin or REGRET_MARGIN
        )
        degenerate[setting] = degenerate_methods(summarize(data, setting))
        family_degenerate[setting] = {
            str(family): degenerate_methods(table)
            for family, table in summarize(data, setting, by=["family"]).groupby("family", sort=False)
        }
    return Evidence(
        paired=paired, by_family=by_family, degenerate=degenerate, family_degenerate=family_degenerate
    )


_STANDINGS: dict[Verdict, str] = {
    "ahead": "ahead of none",
    "level": "level with none",
    "behind": "behind none",
    "undecided": "undecided against none",
    "too few to say": "too few instances to say",
}


def standing(table: list[Comparison], degenerate: frozenset[str], label: str) -> str:
    """One sentence: which methods are ahead of, level with or behind "none".

    Args:
        table: comparisons; those with other rivals are passed over.
        degenerate: methods that are never said to be ahead or level.
        label: of the figure.
    """
    rows = [row for row in table if row.rival == "none"]
    if not rows:
        return f"On {label} there is nothing to compare with none."
    parts = []
    for verdict, words in _STANDINGS.items():
        names = [row.method for row in rows if row.verdict == verdict and not _hollow(row, degenerate)]
        if names:
            parts.append(f"{words}: {', '.join(names)}")
    hollow = [row.method for row in rows if _hollow(row, degenerate)]
    if hollow:
        parts.append(f"not ranked, since most of their surrogates are degenerate: {', '.join(hollow)}")
    if all(row.verdict != "too few to say" for row in rows) and not any(
        row.verdict == "ahead" and row.method not in degenerate for row in rows
    ):
        parts.insert(0, "no method is ahead of none")
    return f"On {label}, {'; '.join(parts)} (n = {span([row.num_instances for row in rows])} instances)."


def _hollow(row: Comparison, degenerate: frozenset[str]) -> bool:
    return row.method in degenerate and row.verdict in ("ahead", "level")


@dataclass(frozen=True, kw_only=True)
class Part:
    """One figure that a claim rests on."""

    figure: Figure
    comparison: Comparison
    status: Status


@dataclass(frozen=True, kw_only=True)
class Claim:
    """A claim of the DREG paper and what becomes of it.

    Attributes:
        text: the claim.
        status: what the parts say together.
        parts: the figures that it rests on, DREG against "none".
    """

    text: str
    status: Status
    parts: list[Part]


_REDUCES: dict[Verdict, Status] = {
    "ahead": "borne out",
    "level": "not borne out",
    "behind": "not borne out",
    "undecided": "undecided",
    "too few to say": "too few to say",
}
_KEEPS: dict[Verdict, Status] = _REDUCES | {"level": "borne out"}


def dreg_claims(spec: StudySpec, evidence: Evidence, setting: Setting) -> list[Claim]:
    """DREG's claims at one setting; empty where "dreg" or "none" is not in the study."""
    loop = spec.loops[0]
    claims = (
        ("DREG shortens the tails of the gradients", ("sensitivity.tail_ratio",), _REDUCES),
        ("at no cost in error", ("test_error",), _KEEPS),
        (
            "and so sends fewer ghost signals",
            (f"{loop}.optimism_size", f"{loop}.regret_selected", "field.wrong_way_rate"),
            _REDUCES,
        ),
    )
    figures = {figure.column: figure for figure in paired_figures(spec)}
    found = []
    for text, columns, statuses in claims:
        parts = [
            Part(figure=figures[column], comparison=row, status=statuses[row.verdict])
            for column in columns
            for row in evidence.paired[setting][column]
            if (row.method, row.rival) == ("dreg", "none")
        ]
        if parts:
            void = "dreg" in evidence.degenerate[setting]
            status: Status = "void" if void else together([part.status for part in parts])
            if not void and any(part.comparison.verdict == "behind" for part in parts):
                status = "not borne out"
            found.append(Claim(text=text, status=status, parts=parts))
    return found


def together(statuses: list[Status]) -> Status:
    """What several figures say about one claim, which needs them all."""
    for status in ("too few to say", "void"):
        if status in statuses:
            return status
    if all(status == "borne out" for status in statuses):
        return "borne out"
    if "borne out" in statuses:
        return "borne out in part"
    return "not borne out" if "not borne out" in statuses else "undecided"


def spikes(data: StudyData) -> str:
    """One sentence on whether there are any spikes to remove: surrogates without a penalty."""
    bare = data.surrogates[data.surrogates["method"] == "none"]
    if bare.empty:
        return ""
    share, gain = float(bare["field.spike_excess"].mean()), float(bare["field.gain"].mean())
    return (
        f"Without any penalty {share:.2%} of the points have a gradient steeper than 1.25 times the truth's "
        f"99th percentile, and the mean gradient is {gain:.2f} times the truth's."
    )
