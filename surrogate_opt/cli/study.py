"""surrogate-opt run: the studies of methods and of models against each other, their tables and reports."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from surrogate_opt.cli.study_steps import WIDTH, compute_cells, failed_cells, names, numbers, present
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
    "surrogate-opt run --budget paper\n\n"
    "Bayesian optimization instead of gradient loops; about half an hour on two cores:\n\n"
    "surrogate-opt run --loops bo\n\n"
    "Does our ensemble keep up with a Gaussian process on two problems?\n\n"
    "surrogate-opt run --loops bo --problems hartmann6,sparse --models ensemble:dreg,gp,sobol --name two\n\n"
    "One more model beside them; the others are not computed again:\n\n"
    "surrogate-opt run --loops bo --problems hartmann6,sparse --models ensemble:dreg,gp,sobol,deep_kernel "
    "--name two\n\n"
    "Closed loops on learned plants; about an hour on two cores:\n\n"
    "surrogate-opt run --loops mpc\n\n"
    "One plant, few data:\n\n"
    "surrogate-opt run --loops mpc --plants pendulum --transitions 50 --methods none,dreg --name swing"
)

_OWN_OPTIONS = {
    "gradient": ("families", "methods", "device"),
    "bo": ("problems", "models", "evaluations"),
    "mpc": ("plants", "methods", "controllers", "transitions", "starts"),
}
"""Options by the kind of loop that they belong to; the others belong to every kind."""


def run(
    loops: Annotated[
        str,
        typer.Option(
            help="gradient (optimizers that follow the surrogate), bo (Bayesian optimization) or mpc "
            "(model-predictive control)."
        ),
    ] = "gradient",
    families: Annotated[
        str | None,
        typer.Option(
            help="gradient: comma-separated synthetic families: smooth, piecewise, sparse, oscillatory, "
            "entangled."
        ),
    ] = None,
    methods: Annotated[
        str | None,
        typer.Option(
            help="gradient, mpc: comma-separated methods: none, dreg, igp, sn, dreg+igp (these five unless "
            "given), datagrad, spectreg, weight_decay, dropout."
        ),
    ] = None,
    problems: Annotated[
        str | None,
        typer.Option(
            help="bo: comma-separated families, and functions: branin, hartmann6, levy10, ackley10, "
            "rosenbrock10, styblinski_tang10, rastrigin5, michalewicz5, griewank6, egg_holder."
        ),
    ] = None,
    models: Annotated[
        str | None,
        typer.Option(help="bo: comma-separated models: ensemble:METHOD, last_layer, deep_kernel, gp, sobol."),
    ] = None,
    evaluations: Annotated[
        int | None, typer.Option(help="bo: evaluations of the truth in one run, first points included.")
    ] = None,
    plants: Annotated[
        str | None,
        typer.Option(
            help="mpc: comma-separated plants: pendulum, cart_pole, quadrotor, cstr, quadruple_tank, "
            "van_der_pol, family:smooth, family:piecewise, ..."
        ),
    ] = None,
    controllers: Annotated[
        str | None, typer.Option(help="mpc: comma-separated planners: ilqr, shooting, mppi, cem.")
    ] = None,
    transitions: Annotated[
        str | None, typer.Option(help="mpc: comma-separated numbers of transitions to learn from.")
    ] = None,
    starts: Annotated[int | None, typer.Option(help="mpc: closed loops of each instance.")] = None,
    instances: Annotated[
        int | None,
        typer.Option(help="Instances of each family, problem or plant; under 10 there is no verdict."),
    ] = None,
    budget: Annotated[
        str,
        typer.Option(
            help="smoke (seconds), default (two minutes; bo: about half an hour; mpc: an hour), paper "
            "(gradient: the papers' sizes) or full (bo, mpc: every problem and model, hours)."
        ),
    ] = "default",
    spec: Annotated[
        Path | None, typer.Option(help="TOML file of any fields of a study; options here win over it.")
    ] = None,
    name: Annotated[str | None, typer.Option(help="Name of the study, and of its folder.")] = None,
    results: Annotated[Path, typer.Option(help="Folder for studies.")] = Path("results"),
    device: Annotated[str | None, typer.Option(help="gradient: where networks train: cpu, cuda, ...")] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Processes; one a core by default, one on an accelerator.")
    ] = None,
    seed: Annotated[
        int | None, typer.Option(help="Of folds, weights, minibatches, starts and first points.")
    ] = None,
) -> None:
    """Compare methods of derivative control: which surrogate misleads the loop that follows it?

    With gradient loops, every method is trained over its whole grid of strengths on every instance; loops
    follow each chosen surrogate and the truth from the same starts. In Bayesian optimization (--loops bo),
    every model starts from the same points and proposes the next ones itself. In model-predictive control
    (--loops mpc), every method learns each plant from the same data, and planners control the plant through
    it beside an oracle that knows the plant. Results go to RESULTS/NAME:
    results.db (every cell, kept when interrupted), report.html, and the figures.
    """
    own: dict[str, object] = {
        "families": names(families),
        "methods": names(methods),
        "device": device,
        "problems": names(problems),
        "models": names(models),
        "evaluations": evaluations,
        "plants": names(plants),
        "controllers": names(controllers),
        "transitions": numbers("--transitions", transitions),
        "starts": starts,
    }
    changes = _of_loops(loops, own) | {"instances": instances, "name": name, "seed": seed}
    if loops == "bo":
        from surrogate_opt.cli.study_bayesian import run_bayesian
        from surrogate_opt.study.bayesian.spec import make_bayesian_spec

        run_bayesian(make_bayesian_spec(budget, spec, **changes), results, workers)
    elif loops == "mpc":
        from surrogate_opt.cli.study_control import run_control
        from surrogate_opt.study.control.spec import make_control_spec

        changes["num_train"] = changes.pop("transitions")
        run_control(make_control_spec(budget, spec, **changes), results, workers)
    else:
        from surrogate_opt.study.spec import make_spec

        _run_gradient(make_spec(budget, spec, **changes), results, workers)


def _of_loops(loops: str, options: dict[str, object]) -> dict[str, object]:
    """The options that belong to a kind of loop.

    Raises:
        InputError: the kind is unknown, or an option of another kind was given.
    """
    if loops not in _OWN_OPTIONS:
        raise InputError(f"--loops: expected one of {', '.join(_OWN_OPTIONS)}; came {loops!r}")
    own = _OWN_OPTIONS[loops]
    foreign = [name for name, value in options.items() if name not in own and value is not None]
    if foreign:
        raise InputError(
            f"--{foreign[0]}: expected none with --loops {loops}, whose own options are "
            f"{', '.join(f'--{name}' for name in own)}"
        )
    return {name: options[name] for name in own}


def _run_gradient(study: StudySpec, results: Path, workers: int | None) -> None:
    from surrogate_opt.cli.console import make_console
    from surrogate_opt.study.runner import run_study

    _check_device(study.device)
    console = make_console(WIDTH)
    folder, wanted = results / study.name, len(study.cells())
    console.print(
        f"Study {study.name}: {len(study.families)} families x {study.instances} instances x "
        f"{len(study.methods)} methods; {study.num_train} training points, {study.dim} inputs"
    )
    workers = workers or (None if study.device == "cpu" else 1)
    failures = compute_cells(
        console,
        "training and following loops",
        wanted,
        lambda report: run_study(study, folder / "results.db", workers=workers, report=report),
    )
    trouble = failed_cells(failures, wanted)
    if len(failures) == wanted:
        raise TrainingError(trouble)
    _present(console, study, folder)
    if failures:
        raise TrainingError(trouble)


def _check_device(device: str) -> None:
    import torch

    try:
        float(torch.zeros(1, device=device))
    except (RuntimeError, AssertionError, NotImplementedError):
        raise InputError(
            f"device: expected one that torch can use here, such as cpu; came {device!r}"
        ) from None


def _present(console: Console, study: StudySpec, folder: Path) -> None:
    from surrogate_opt.study.claims import gather
    from surrogate_opt.study.report import terminal_tables, write_report
    from surrogate_opt.study.tables import load_study

    data = load_study(study, folder / "results.db")
    evidence = gather(data)
    present(
        console,
        folder,
        lambda report: write_report(data, evidence, folder, progress=report),
        terminal_tables(data, evidence),
    )
