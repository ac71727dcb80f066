"""Every claim with what was found about it, from the cells that are stored."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from surrogate_opt.study.evidence.claim import Finding
from surrogate_opt.study.evidence.experiment import PROTOCOL, SHOWN, Experiment
from surrogate_opt.study.store import ResultsStore


@dataclass(frozen=True, kw_only=True)
class Standing:
    """Where an experiment stands.

    Attributes:
        findings: one a claim.
        missing: cells of the protocol that are not stored.
        total: cells of the protocol.
        cuts: what the cells that the findings rest on leave out of the protocol; empty where nothing.
    """

    findings: list[Finding]
    missing: int
    total: int
    cuts: str = ""


def stored_table(
    experiment: Experiment, preset: str, folder: Path, results: Path
) -> tuple[pd.DataFrame, int]:
    """The rows of the preset's cells that are stored, and how many cells are missing."""
    cells = list(experiment.presets[preset].cells(folder))
    if not results.exists():
        return pd.DataFrame(), len(cells)
    with ResultsStore(results) as store:
        missing = {cell.key for cell in store.missing(cells)}
        rows = [row for cell in cells if cell.key not in missing for row in store.get(cell).rows]
    return pd.DataFrame(rows), len(missing)


def evidence_file(results: Path) -> Path:
    """Where the results of all experiments are, in the folder of the results."""
    return results / "evidence" / "results.db"


def standing(experiment: Experiment, results: Path) -> Standing:
    """What the stored cells say about an experiment's claims.

    Args:
        experiment: decides the claims.
        results: the file of results; it need not exist.

    Returns:
        What the fullest preset says whose cells are all stored; else claims that are not run. What rests on
        cells that cut something is not run at protocol.
    """
    missing: dict[str, int] = {}
    findings, cuts = experiment.unknown(), ""
    for name in (name for name in SHOWN if name in experiment.presets):
        table, missing[name] = stored_table(experiment, name, Path(), results)
        if not missing[name]:
            findings, cuts = experiment.find(table), experiment.presets[name].cuts
            break
    total = len(experiment.presets[PROTOCOL].cells(Path()))
    if cuts:
        findings = off_protocol(findings)
    return Standing(findings=findings, missing=missing[PROTOCOL], total=total, cuts=cuts)


def off_protocol(findings: Iterable[Finding]) -> list[Finding]:
    """What a run that cuts something of the protocol leaves of its verdicts: a remark."""
    return [
        finding
        if finding.verdict == "not run"
        else replace(
            finding,
            verdict="not run at protocol",
            remark="; ".join(part for part in (finding.remark, f"the cut run: {finding.verdict}") if part),
        )
        for finding in findings
    ]
