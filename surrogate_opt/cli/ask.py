"""surrogate-opt ask: the next experiments of a campaign, printed and as a CSV to fill in."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from surrogate_opt.cli import loop_options
from surrogate_opt.cli.console import check_output, make_console, print_wrapped
from surrogate_opt.errors import InputError

if TYPE_CHECKING:
    from surrogate_opt.cli.campaign_file import ResultNames
    from surrogate_opt.cli.campaign_settings import CampaignOptions
    from surrogate_opt.loops.bayesian import BayesianLoop
    from surrogate_opt.loops.bayesian.state import LoopState

EPILOG = (
    "Begin, with eight first experiments:\n\n"
    "surrogate-opt ask alloy.db --bounds copper=0:5 --bounds temperature_c=300:500 --target strength_mpa "
    "--maximize -q 8\n\n"
    "Fill in the column strength_mpa of alloy-next.csv: a number, the word failed, or nothing yet. Then, "
    "as often as it takes:\n\n"
    "surrogate-opt tell alloy.db alloy-next.csv\n\n"
    "surrogate-opt ask alloy.db\n\n"
    "Begin with experiments done before, all columns but the results being inputs, within their own ranges "
    "unless --bounds says more:\n\n"
    "surrogate-opt ask alloy.db --table done.csv --target strength_mpa --maximize\n\n"
    "Settings are stored when a campaign begins, and stay. Points asked for are stored before they are shown."
)


def _begin_option(words: str, default: str | None = None, *names: str, **details: Any) -> Any:
    """An option that counts when a campaign begins; None where it is left out."""
    return typer.Option(
        *names,
        help=words,
        show_default=default or False,
        rich_help_panel="To begin a campaign; stored, and the same from then on",
        **details,
    )


def run(
    campaign: Annotated[Path, typer.Argument(metavar="CAMPAIGN.DB", help="The campaign's file (SQLite).")],
    bounds: Annotated[
        list[str] | None, _begin_option("An input and its limits; repeat.", metavar="NAME=LOW:HIGH")
    ] = None,
    table: Annotated[Path | None, _begin_option("CSV of experiments done before, with results.")] = None,
    target: Annotated[str | None, _begin_option("Column of results.", "y")] = None,
    maximize: Annotated[
        bool | None, _begin_option("Which results are best.", "minimize", "--maximize/--minimize")
    ] = None,
    constraint: Annotated[
        list[str] | None, _begin_option("Column of values that are feasible up to 0; repeat.")
    ] = None,
    integer: Annotated[
        list[str] | None, _begin_option("An input that takes whole numbers; repeat.", metavar="NAME")
    ] = None,
    model: Annotated[str | None, _begin_option(loop_options.MODEL, "last_layer")] = None,
    penalty: Annotated[str | None, _begin_option(loop_options.PENALTY, "dreg")] = None,
    strength: Annotated[str | None, _begin_option(loop_options.STRENGTH, "auto")] = None,
    acquisition: Annotated[str | None, _begin_option(loop_options.ACQUISITION, "log_ei")] = None,
    initial: Annotated[int | None, _begin_option(loop_options.INITIAL, "max(5, d + 1)", min=1)] = None,
    seed: Annotated[int | None, _begin_option(loop_options.SEED, "0")] = None,
    num_points: Annotated[int, typer.Option("--num-points", "-q", min=1, help="How many new points.")] = 1,
    more: Annotated[
        bool, typer.Option("--more", help="New points though some are without a result.")
    ] = False,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="CSV to fill in.", show_default="CAMPAIGN-next.csv"),
    ] = None,
) -> None:
    """Propose the next experiments, or show again those that have no result yet.

    The first time, --bounds or --table begin a campaign.
    """
    check_output(campaign, "CAMPAIGN.DB")
    output = output or campaign.with_name(f"{campaign.stem}-next.csv")
    check_output(output, "--output")
    level = None if strength is None else loop_options.parse_strength(strength)

    from surrogate_opt.cli.campaign_settings import CampaignOptions, parse_bounds

    options = CampaignOptions(
        bounds=parse_bounds(bounds or []),
        integers=tuple(integer or ()),
        target=target,
        constraints=tuple(constraint or ()),
        loop={
            "maximize": maximize,
            "model": model,
            "penalty": penalty,
            "strength": level,
            "acquisition": acquisition,
            "num_initial": initial,
            "seed": seed,
        },
    )
    if output.resolve() in {path.resolve() for path in (campaign, table) if path is not None}:
        raise InputError(f"--output: expected another file than the campaign or the table; came {output}")
    if campaign.exists():
        _go_on(campaign, options, table, output, num_points, more)
    else:
        _begin(campaign, options, table, output, num_points)


def _begin(
    campaign: Path, options: CampaignOptions, table: Path | None, output: Path, num_points: int
) -> None:
    """Store a new campaign together with its first proposals."""
    from surrogate_opt.cli.campaign_file import create_campaign
    from surrogate_opt.cli.campaign_settings import begin_loop, describe_settings
    from surrogate_opt.cli.experiment_table import read_cells

    if not options.bounds and table is None:
        raise InputError(
            f"{campaign}: expected a campaign; there is none (--bounds NAME=LOW:HIGH for every input, or "
            "--table, begin one)"
        )
    loop = begin_loop(options, None if table is None else read_cells(table))
    _check_overwriting(output, loop, options.names)
    console = make_console()
    with console.status("looking for the next points"):
        loop.ask(num_points)
    create_campaign(campaign, loop, options.names)
    console.print(f"New campaign {campaign}", style="bold", soft_wrap=True)
    for line in describe_settings(loop.state.settings, options.names):
        print_wrapped(console, line)
    _present(campaign, loop, options.names, output)


def _go_on(
    campaign: Path,
    options: CampaignOptions,
    table: Path | None,
    output: Path,
    num_points: int,
    more: bool,
) -> None:
    """Propose further points of a campaign, or show those that are pending."""
    from surrogate_opt.cli.campaign_file import read_result_names
    from surrogate_opt.cli.campaign_settings import check_told_table, check_unchanged
    from surrogate_opt.cli.experiment_table import read_cells
    from surrogate_opt.loops.bayesian import Campaign

    stored = Campaign(campaign)
    loop = stored.loop
    names = read_result_names(campaign, loop.state.settings.num_constraints)
    check_unchanged(options, loop.state.settings, names)
    if table is not None:
        check_told_table(read_cells(table), loop.state, names)
    _check_overwriting(output, loop, names)
    console = make_console()
    if len(loop.pending) and not more:
        console.print("Asked for before, and without a result yet (--more proposes new points):")
    with console.status("looking for the next points"):
        stored.ask(num_points, more=more)
    _present(campaign, stored.loop, names, output)


def _check_overwriting(output: Path, loop: BayesianLoop, names: ResultNames) -> None:
    """Refuse to write over anything but a table of ask that has no result left to tell."""
    if not output.exists():
        return
    reason = _reason_to_keep(output, loop.state, names)
    if reason is not None:
        raise InputError(
            f"--output: expected a new file, or a table of ask whose results were told; {reason}"
        )


def _reason_to_keep(output: Path, state: LoopState, names: ResultNames) -> str | None:
    """What would be lost with a file; None where nothing would."""
    from surrogate_opt.cli.experiment_table import ID, columns_to_fill_in, read_cells
    from surrogate_opt.cli.new_results import sort_rows

    try:
        cells = read_cells(output)
    except InputError as error:
        return str(error)
    if cells.header != columns_to_fill_in(state.settings, names):
        return f"{output} has other columns than this campaign's tables"
    own = [line for line, row in cells.rows if not row[ID]]
    if own:
        return f"{output}: row {own[0]} has no id, so that ask did not write it"
    if not any(row[name] for _, row in cells.rows for name in names.columns):
        return None
    try:
        rows = cells.experiments(state.settings.feature_names, names)
        found = sort_rows(output, rows, state.settings, state.ledger)
    except InputError as error:
        return str(error)
    return f"of {output} some were not" if found.new else None


def _present(campaign: Path, loop: BayesianLoop, names: ResultNames, output: Path) -> None:
    from surrogate_opt.cli.campaign_report import print_proposals
    from surrogate_opt.cli.experiment_table import write_proposals

    state, console = loop.state, make_console()
    write_proposals(output, state.ledger.pending, state.settings, names)
    print_proposals(console, loop, names)
    console.print(
        f"\nWrote {output}: fill in {', '.join(names.columns)}. Next: surrogate-opt tell {campaign} {output}",
        soft_wrap=True,
    )
