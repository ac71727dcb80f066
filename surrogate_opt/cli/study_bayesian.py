"""surrogate-opt run --loops bo: the study of models in Bayesian optimization."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from surrogate_opt.cli.study_steps import WIDTH, compute_cells, failed_cells, present
from surrogate_opt.errors import TrainingError

if TYPE_CHECKING:
    from rich.console import Console

    from surrogate_opt.study.bayesian.spec import BayesianStudySpec
    from surrogate_opt.study.bayesian.tables import BayesianStudyData


def run_bayesian(study: BayesianStudySpec, results: Path, workers: int | None) -> None:
    """Compute what is missing of a study, print its tables and write its report.

    Args:
        study: what to do.
        results: folder for studies.
        workers: processes; one a core by default.

    Raises:
        TrainingError: runs failed; one line. What succeeded is shown before.
        InputError: the results file cannot be used.
    """
    from surrogate_opt.cli.console import make_console
    from surrogate_opt.study.bayesian.cell import run_bayesian_cell
    from surrogate_opt.study.bayesian.tables import load_bayesian_study
    from surrogate_opt.study.runner import run_cells

    console = make_console(WIDTH)
    folder, cells = results / study.name, study.cells()
    file = folder / "results.db"
    console.print(
        f"Study {study.name}: {len(study.problems)} problems x {study.instances} instances x "
        f"{len(study.models)} models; {study.evaluations} evaluations"
    )
    failures = compute_cells(
        console,
        "searching",
        len(cells),
        lambda report: run_cells(cells, run_bayesian_cell, file, workers=workers, report=report),
    )
    trouble = failed_cells(failures, len(cells))
    if len(failures) == len(cells):
        raise TrainingError(trouble)
    data = load_bayesian_study(study, file)
    trouble = trouble or _failed_runs(data)
    if data.proposals.empty:
        raise TrainingError(trouble)
    _present(console, data, folder)
    if trouble:
        raise TrainingError(trouble)


def _failed_runs(data: BayesianStudyData) -> str:
    """One line on the stored runs whose searches raised; empty where none did."""
    from surrogate_opt.study.bayesian.summaries import stored_runs

    if data.failures.empty:
        return ""
    first = data.failures.iloc[0]
    place = f"{first['model']} on {first['problem']} {first['instance']}"
    return (
        f"{len(data.failures)} of {len(stored_runs(data))} runs failed, first {place}: {first['message']} "
        "(stored; not tried again)"
    )


def _present(console: Console, data: BayesianStudyData, folder: Path) -> None:
    from surrogate_opt.study.bayesian.comparisons import gather
    from surrogate_opt.study.bayesian.report import terminal_tables, write_report

    findings = gather(data)
    present(
        console,
        folder,
        lambda report: write_report(data, folder, report, findings=findings),
        terminal_tables(data, findings=findings),
    )
