"""What fit prints: the strength curve, the accuracy beside rivals on the same folds, and what they mean."""

from __future__ import annotations

import math
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any

import pandas as pd
import torch
from jaxtyping import Float
from rich.console import Console
from torch import Tensor

from surrogate_opt.adapters.baselines import out_of_fold_gp
from surrogate_opt.cli.console import make_table, number, print_wrapped
from surrogate_opt.data import MIN_NONLINEAR_SHARE, thinned
from surrogate_opt.diagnostics import degeneracy, sensitivity
from surrogate_opt.penalties import get_method
from surrogate_opt.surrogate import Surrogate
from surrogate_opt.training.crossvalidation import NUM_FOLDS, plan_folds

_MAX_TAIL_ROWS = 2048


@dataclass(frozen=True, kw_only=True, eq=False)
class Rival:
    """One line of the accuracy table.

    Attributes:
        name: of the model.
        predictions: out of fold, ``(n,)``, raw units; NaN where a fit failed.
        note: what a reader has to know.
    """

    name: str
    predictions: Float[Tensor, " n"]
    note: str

    def rmse(self, target: Float[Tensor, " n"]) -> float:
        """Root mean squared error, raw units."""
        return float((self.predictions - target).square().mean().sqrt())

    def r2(self, target: Float[Tensor, " n"]) -> float:
        """Coefficient of determination."""
        return float(1 - (self.predictions - target).square().mean() / target.var(correction=0))


def measure_rivals(
    surrogate: Surrogate, x: Float[Tensor, "n d"], y: Float[Tensor, " n"], *, seed: int, gp_rows: int
) -> list[Rival]:
    """The surrogate, a plane and a Gaussian process, each predicting rows it never saw.

    Args:
        surrogate: just fitted.
        x: its training inputs, raw units.
        y: its targets.
        seed: the fit's, so that the folds are the same.
        gp_rows: training rows of the Gaussian process per fold; 0 leaves it out.
    """
    record = surrogate.record
    rivals = [
        Rival(name="surrogate", predictions=record.out_of_fold, note=""),
        Rival(name="linear", predictions=record.linear_out_of_fold, note=""),
    ]
    if gp_rows:
        held_out = plan_folds(x, surrogate.num_members, seed).held_out[:NUM_FOLDS]
        gp = out_of_fold_gp(x, y, held_out, bounds=surrogate.bounds, max_rows=gp_rows, seed=seed)
        rivals.append(Rival(name=gp.name, predictions=gp.predictions, note=gp.note))
    return rivals


def print_report(
    console: Console, surrogate: Surrogate, rivals: list[Rival], x: Float[Tensor, "n d"]
) -> None:
    """Print the three parts of the report."""
    _print_curve(console, surrogate)
    _print_accuracy(console, surrogate, rivals)
    tails = sensitivity(surrogate, thinned(x, _MAX_TAIL_ROWS), scale=surrogate.output_scale)
    spread = tails.member_spread
    between = f" (members: +- {number(spread.p99, 2)})" if spread is not None else ""
    console.print("\nGradients at the data", style="bold")
    console.print(
        f" mean {number(tails.mean, 3)}, p99 {number(tails.p99, 3)}{between}, tail ratio p99/mean "
        f"{number(tails.tail_ratio, 3)}, linearity error {number(tails.linearity_error, 2)}\n"
        f" (standard deviations of {surrogate.target_name} per width of the box)"
    )
    console.print("\nWhat it means", style="bold")
    for sentence in (explain_choice(surrogate), explain_plane(surrogate), *explain_gp(surrogate, rivals)):
        print_wrapped(console, sentence, label=" - ")


