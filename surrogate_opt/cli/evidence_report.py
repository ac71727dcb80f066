"""Tables of one experiment for the terminal."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pandas as pd
from rich import box
from rich.table import Table
from rich.text import Text

from surrogate_opt.study.evidence.claim import Finding, in_words
from surrogate_opt.study.evidence.experiment import PROTOCOL, Experiment

_COLOURS = {"reproduced": "green", "reproduced in direction": "yellow", "not reproduced": "red"}


def experiments_table(experiments: Iterable[Experiment]) -> Table:
    """What can be run: presets with the cells they compute and what they cut, and whether data are needed."""
    shown = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for label, width in (("experiment", 22), ("preset", 7), ("cells", 6), ("what it is, or cuts", 68)):
        shown.add_column(label, max_width=width, justify="right" if label == "cells" else "left")
    for experiment in experiments:
        data = "" if experiment.check is None else " (needs --data)"
        for name, preset in experiment.presets.items():
            first = name == PROTOCOL
            what = f"{experiment.title}{data}" if first else f"keeps to {preset.cuts}"
            shown.add_row(experiment.name if first else "", name, str(len(preset.cells(Path()))), what)
    return shown


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
