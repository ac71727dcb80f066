"""surrogate-opt run --loops mpc: the study of methods in model-predictive control."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from surrogate_opt.cli.study_steps import WIDTH, compute_cells, failed_cells, present
from surrogate_opt.errors import TrainingError

if TYPE_CHECKING:
    from surrogate_opt.study.control.spec import ControlStudySpec


def run_control(study: ControlStudySpec, results: Path, workers: int | None) -> None:
    """Compute what is missing of a study, print its tables and write its report.

    Args:
        study: what to do.
        results: folder for studies.
        workers: processes; one a core by default.

    Raises:
        TrainingError: cells failed; one line. What succeeded is shown before.
        InputError: the results file cannot be used.
    """
    from surrogate_opt.cli.console import make_console
    from surrogate_opt.study.control.cell import run_control_cell
    from surrogate_opt.study.control.comparisons import gather
    from surrogate_opt.study.control.report import terminal_tables, write_report
    from surrogate_opt.study.control.tables import load_control_study
    from surrogate_opt.study.runner import run_cells

    console = make_console(WIDTH)
    folder, cells = results / study.name, study.cells()
    file = folder / "results.db"
    sizes = " and ".join(f"{number:,}" for number in study.num_train)
    console.print(
        f"Study {study.name}: {len(study.plants)} plants x {study.instances} instances x "
        f"{len(study.methods)} methods x {len(study.controllers)} planners; {sizes} transitions, "
        f"{' and '.join(f'{study.starts_of(name)} starts under {name}' for name in study.controllers)}"
    )
    failures = compute_cells(
        console,
        "learning and controlling",
        len(cells),
        lambda report: run_cells(cells, run_control_cell, file, workers=workers, report=report),
    )
    trouble = failed_cells(failures, len(cells))
    if len(failures) == len(cells):
        raise TrainingError(trouble)
    data = load_control_study(study, file)
    findings = gather(data)
    present(
        console,
        folder,
        lambda report: write_report(data, folder, report, findings=findings),
        terminal_tables(data, findings=findings),
    )
    if trouble:
        raise TrainingError(trouble)