def _print_curve(console: Console, surrogate: Surrogate) -> None:
    selection, method = surrogate.selection, get_method(surrogate.penalty)
    if method.num_points == 1:
        console.print("\nNo penalty, so no strength to choose.")
        return
    console.print(f"\nStrengths of {surrogate.penalty}, out of fold", style="bold")
    table = make_table()
    for heading in (method.label, "MSE", "+- s.e.", "R²", "gradient p99", "tail ratio"):
        table.add_column(heading, justify="right")
    table.add_column("")
    for row in selection.to_dict("records"):
        style = "bold" if row["chosen"] else None
        figures = [
            f"{row['level']:.3g}",
            number(row["out_of_fold_mse"]),
            "" if row["best"] else number(row["standard_error"], 2),
            f"{row['r2']:.3f}",
            number(row["gradient_p99"], 3),
            number(row["tail_ratio"], 3),
        ]
        table.add_row(*figures, _marks(row), style=style)
    console.print(table)
    console.print(
        " MSE in variances of the target; s.e. of its difference to the best; accepted: within one",
        style="dim",
    )


def _marks(row: dict[Hashable, Any]) -> str:
    marks = [name for name in ("failed", "linearized", "accepted", "best", "chosen") if row[name]]
    return ", ".join(mark for mark in marks if mark != "accepted" or not row["best"])


def _print_accuracy(console: Console, surrogate: Surrogate, rivals: list[Rival]) -> None:
    target = surrogate.record.target
    console.print("\nAccuracy on rows not seen, same folds", style="bold")
    table = make_table()
    table.add_column("model")
    table.add_column("R²", justify="right")
    table.add_column(f"RMSE ({surrogate.target_name})", justify="right")
    table.add_column("", style="dim")
    for rival in rivals:
        table.add_row(rival.name, f"{rival.r2(target):.3f}", number(rival.rmse(target)), rival.note)
    console.print(table)


def explain_choice(surrogate: Surrogate) -> str:
    """Why this strength."""
    selection: pd.DataFrame = surrogate.selection
    label = get_method(surrogate.penalty).label
    if len(selection) == 1:
        return f"The {label} was given." if get_method(surrogate.penalty).num_points > 1 else "No penalty."
    chosen, best = (selection[selection[mark]].iloc[0] for mark in ("chosen", "best"))
    if chosen["level"] == best["level"]:
        reason = "had the least error, and no stronger one came within a standard error of it"
        if chosen["level"] == 0:
            reason += ": the penalty does not help here"
        return f"{label} = {chosen['level']:.3g} {reason}."
    return (
        f"{label} = {chosen['level']:.3g} is the strongest whose error is within a standard error of the "
        f"best's ({best['level']:.3g}); gradient p99 {number(best['gradient_p99'], 3)} -> "
        f"{number(chosen['gradient_p99'], 3)}."
    )


def explain_plane(surrogate: Surrogate) -> str:
    """What it knows beyond a plane."""
    record = surrogate.record
    figures = degeneracy(record.target, record.out_of_fold, record.linear_out_of_fold)
    if figures.kind == "collapsed":
        return "It predicts next to nothing: do not use it."
    if figures.kind == "linearized":
        return "It is no better than a plane: use the linear model, or more or cleaner data."
    if figures.linear_r2 >= 1.0 - MIN_NONLINEAR_SHARE:
        return "A plane already explains 98% and more: a linear model is enough."
    return f"It leaves {1 - figures.nonlinear_skill:.0%} of the linear model's squared error."


def explain_gp(surrogate: Surrogate, rivals: list[Rival]) -> list[str]:
    """How it stands beside the Gaussian process, from paired errors; nothing where there is none."""
    target = surrogate.record.target
    return [
        _compare(surrogate.record.residuals.square(), (rival.predictions - target).square(), rival)
        for rival in rivals[2:]
    ]


def _compare(own: Float[Tensor, " n"], other: Float[Tensor, " n"], rival: Rival) -> str:
    name = f"the {rival.name}" + (" (mind its note)" if rival.note else "")
    difference = own - other
    gap, error = float(difference.mean()), float(difference.std()) / math.sqrt(len(difference))
    if not bool(torch.isfinite(difference).all()):
        return f"It cannot be compared with {name}."
    if abs(gap) <= 2 * error:
        return f"Its error is level with that of {name}: the difference is within two standard errors."
    ratio = math.sqrt(float(own.mean() / other.mean()))
    return f"Its RMSE is {ratio:.2f} times that of {name}, beyond two standard errors."
