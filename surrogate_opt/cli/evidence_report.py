"""Tables of one experiment for the terminal."""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd
from rich import box
from rich.table import Table
from rich.text import Text

from surrogate_opt.study.evidence.claim import Finding
from surrogate_opt.study.evidence.experiments import Experiment

_COLOURS = {"reproduced": "green", "reproduced in direction": "yellow", "not reproduced": "red"}


def measured_table(experiment: Experiment, table: pd.DataFrame) -> Table:
    """Mean and standard deviation over seeds of every figure, a row a group."""
    shown = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, title="Mean ± std over seeds")
    for group in experiment.groups:
        shown.add_column(group)
    for column in experiment.columns:
        shown.add_column(column.replace("_over_", "/"), justify="right")
    groups = table.groupby(list(experiment.groups), sort=False)[list(experiment.columns)]
    for (names, means), (_, deviations) in zip(
        groups.mean().iterrows(), groups.std(ddof=1).iterrows(), strict=True
    ):
        figures = [f"{means[name]:.3f} ± {deviations[name]:.3f}" for name in experiment.columns]
        shown.add_row(*(str(part) for part in (names if isinstance(names, tuple) else (names,))), *figures)
    return shown


def findings_table(experiment: Experiment, findings: Iterable[Finding]) -> Table:
    """The claims the experiment decides, the paper's figure, ours, the verdict."""
    shown = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for label, width in (("claim", 34), ("the paper", 19), ("ours, 95% interval", 36), ("verdict", 13)):
        shown.add_column(label, min_width=13, max_width=width)
    by_claim = {finding.claim: finding for finding in findings}
    for claim in experiment.claims:
        finding = by_claim[claim.name]
        ours = "; ".join(part for part in (finding.ours, finding.remark) if part)
        verdict = Text(finding.verdict, style=_COLOURS.get(finding.verdict, "dim"))
        shown.add_row(claim.statement, claim.reported, ours, verdict)
    return shown
