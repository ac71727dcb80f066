"""surrogate-opt tell: results of experiments from a CSV into a campaign, each once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from surrogate_opt.cli.console import make_console
from surrogate_opt.errors import InputError

EPILOG = (
    "Examples:\n\n"
    "surrogate-opt tell alloy.db alloy-next.csv\n\n"
    "surrogate-opt tell alloy.db measured.csv --target strength\n\n"
    "A row with an id answers a proposal. Its result is a number, the word failed (or nan), or nothing: then "
    "the proposal stays without a result, and the row can be told when it is filled in.\n\n"
    "A row without an id is an experiment of your own, anywhere in the box. Columns other than id, inputs "
    "and results are ignored.\n\n"
    "All new rows are recorded in one step, or none where anything is wrong; rows told before are skipped, "
    "so telling a file again changes nothing."
)


def run(
    campaign: Annotated[Path, typer.Argument(metavar="CAMPAIGN.DB", help="File that ask began.")],
    results: Annotated[Path, typer.Argument(metavar="RESULTS.CSV", help="Table with results filled in.")],
    target: Annotated[
        str | None, typer.Option(help="Column of results, where it is called otherwise than in ask.")
    ] = None,
    constraint: Annotated[
        list[str] | None,
        typer.Option(help="Columns of constraint values, likewise, in the order of ask; repeat."),
    ] = None,
    repeats: Annotated[
        bool,
        typer.Option("--repeats", help="Record rows without an id though the same numbers were told before."),
    ] = False,
) -> None:
    """Record results of experiments: those proposed, and any of your own."""
    from surrogate_opt.cli.campaign_file import ResultNames, read_result_names
    from surrogate_opt.cli.campaign_report import print_state
    from surrogate_opt.cli.experiment_table import check_inside, read_cells
    from surrogate_opt.cli.new_results import sort_rows, tell_rows
    from surrogate_opt.loops.bayesian import Campaign

    stored = Campaign(campaign)
    settings = stored.loop.state.settings
    names = read_result_names(campaign, settings.num_constraints)
    columns = ResultNames(target=target or names.target, constraints=tuple(constraint or names.constraints))
    if len(columns.constraints) != len(names.constraints):
        raise InputError(
            f"--constraint: expected {len(names.constraints)}, as the campaign has; "
            f"came {len(columns.constraints)}"
        )
    rows = read_cells(results).experiments(settings.feature_names, columns)
    check_inside(results, rows, settings)
    with stored.step() as loop:
        found = sort_rows(results, rows, settings, loop.state.ledger, repeats=repeats)
        if found.new:
            tell_rows(loop, found.new)
    console = make_console()
    console.print(
        f"{results}: {len(found.new)} new, {found.num_told} told before and skipped, "
        f"{found.num_waiting} without a result",
        soft_wrap=True,
    )
    print_state(console, stored.loop, names)
    console.print(f"Next: surrogate-opt ask {campaign}", soft_wrap=True)
