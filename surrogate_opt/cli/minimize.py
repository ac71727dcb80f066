"""surrogate-opt minimize: several distinct candidates from a model file, with what speaks against each."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from surrogate_opt.cli.console import check_output, make_console, number, print_wrapped, write_text
from surrogate_opt.errors import InputError

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

    from surrogate_opt.loops import Guard, MinimizeResult
    from surrogate_opt.surrogate import Surrogate

EPILOG = (
    "Examples:\n\n"
    "surrogate-opt minimize model.safetensors\n\n"
    "surrogate-opt minimize model.safetensors --maximize --fix age_days=28 -o candidates.csv\n\n"
    "surrogate-opt minimize model.safetensors --bounds box.csv --guard pessimistic\n\n"
    "surrogate-opt minimize model.safetensors --guard near_data --method lbfgsb\n\n"
    "A bounds file has the columns name, lower, upper."
)

NEAR_WEIGHT = 1000.0
"""Of near_data's penalty, standard deviations of the target: against a steep slope (50 per diagonal) it lets
a loop go 0.025 of the diagonal beyond the radius."""


def run(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="Model file that fit wrote.")],
    maximize: Annotated[bool, typer.Option("--maximize", help="Look for the largest value.")] = False,
    bounds: Annotated[
        Path | None, typer.Option(help="CSV of name, lower, upper; default: the model's.")
    ] = None,
    fix: Annotated[
        list[str] | None, typer.Option(metavar="NAME=VALUE", help="Hold an input; repeat.")
    ] = None,
    method: Annotated[str, typer.Option(help="adam, lbfgsb, gradient_descent or slsqp.")] = "adam",
    starts: Annotated[int, typer.Option(min=1, help="Loops from as many places.")] = 64,
    num_candidates: Annotated[int, typer.Option(min=1, help="Distinct end points to show.")] = 5,
    seed: Annotated[int, typer.Option(min=0, help="Of the starts.")] = 0,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Also write them as CSV.")] = None,
    guard: Annotated[
        str | None,
        typer.Option(help="pessimistic (avoid where members disagree) or near_data (stay by the rows)."),
    ] = None,
) -> None:
    """Follow a model to several distinct optima, and say how far each can be believed."""
    check_output(output, "--output", inputs=(model, bounds))

    from surrogate_opt.cli.candidates import (
        describe_candidates,
        join_candidates,
        print_candidates,
        to_csv,
    )
    from surrogate_opt.data import parse_fixed, read_bounds
    from surrogate_opt.loops import minimize
    from surrogate_opt.surrogate import Surrogate

    surrogate = Surrogate.load(model)
    names = surrogate.feature_names
    box = surrogate.bounds if bounds is None else read_bounds(bounds, names)
    fixed = parse_fixed(fix or [], names)
    _check_fixed(fixed, box, names)
    console = make_console()
    for warning in _beyond_the_model(surrogate, box):
        print_wrapped(console, warning, label="Warning: ", style="yellow")

    def follow(guarded_by: str | None) -> MinimizeResult:
        with console.status(f"{method} from {starts} starts"):
            return minimize(
                surrogate,
                box,
                method=method,
                starts=starts,
                seed=seed,
                guard=_guard(guarded_by, surrogate),
                maximize=maximize,
                fixed=fixed,
            )

    result = follow(guard)
    candidates, loops = result.candidates(num_candidates), [guard or "free"]
    loops *= len(candidates.x)
    if guard is None and len(candidates.x) < num_candidates and len(surrogate.record.x):
        near = follow("near_data").candidates(num_candidates)
        candidates = join_candidates(candidates, near, result.bounds, num_candidates)
        loops += ["near_data"] * (len(candidates.x) - len(loops))
    found = describe_candidates(surrogate, candidates, result.bounds, maximize=maximize, loops=loops)
    if output is not None:
        write_text(output, to_csv(found))
    print_candidates(console, found)
    if guard is not None:
        console.print(
            "Note: ranked by what the loop followed, the guarded model; the figures are the bare one's."
        )
    if "near_data" in loops and guard is None:
        console.print(
            f"Note: of {starts} free end points, {loops.count('free')} lie a tenth of the box or more apart; "
            "the others come\n      from loops kept near the data (--guard near_data)."
        )
    elif len(found.x) < num_candidates:
        console.print(f"Note: of {starts} end points, {len(found.x)} lie a tenth of the box or more apart.")
    failed = result.statuses.count("failed")
    if failed:
        console.print(f"Note: {failed} of {starts} loops found no way on before they converged.")
    if output is not None:
        console.print(f"\nWrote {output}.", soft_wrap=True)


def _guard(name: str | None, surrogate: Surrogate) -> Guard | None:
    """The guard of that name, with the surrogate's own data and units."""
    from surrogate_opt.auditing.density import reach_of
    from surrogate_opt.loops import near_data, pessimistic

    if name is None:
        return None
    if name == "pessimistic":
        return pessimistic()
    if name != "near_data":
        raise InputError(f"--guard: expected pessimistic or near_data; came {name!r}")
    rows = surrogate.record.x
    if not len(rows):
        raise InputError("--guard: expected a model file with data for near_data; this one holds none")
    radius = 0.5 * reach_of(rows, surrogate.bounds)
    return near_data(rows, surrogate.bounds, radius, NEAR_WEIGHT * surrogate.output_scale)


def _check_fixed(fixed: dict[int, float], box: Float[Tensor, "2 d"], names: tuple[str, ...]) -> None:
    for column, value in fixed.items():
        lower, upper = box[:, column].tolist()
        if not lower <= value <= upper:
            raise InputError(
                f"--fix: expected {names[column]!r} from {number(lower)} to {number(upper)}; "
                f"came {number(value)} (--bounds widens the box)"
            )


def _beyond_the_model(surrogate: Surrogate, box: Float[Tensor, "2 d"]) -> list[str]:
    """Where the box leaves the one that the model was made for."""
    own = surrogate.bounds
    slack = 1e-9 * (own[1] - own[0])
    beyond = ((box[0] < own[0] - slack) | (box[1] > own[1] + slack)).tolist()
    return [
        f"bounds of {name} ({number(low)} to {number(high)}) leave the model's box ({number(own_low)} to "
        f"{number(own_high)}): beyond it the model extrapolates"
        for name, low, high, own_low, own_high, out in zip(
            surrogate.feature_names, *box.tolist(), *own.tolist(), beyond, strict=True
        )
        if out
    ]
