"""surrogate-opt bo: one run of Bayesian optimization on a problem whose optimum is known."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from surrogate_opt.cli import loop_options
from surrogate_opt.cli.console import make_console, number, output_folder, write_text
from surrogate_opt.errors import InputError

if TYPE_CHECKING:
    from rich.console import Console
    from surrogate_problems.problem import Problem

    from surrogate_opt.cli.bo_run import BayesianRun
    from surrogate_opt.loops.bayesian import BayesianLoop

EPILOG = (
    "Examples:\n\n"
    "surrogate-opt bo --problem hartmann6 --model ensemble --penalty dreg --evaluations 60\n\n"
    "surrogate-opt bo --problem sparse --instance 3 --model gp\n\n"
    "surrogate-opt bo --problem ackley5 --model gp --noise-std 0.1 --acquisition qlog_nei --batch 4\n\n"
    "Problems: the families smooth, piecewise, sparse, oscillatory and entangled (10 inputs unless a number "
    "follows); borehole, wing_weight, piston and otl_circuit; BoTorch's functions, such as branin, levy10 "
    "or rosenbrock10."
)


def run(
    problem: Annotated[str, typer.Option(help="Family or function, its number of inputs as a suffix.")],
    model: Annotated[str, typer.Option(help=loop_options.MODEL)] = "last_layer",
    penalty: Annotated[str, typer.Option(help=loop_options.PENALTY)] = "dreg",
    strength: Annotated[str, typer.Option(help=loop_options.STRENGTH)] = "auto",
    acquisition: Annotated[str, typer.Option(help=loop_options.ACQUISITION)] = "log_ei",
    evaluations: Annotated[int, typer.Option(min=2, help="Of the truth, first points included.")] = 60,
    initial: Annotated[
        int | None,
        typer.Option(min=1, help=loop_options.INITIAL, show_default="max(5, d + 1), at most half of all"),
    ] = None,
    batch: Annotated[int, typer.Option(min=1, help="Points proposed in one step.")] = 1,
    noise_std: Annotated[
        float, typer.Option(min=0.0, max=10.0, help="Of the evaluations, in standard deviations.")
    ] = 0.0,
    instance: Annotated[
        int | None,
        typer.Option(min=0, help="Of a family; of a function, a moved and turned copy."),
    ] = None,
    seed: Annotated[int, typer.Option(help=loop_options.SEED)] = 0,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="Folder for the files.",
            show_default="results/bo/PROBLEM-MODEL-SEED, with the options that are no defaults",
        ),
    ] = None,
) -> None:
    """Run one Bayesian optimization on a known problem: regret, and what the proposals promised.

    Writes regret.png and history.csv. To drive an experiment of your own, see surrogate-opt ask and tell.
    """
    level = loop_options.parse_strength(strength)
    if output is not None and output.suffix.lower() in (".png", ".csv"):
        raise InputError(f"--output: expected a folder, for regret.png and history.csv; came {output}")
    if initial is not None and initial >= evaluations:
        raise InputError(f"--initial: expected fewer than --evaluations, {evaluations}; came {initial}")

    from surrogate_opt.cli.bo_problem import make_problem
    from surrogate_opt.cli.bo_summary import print_summary
    from surrogate_opt.cli.regret_plot import write_plot
    from surrogate_opt.loops.bayesian import BayesianLoop

    truth = make_problem(problem, instance)
    loop = BayesianLoop(
        truth.bounds,
        model=model,
        acquisition=acquisition,
        penalty=penalty,
        strength=level,
        num_initial=initial or min(max(5, truth.dim + 1), evaluations // 2),
        seed=seed,
        feature_names=truth.input_names,
    )
    follows = model if model == "gp" else f"{model}-{penalty}"
    title = f"{problem} ({truth.dim} inputs): {follows}, {acquisition}, seed {seed}"
    chosen = {
        "acquisition-": acquisition if acquisition != "log_ei" else None,
        "strength-": None if level == "auto" else level,
        "evaluations-": evaluations if evaluations != 60 else None,
        "initial-": initial,
        "batch-": batch if batch > 1 else None,
        "noise-": noise_std or None,
        "instance-": instance,
    }
    words = [f"{name}{value}" for name, value in chosen.items() if value is not None]
    folder = output or Path("results", "bo", "-".join([problem, follows, *words, str(seed)]))
    console = make_console()
    with output_folder(folder, "history.csv"):
        result = _run_with_progress(console, truth, loop, evaluations, batch, noise_std, seed)
        write_plot(folder / "regret.png", result, title)
        write_text(folder / "history.csv", result.history.to_csv(index=False))
    console.print(title, style="bold")
    print_summary(console, result)
    console.print(f"\nWrote {folder / 'regret.png'} and {folder / 'history.csv'}.", soft_wrap=True)


def _run_with_progress(
    console: Console,
    truth: Problem,
    loop: BayesianLoop,
    evaluations: int,
    batch: int,
    noise_std: float,
    seed: int,
) -> BayesianRun:
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    from surrogate_opt.cli.bo_run import run_loop

    with Progress(
        TextColumn("evaluations"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[state]}"),
        TimeElapsedColumn(),
        console=console,
    ) as progress:
        task = progress.add_task("evaluations", total=evaluations, state="looking for the optimum")
        _ = truth.optimal_value  # some problems search for it, which takes seconds

        def report(done: int, regret: float) -> None:
            best = loop.best
            found = "" if best is None else f"best {number(best.y)}, "
            progress.update(task, completed=done, state=f"{found}regret {number(regret, 3)} std")

        return run_loop(
            truth,
            loop,
            evaluations=evaluations,
            batch=batch,
            noise_std=noise_std,
            seed=seed,
            report=report,
        )
