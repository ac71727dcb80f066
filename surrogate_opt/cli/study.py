"""surrogate-opt run: the study of methods against each other, its tables and its report."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from surrogate_opt.errors import InputError, TrainingError

if TYPE_CHECKING:
    from rich.console import Console

    from surrogate_opt.study.spec import StudySpec

EPILOG = (
    "The whole default study, under two minutes on two cores; a second run does only what is missing:\n\n"
    "surrogate-opt run\n\n"
    "One family, twenty instances, two methods:\n\n"
    "surrogate-opt run --families piecewise --methods none,dreg --instances 20 --name kinks\n\n"
    "The papers' sizes (2,000 training points), for a longer coffee:\n\n"
    "surrogate-opt run --budget paper"
)


_WIDTH = 110


def run(
    families: Annotated[
        str | None,
        typer.Option(
            help="Comma-separated synthetic families: smooth, piecewise, sparse, oscillatory, entangled."
        ),
    ] = None,
    methods: Annotated[
        str | None, typer.Option(help="Comma-separated methods: none, dreg, igp, sn, dreg+igp.")
    ] = None,
    instances: Annotated[
        int | None, typer.Option(help="Instances of each family; under 10 there is no verdict.")
    ] = None,
    budget: Annotated[
        str, typer.Option(help="smoke (seconds), default (two minutes), or paper (the papers' sizes).")
    ] = "default",
    spec: Annotated[
        Path | None, typer.Option(help="TOML file of any fields of a study; options here win over it.")
    ] = None,
    name: Annotated[str | None, typer.Option(help="Name of the study, and of its folder.")] = None,
    results: Annotated[Path, typer.Option(help="Folder for studies.")] = Path("results"),
    device: Annotated[str | None, typer.Option(help="Where networks train: cpu, cuda, ...")] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Processes; one a core by default, one on an accelerator.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Of folds, weights, minibatches and starts.")] = None,
) -> None:
    """Compare methods of derivative control: which surrogate misleads the loop that follows it?

    Every method is trained over its whole grid of strengths on every instance; loops follow each chosen
    surrogate and the truth from the same starts. Results go to RESULTS/NAME: results.db (every cell, kept
    when interrupted), report.html, and the figures.
    """
    from surrogate_opt.cli.console import make_console
    from surrogate_opt.study.spec import make_spec

    study = make_spec(
        budget,
        spec,
        families=_names(families),
        methods=_names(methods),
        instances=instances,
        name=name,
        device=device,
        seed=seed,
    )
    _check_device(study.device)
    console = make_console(_WIDTH)
    folder = results / study.name
    failures = _compute(console, study, folder, workers or (None if study.device == "cpu" else 1))
    trouble = _described(failures, len(study.cells()))
    if len(failures) == len(study.cells()):
        raise TrainingError(trouble)
    _present(console, study, folder)
    if failures:
        raise TrainingError(trouble)


def _described(failures: dict[str, str], wanted: int) -> str:
    """One line on the cells that failed; empty where none did."""
    if not failures:
        return ""
    place, message = next(iter(failures.items()))
    return f"{len(failures)} of {wanted} cells failed, first {place}: {message}; run again to retry"


def _names(text: str | None) -> tuple[str, ...] | None:
    return None if text is None else tuple(part.strip() for part in text.split(",") if part.strip())


def _check_device(device: str) -> None:
    import torch

    try:
        float(torch.zeros(1, device=device))
    except (RuntimeError, AssertionError, NotImplementedError):
        raise InputError(
            f"device: expected one that torch can use here, such as cpu; came {device!r}"
        ) from None


def _compute(console: Console, study: StudySpec, folder: Path, workers: int | None) -> dict[str, str]:
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    from surrogate_opt.study.runner import run_study

    console.print(
        f"Study [bold]{study.name}[/bold]: {len(study.families)} families x {study.instances} instances x "
        f"{len(study.methods)} methods; {study.num_train} training points, {study.dim} inputs"
    )
    with Progress(
        TextColumn("training and following loops"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("cells"),
        TimeElapsedColumn(),
        console=console,
    ) as progress:
        task = progress.add_task("cells", total=len(study.cells()))
        summary = run_study(
            study,
            folder / "results.db",
            workers=workers,
            report=lambda done, total: progress.update(task, completed=done, total=total),
        )
    console.print(
        f"{summary.computed} cells computed in {summary.seconds:.0f} s, {summary.reused} found stored"
    )
    return summary.failures


def _present(console: Console, study: StudySpec, folder: Path) -> None:
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    from surrogate_opt.study.claims import gather
    from surrogate_opt.study.report import terminal_tables, write_report
    from surrogate_opt.study.tables import load_study

    data = load_study(study, folder / "results.db")
    evidence = gather(data)
    with Progress(
        TextColumn("drawing the report"), BarColumn(), TimeElapsedColumn(), console=console, transient=True
    ) as progress:
        task = progress.add_task("report", total=None)
        page = write_report(
            data,
            evidence,
            folder,
            progress=lambda done, total: progress.update(task, completed=done, total=total),
        )
    for renderable in terminal_tables(data, evidence):
        console.print(renderable)
    console.print(f"report: {page}\nfigures: {folder / 'figures'}\nresults: {folder / 'results.db'}")
