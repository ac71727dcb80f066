"""What ask and tell print of a campaign: points to evaluate, and how far it has come."""

from __future__ import annotations

import math
from collections.abc import Sequence

from rich.console import Console

from surrogate_opt.cli.campaign_file import ResultNames, proposal_id
from surrogate_opt.cli.console import make_table, number, print_wrapped
from surrogate_opt.loops.bayesian import BayesianLoop
from surrogate_opt.loops.bayesian.ledger import Proposal

_POINTS_PER_TABLE = 5

_ORIGINS = {
    "initial": "first points, spread over the box: no model yet",
    "model": "proposed by the model",
    "fallback": "spread over the box, as the model could not be used",
}


def print_proposals(console: Console, loop: BayesianLoop, names: ResultNames) -> None:
    """Print the pending points, an input a row and a point a column, with what the model expects there."""
    pending = loop.state.ledger.pending
    for first in range(0, len(pending), _POINTS_PER_TABLE):
        console.print()
        _print_points(console, pending[first : first + _POINTS_PER_TABLE], loop, names)
    for kind, origin in _ORIGINS.items():
        ids = [proposal_id(proposal.x) for proposal in pending if proposal.kind == kind]
        if ids and len(ids) == len(pending):
            print_wrapped(console, origin, label=" ", style="dim")
        elif ids:
            print_wrapped(console, f"{', '.join(ids)}: {origin}", label=" ", style="dim")
    for note in dict.fromkeys(proposal.note for proposal in pending if proposal.note):
        print_wrapped(console, note, label="Note: ", style="yellow")


def print_state(console: Console, loop: BayesianLoop, names: ResultNames) -> None:
    """Print how many evaluations there are, and the best one."""
    settings, best = loop.state.settings, loop.best
    status = loop.history["status"].value_counts()
    failed, infeasible = int(status.get("failed", 0)), int(status.get("infeasible", 0))
    limited = f", {infeasible} infeasible" if names.constraints else ""
    console.print(f"evaluations: {len(loop.history)} ({failed} failed{limited})")
    console.print(f"proposals without a result: {len(loop.pending)}")
    if best is None:
        print_wrapped(console, "none yet: every evaluation failed or is infeasible", label="best so far: ")
        return
    inputs = ", ".join(
        f"{name} {number(value, 6)}" for name, value in zip(settings.feature_names, best.x, strict=True)
    )
    print_wrapped(
        console,
        f"{names.target} {number(best.y, 6)} in evaluation {best.evaluation}, at {inputs}",
        label="best so far: ",
        style="bold",
    )


def _print_points(
    console: Console, points: Sequence[Proposal], loop: BayesianLoop, names: ResultNames
) -> None:
    table = make_table()
    table.add_column("id")
    for point in points:
        table.add_column(proposal_id(point.x), justify="right")
    for index, name in enumerate(loop.state.settings.feature_names):
        table.add_row(name, *(number(point.x[index], 6) for point in points))
    if any(point.kind == "model" for point in points):
        table.add_row(f"expected {names.target}", *map(_expectation, points), style="dim")
    console.print(table)


def _expectation(point: Proposal) -> str:
    if math.isnan(point.predicted_mean):
        return ""
    return f"{number(point.predicted_mean)} ± {number(point.predicted_std, 2)}"
