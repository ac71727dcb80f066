"""Every claim with what was found about it, from the cells that are stored."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from surrogate_opt.study.evidence.claim import Finding
from surrogate_opt.study.evidence.experiments import PROTOCOL, Experiment
from surrogate_opt.study.store import ResultsStore
from surrogate_opt.study.text_tables import MISSING


def stored_table(
    experiment: Experiment, preset: str, folder: Path, results: Path
) -> tuple[pd.DataFrame, int]:
    """The rows of the preset's cells that are stored, and how many cells are missing."""
    cells = list(experiment.presets[preset](folder))
    if not results.exists():
        return pd.DataFrame(), len(cells)
    with ResultsStore(results) as store:
        missing = {cell.key for cell in store.missing(cells)}
        rows = [row for cell in cells if cell.key not in missing for row in store.get(cell).rows]
    return pd.DataFrame(rows), len(missing)


def evidence_file(results: Path) -> Path:
    """Where the results of all experiments are, in the folder of the results."""
    return results / "evidence" / "results.db"


def findings(experiment: Experiment, results: Path) -> tuple[list[Finding], int, int]:
    """What the stored cells of the protocol say about an experiment's claims.

    Args:
        experiment: decides the claims.
        results: the file of results; it need not exist.

    Returns:
        The finding of each claim, "not run" where cells are missing; how many are; and of how many.
    """
    total = len(experiment.presets[PROTOCOL](Path()))
    table, missing = stored_table(experiment, PROTOCOL, Path(), results)
    found = (
        [Finding(claim=claim.name, ours=MISSING, verdict="not run") for claim in experiment.claims]
        if missing
        else experiment.find(table)
    )
    return found, missing, total
