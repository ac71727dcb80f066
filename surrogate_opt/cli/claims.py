"""``surrogate-opt claims``: every claim of the papers, and what was found about it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from surrogate_opt.errors import InputError

EPILOG = (
    "A claim is reproduced where the Wilcoxon and the sign test of its paired differences are both under "
    "0.05 and point its way and, where it states a size, our interval reaches that; reproduced in direction "
    "where mean and most pairs do and one of the tests is under 0.05, or no pair points the other way. A "
    "claim of no harm is reproduced where the interval excludes a stated margin. Claims on ghosts have "
    "Holm's correction.\n\n"
    "surrogate-opt reproduce mnist-sensitivity --data FOLDER\n\nsurrogate-opt claims -o claims.md"
)


def run(
    name: Annotated[
        str | None, typer.Argument(help="One experiment's claims; all where it is left out.")
    ] = None,
    results: Annotated[Path, typer.Option(help="Folder of the results.")] = Path("results"),
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Also write the claims to a Markdown page.")
    ] = None,
) -> None:
    """List the claims of the source papers: the paper's figure, ours, and the verdict.

    Verdicts come from the stored results of `surrogate-opt reproduce` at the papers' protocol alone.
    """
    from surrogate_opt.cli.console import check_output, make_console, write_text
    from surrogate_opt.cli.evidence_report import findings_table
    from surrogate_opt.cli.study_steps import WIDTH, passing_bar
    from surrogate_opt.study.evidence.contradictions import CONTRADICTIONS
    from surrogate_opt.study.evidence.experiments import EXPERIMENTS
    from surrogate_opt.study.evidence.ledger import evidence_file, standing
    from surrogate_opt.study.evidence.page import claims_page
    from surrogate_opt.study.evidence.untested import UNTESTED

    if name is not None and name not in EXPERIMENTS:
        raise InputError(f"NAME: expected one of {', '.join(EXPERIMENTS)}; came {name!r}")
    file = evidence_file(results)
    check_output(output, "--output", inputs=(file,))
    console = make_console(WIDTH)
    if not file.exists():
        console.print(
            f"No results in {results}: every claim is shown as not run. What came out when they were run is "
            "in the project's examples/evidence/claims.md.",
            style="yellow",
        )
    experiments = list(EXPERIMENTS.values()) if name is None else [EXPERIMENTS[name]]
    standings = {}
    with passing_bar(console, "judging the claims") as report:
        for done, experiment in enumerate(experiments):
            report(done, len(experiments))
            standings[experiment] = standing(experiment, file)
    for experiment, stands in standings.items():
        console.print(experiment.title, style="bold")
        console.print(experiment.protocol)
        if stands.missing:
            console.print(
                f"not run: {stands.total - stands.missing} of {stands.total} cells are there; "
                f"surrogate-opt reproduce {experiment.name}",
                style="yellow",
            )
        if stands.cuts:
            console.print(f"shown: a cut preset, which keeps to {stands.cuts}", style="yellow")
        console.print(findings_table(experiment, stands.findings))
        console.print()
    if name is None:
        console.print("What nothing here tests", style="bold")
        for paper, claim, reported, why in UNTESTED:
            console.print(f"- {paper}: {claim} ({reported}): {why}")
        console.print()
        console.print("Where the papers contradict themselves", style="bold")
        for paper, text in CONTRADICTIONS:
            console.print(f"- {paper}: {text}")
    if output is not None:
        write_text(output, claims_page(standings, whole=name is None))
        console.print(f"page: {output}")
