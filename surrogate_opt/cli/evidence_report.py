"""Tables of one experiment for the terminal."""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd
from rich import box
from rich.table import Table
from rich.text import Text

from surrogate_opt.study.evidence.claim import Finding, in_words
from surrogate_opt.study.evidence.experiment import Experiment

_COLOURS = {"reproduced": "green", "reproduced in direction": "yellow", "not reproduced": "red"}


def measured_table(shown: pd.DataFrame) -> Table:
    """An experiment's own table."""
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for column in shown.columns:
        figures = shown[column].str.contains(r"\d").all()
        table.add_column(str(column), justify="right" if figures else "left")
    for row in shown.itertuples(index=False):
        table.add_row(*row)
    return table


def findings_table(experiment: Experiment, findings: Iterable[Finding]) -> Table:
    """The claims the experiment decides, the paper's figure, ours, the verdict."""
    shown = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for label, width in (("claim", 34), ("the paper", 19), ("ours, 95% interval", 36), ("verdict", 13)):
        shown.add_column(label, min_width=13, max_width=width)
    by_claim = {finding.claim: finding for finding in findings}
    for claim in experiment.claims:
        finding = by_claim[claim.name]
        verdict = Text(finding.verdict, style=_COLOURS.get(finding.verdict, "dim"))
        shown.add_row(claim.statement, claim.reported, in_words(claim, finding), verdict)
    return shown
