"""surrogate-opt fit: from a CSV to a model file, with the strength curve and two rivals beside it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from surrogate_opt.cli.console import check_output, make_console
from surrogate_opt.cli.loop_options import PENALTY, parse_names, parse_strength, parse_widths

EPILOG = (
    "Examples:\n\n"
    "surrogate-opt fit concrete.csv --target compressive_strength_mpa -o concrete.safetensors\n\n"
    "surrogate-opt fit runs.csv --target drag -o drag.safetensors --bounds box.csv --plot strengths.png\n\n"
    "surrogate-opt fit runs.csv --target drag --ignore run_id,lift -o drag.safetensors\n\n"
    "The CSV has one header line; every column but the target is an input, unless --inputs or --ignore say "
    "otherwise. A bounds file has the columns name, lower, upper."
)

GP_ROWS = 400
"""Rows that the Gaussian process beside the fit is thinned to, per fold, so that it takes seconds."""

_PLOT_SUFFIXES = (".png", ".svg", ".pdf")


def run(
    data: Annotated[Path, typer.Argument(metavar="DATA.CSV", help="Table of runs: a header and numbers.")],
    target: Annotated[str, typer.Option(help="Column to predict.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Model file to write (.safetensors).")],
    inputs: Annotated[
        str | None, typer.Option(help="Columns to predict it from, separated by commas; default: the others.")
    ] = None,
    ignore: Annotated[
        str | None, typer.Option(help="Columns that are no inputs: run numbers, notes, other results.")
    ] = None,
    penalty: Annotated[str, typer.Option(help=PENALTY)] = "dreg",
    strength: Annotated[str, typer.Option(help="auto, or the penalty's one number.")] = "auto",
    rule: Annotated[str, typer.Option(help="plateau (strongest as good as the best) or best.")] = "plateau",
    members: Annotated[int, typer.Option(help="Networks in the ensemble, a multiple of 5.")] = 5,
    hidden: Annotated[str, typer.Option(help="Widths of the hidden layers.")] = "64,64",
    activation: Annotated[str, typer.Option(help="relu, tanh, silu, gelu, softplus or poly.")] = "silu",
    epochs: Annotated[
        int | None, typer.Option(min=1, help="Passes over the data; by default 40-300.")
    ] = None,
    bounds: Annotated[
        Path | None, typer.Option(help="CSV of name, lower, upper; default: the data's.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of folds, weights and minibatches.")] = 0,
    no_data: Annotated[bool, typer.Option("--no-data", help="Keep no input rows in the model file.")] = False,
    no_baselines: Annotated[
        bool, typer.Option("--no-baselines", help="Skip the Gaussian process beside it.")
    ] = False,
    plot: Annotated[Path | None, typer.Option(help="Picture of the strength curve (.png, .svg).")] = None,
) -> None:
    """Fit an ensemble of compact networks to a table and choose the penalty's strength out of fold."""
    widths, level = parse_widths(hidden), parse_strength(strength)
    wanted = None if inputs is None else parse_names(inputs, "--inputs")
    unwanted = () if ignore is None else parse_names(ignore, "--ignore")
    check_output(output, "--output", inputs=(data, bounds))
    check_output(plot, "--plot", _PLOT_SUFFIXES, inputs=(data, bounds, output))

    from surrogate_opt.cli.fit_report import measure_rivals, print_report
    from surrogate_opt.cli.strength_plot import write_plot
    from surrogate_opt.data import check_bounds, check_xy, read_bounds, read_csv
    from surrogate_opt.fitting import fit

    console = make_console()
    table = read_csv(data, target, inputs=wanted, ignore=unwanted)
    rows, outputs = check_xy(table.x, table.y)
    box = None if bounds is None else read_bounds(bounds, table.feature_names)
    if box is not None:
        check_bounds(box, rows.shape[1], rows, names=table.feature_names)
    console.print(f"{data.name}: {len(table.y)} rows, {len(table.feature_names)} inputs, target {target}")
    surrogate = fit(
        rows,
        outputs,
        bounds=box,
        penalty=penalty,
        strength=level,
        rule=rule,  # type: ignore[arg-type]  # fit checks the word
        members=members,
        hidden=widths,
        activation=activation,
        epochs=epochs,
        seed=seed,
        progress=console.is_terminal,
        feature_names=table.feature_names,
        target_name=target,
    )
    with console.status("a linear model and a Gaussian process on the same folds"):
        rivals = measure_rivals(surrogate, rows, outputs, seed=seed, gp_rows=0 if no_baselines else GP_ROWS)
    surrogate.save(output, include_data=not no_data)
    if plot is not None:
        write_plot(plot, surrogate, rivals)
    print_report(console, surrogate, rivals, rows)
    written = f"{output}" if plot is None else f"{output} and {plot}"
    console.print(f"\nWrote {written}. Next: surrogate-opt audit {output}", soft_wrap=True)
