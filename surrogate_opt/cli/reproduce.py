"""``surrogate-opt reproduce``: one experiment of the papers, run again."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from surrogate_opt.errors import InputError, TrainingError

EPILOG = (
    "surrogate-opt reproduce mnist-sensitivity --data data\n\n"
    "surrogate-opt reproduce mnist-sensitivity --data data --preset quick"
)


def run(
    name: Annotated[
        str | None, typer.Argument(help="The experiment; all are listed where it is left out.")
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(help="Folder of the data sets.", envvar="SURROGATE_OPT_DATA", show_envvar=True),
    ] = None,
    preset: Annotated[
        str,
        typer.Option(
            help="paper (the protocol, on which verdicts rest), long where there is one, quick or smoke."
        ),
    ] = "paper",
    results: Annotated[Path, typer.Option(help="Folder of the results.")] = Path("results"),
    workers: Annotated[int | None, typer.Option(min=1, help="Processes; one a core unless told.")] = None,
    device: Annotated[
        str | None, typer.Option(help="Where networks are trained, where an experiment has a choice: cuda.")
    ] = None,
) -> None:
    """Run one experiment of the source papers again, and judge their claims by it.

    Results go to RESULTS/evidence/results.db as they come; interrupted, the same command goes on.
    """
    from surrogate_problems.datasets.files import data_folder
    from surrogate_problems.problem import ProblemError

    from surrogate_opt.cli.console import make_console
    from surrogate_opt.cli.evidence_report import experiments_table, findings_table, measured_table
    from surrogate_opt.cli.study_steps import WIDTH, compute_cells, failed_cells
    from surrogate_opt.study.evidence.devices import on_device
    from surrogate_opt.study.evidence.experiment import PROTOCOL
    from surrogate_opt.study.evidence.experiments import EXPERIMENTS
    from surrogate_opt.study.evidence.ledger import evidence_file, off_protocol, stored_table
    from surrogate_opt.study.runner import run_cells

    console = make_console(WIDTH)
    if name is None:
        console.print(experiments_table(EXPERIMENTS.values()))
        console.print("Presets: paper unless told. Those of one experiment share what they have in common.")
        return
    if name not in EXPERIMENTS:
        raise InputError(f"NAME: expected one of {', '.join(EXPERIMENTS)}; came {name!r}")
    experiment = EXPERIMENTS[name]
    if preset not in experiment.presets:
        raise InputError(f"--preset: expected one of {', '.join(experiment.presets)}; came {preset!r}")
    folder = Path()
    if experiment.check is not None:
        try:
            folder = data_folder(data)
            experiment.check(folder)
        except ProblemError as error:
            raise InputError(str(error)) from None
    size, file = experiment.presets[preset], evidence_file(results)
    cells = on_device(list(size.cells(folder)), device)
    console.print(f"{experiment.title}, preset {preset}: {len(cells)} cells")
    failures = compute_cells(
        console,
        "training",
        len(cells),
        lambda report: run_cells(cells, experiment.compute, file, workers=workers, report=report),
    )
    trouble = failed_cells(failures, len(cells))
    if trouble:
        raise TrainingError(trouble)
    table, _ = stored_table(experiment, preset, folder, file)
    console.print(measured_table(experiment.summarize(table)))
    findings = experiment.find(table)
    console.print(findings_table(experiment, off_protocol(findings) if size.cuts else findings))
    if size.cuts:
        console.print(
            f"Preset {preset} keeps to {size.cuts}: verdicts rest on --preset {PROTOCOL} alone.",
            style="yellow",
        )
    if experiment.draw is not None:
        for picture in experiment.draw(table, file.parent / experiment.name / preset):
            console.print(f"picture: {picture}")
    console.print(f"results: {file}")
