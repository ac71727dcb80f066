"""surrogate-opt fit-dynamics: from a log of a plant to a learned plant, beside a linear one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from surrogate_opt.cli.console import check_output, make_console
from surrogate_opt.cli.loop_options import PENALTY, parse_names, parse_strength, parse_widths
from surrogate_opt.errors import InputError

if TYPE_CHECKING:
    from surrogate_opt.dynamics import Trajectory

EPILOG = (
    "Examples:\n\n"
    "surrogate-opt fit-dynamics log.csv --states level,temperature --actions valve --dt 0.5\n\n"
    "surrogate-opt fit-dynamics runs.csv --states y --actions u --dt 0.1 --lags 4 --trajectory-column run\n\n"
    "surrogate-opt fit-dynamics arm.csv --states angle,speed --actions torque --dt 0.02 --angles angle "
    "--rollout-steps 10 --out arm.safetensors\n\n"
    "The log is a CSV with a header and one row an instant, in the order of time. An action holds from its "
    "row to the next. Rows with missing values, gaps in the time column, and a change in the trajectory "
    "column, begin a new stretch; without a time column gaps go unnoticed.\n\n"
    "What it prints: a free run is told the first state and the actions, and must foresee the rest by "
    "itself: what a controller's plan does. The linear model beside it is the measure of what the network "
    "is worth. A state that is not measured shows as poor free runs: let --lags stand for it.\n\n"
    "The model file loads with surrogate_opt.Dynamics.load."
)

_PLOT_SUFFIXES = (".png",)


def run(
    log: Annotated[Path, typer.Argument(metavar="LOG.CSV", help="Table of a header and numbers.")],
    states: Annotated[str, typer.Option(help="Columns that are measured, separated by commas.")],
    actions: Annotated[str, typer.Option(help="Columns that are commanded, likewise.")],
    dt: Annotated[float, typer.Option(help="Time from one row to the next, in any unit.")],
    penalty: Annotated[str, typer.Option(help=PENALTY)] = "dreg",
    strength: Annotated[str, typer.Option(help="auto, or the penalty's one number.")] = "auto",
    members: Annotated[int, typer.Option(help="Networks in the ensemble, a multiple of 5.")] = 5,
    hidden: Annotated[str, typer.Option(help="Widths of the hidden layers.")] = "64,64",
    epochs: Annotated[
        int | None, typer.Option(min=1, help="Passes over the data; by default about 5,000 steps.")
    ] = None,
    rollout_steps: Annotated[
        int, typer.Option(min=1, help="Above 1: also train on predictions so many steps ahead.")
    ] = 1,
    lags: Annotated[
        int, typer.Option(min=1, help="Instants that make up the state, the present one included.")
    ] = 1,
    angles: Annotated[
        str | None, typer.Option(help="States that are angles in rad; networks see cosine and sine.")
    ] = None,
    time_column: Annotated[
        str | None, typer.Option(help="Column of instants: a new stretch begins where it leaves --dt.")
    ] = None,
    trajectory_column: Annotated[
        str | None, typer.Option(help="Column that changes where a new stretch begins.")
    ] = None,
    test: Annotated[
        Path | None, typer.Option(help="Log to test on.", show_default="the last 25% of the rows")
    ] = None,
    out: Annotated[
        Path, typer.Option("--out", "-o", help="Model file to write; its picture is beside it.")
    ] = Path("dynamics.safetensors"),
    seed: Annotated[int, typer.Option(help="Of folds, weights and minibatches.")] = 0,
) -> None:
    """Learn a plant from a log: one-step and free-run errors beside a linear model's, and a model file."""
    level, widths = parse_strength(strength), parse_widths(hidden)
    columns, commands = parse_names(states, "--states"), parse_names(actions, "--actions")
    turning = () if angles is None else parse_names(angles, "--angles")
    both = [name for name in columns if name in commands]
    if both:
        raise InputError(f"--actions: expected other columns than --states; {both[0]!r} is in both")
    if not 0.0 < dt < float("inf"):
        raise InputError(f"--dt: expected a positive number; came {dt}")
    picture = out.with_suffix(".png")
    check_output(out, "--out", (".safetensors",))
    check_output(picture, "--out", _PLOT_SUFFIXES)

    from surrogate_opt.cli.dynamics_report import compare, hold_out, lagged, print_report
    from surrogate_opt.cli.free_run_plot import write_plot
    from surrogate_opt.data.checks import refuse_unknown
    from surrogate_opt.dynamics import fit_dynamics, read_log

    for name in turning:
        if name not in columns:
            refuse_unknown("--angles", name, columns)
    if turning and lags > 1:
        raise InputError("--angles: expected none with --lags above 1")

    def read(path: Path) -> list[Trajectory]:
        return read_log(path, columns, commands, dt=dt, time=time_column, episode=trajectory_column)

    train, tail = hold_out(read(log)) if test is None else (read(log), read(test))
    learned = lagged(train, lags, columns, commands)
    fresh = lagged(tail, lags, columns, commands)
    console = make_console()
    rows = sum(trajectory.num_steps for trajectory in learned.trajectories)
    console.print(f"{log.name}: {rows} transitions to learn from, {len(learned.trajectories)} stretches")
    model = fit_dynamics(
        learned.trajectories,
        penalty=penalty,
        strength=level,
        members=members,
        hidden=widths,
        epochs=epochs,
        rollout_steps=rollout_steps,
        angles=[columns.index(name) for name in turning],
        copies=learned.copies,
        state_names=learned.state_names,
        action_names=commands,
        dt=dt,
        seed=seed,
        progress=console.is_terminal,
    )
    comparison = compare(model, learned, fresh)
    write_plot(
        picture, comparison, f"{log.name}: free run on {'the last rows' if test is None else test.name}"
    )
    model.save(out)
    print_report(console, comparison)
    console.print(f"\nWrote {out} and {picture}.", soft_wrap=True)
