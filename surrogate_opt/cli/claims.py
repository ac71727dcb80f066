"""``surrogate-opt claims``: every claim of the papers, and what was found about it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

EPILOG = (
    "A claim is reproduced where the Wilcoxon and the sign test of its paired differences are both under "
    "0.05; reproduced in direction where only the means agree with it.\n\n"
    "surrogate-opt reproduce mnist-sensitivity --data FOLDER\n\nsurrogate-opt claims"
)


def run(
    results: Annotated[Path, typer.Option(help="Folder of the results.")] = Path("results"),
) -> None:
    """List the claims of the source papers: the paper's figure, ours, and the verdict.

    Verdicts come from the stored results of `surrogate-opt reproduce` at the papers' protocol alone.
    """
    from surrogate_opt.cli.console import make_console
    from surrogate_opt.cli.evidence_report import findings_table
    from surrogate_opt.cli.study_steps import WIDTH
    from surrogate_opt.study.evidence.contradictions import CONTRADICTIONS
    from surrogate_opt.study.evidence.experiments import EXPERIMENTS
    from surrogate_opt.study.evidence.ledger import evidence_file, findings

    console = make_console(WIDTH)
    for experiment in EXPERIMENTS.values():
        found, missing, total = findings(experiment, evidence_file(results))
        console.print(experiment.title, style="bold")
        console.print(experiment.protocol)
        if missing:
            console.print(
                f"not run: {total - missing} of {total} cells are there; "
                f"surrogate-opt reproduce {experiment.name}",
                style="yellow",
            )
        console.print(findings_table(experiment, found))
        console.print()
    console.print("Where the papers contradict themselves", style="bold")
    for paper, text in CONTRADICTIONS:
        console.print(f"- {paper}: {text}")
