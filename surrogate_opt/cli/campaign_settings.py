"""What a campaign is begun with: options of the first ask, which stay as they are from then on."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from surrogate_opt.cli.campaign_file import ResultNames
from surrogate_opt.cli.console import number
from surrogate_opt.cli.experiment_table import ID, CSVCells, check_inside
from surrogate_opt.cli.new_results import begins_with, check_finished, tell_rows
from surrogate_opt.data.checks import check_num_rows, listed, refuse_unknown, shortened
from surrogate_opt.errors import InputError
from surrogate_opt.loops.bayesian import BayesianLoop
from surrogate_opt.loops.bayesian.settings import LoopSettings
from surrogate_opt.loops.bayesian.state import LoopState

Bounds = dict[str, tuple[float, float]]


@dataclass(frozen=True, kw_only=True)
class CampaignOptions:
    """What the user gave; None, or empty, is what they left out.

    Attributes:
        bounds: limits by input.
        integers: names of integer inputs.
        target: column of the objective.
        constraints: columns of constraints.
        loop: the other settings, by what ``BayesianLoop`` calls them.
    """

    bounds: Bounds
    integers: tuple[str, ...]
    target: str | None
    constraints: tuple[str, ...]
    loop: dict[str, Any]

    @property
    def names(self) -> ResultNames:
        """What the results are called in a campaign that these options begin."""
        return ResultNames(target=self.target or "y", constraints=self.constraints)


def parse_bounds(assignments: Sequence[str]) -> Bounds:
    """Turn ``["copper=0:5", ...]`` into limits by name; equal limits hold an input fixed.

    Raises:
        InputError: no name=low:high, a name that comes twice, or limits out of order.
    """
    bounds: Bounds = {}
    for assignment in assignments:
        name, _, limits = (part.strip() for part in assignment.rpartition("="))
        low, _, high = limits.partition(":")
        try:
            pair = (float(low), float(high))
        except ValueError:
            pair = (math.nan, math.nan)
        if not (name and math.isfinite(pair[1] - pair[0]) and pair[0] <= pair[1]):
            raise InputError(
                f"--bounds: expected NAME=LOW:HIGH, such as copper=0:5; came {shortened(assignment)}"
            )
        if name in bounds:
            raise InputError(f"--bounds: expected every name once; {name!r} came again")
        bounds[name] = pair
    return bounds


def begin_loop(options: CampaignOptions, table: CSVCells | None) -> BayesianLoop:
    """A loop with the options' settings that was told a table of experiments done before.

    Args:
        options: with limits of every input, unless there is a table: then all its columns but an id and the
            results are inputs, and the range of the rows is the limits of each input that has none.
        table: experiments done before, a result in every row.

    Raises:
        InputError: options or rows that cannot be used.
    """
    names = options.names
    _check_results(names, options.bounds)
    feature_names, limits = tuple(options.bounds), dict(options.bounds)
    rows = []
    if table is not None:
        feature_names = tuple(name for name in table.header if name not in (ID, *names.columns))
        rows = table.experiments(feature_names, names)
        check_num_rows(len(rows), 1, str(table.path))
        check_finished(table.path, rows)
        ranges = zip(*(row.x for row in rows), strict=True)
        limits = {name: (min(x), max(x)) for name, x in zip(feature_names, ranges, strict=True)}
        limits |= options.bounds
    for option, given in (("--bounds", options.bounds), ("--integer", options.integers)):
        for name in given:
            if name not in feature_names:
                refuse_unknown(option, name, feature_names)
    loop = BayesianLoop(
        np.array([limits[name] for name in feature_names]).T,
        feature_names=feature_names,
        integers=[feature_names.index(name) for name in options.integers],
        num_constraints=len(names.constraints),
        **{setting: value for setting, value in options.loop.items() if value is not None},
    )
    if table is not None:
        check_inside(table.path, rows, loop.state.settings)
        tell_rows(loop, rows)
    return loop


def check_unchanged(options: CampaignOptions, settings: LoopSettings, names: ResultNames) -> None:
    """Refuse options that differ from what a campaign was begun with.

    Raises:
        InputError: the first that does.
    """
    for option, given, kept in _pairs(options, settings, names):
        if given != kept:
            raise InputError(
                f"{option}: expected none, or what the campaign was begun with, {kept}; came {given}"
            )


def check_told_table(table: CSVCells, state: LoopState, names: ResultNames) -> None:
    """Refuse a table other than the one that a campaign was begun with.

    Raises:
        InputError: the campaign's first evaluations are not its rows.
    """
    rows = table.experiments(state.settings.feature_names, names)
    check_finished(table.path, rows)
    if not begins_with(state.ledger, rows):
        raise InputError(
            f"--table: expected none, or what the campaign was begun with; came {table.path} (surrogate-opt "
            "tell adds experiments)"
        )


def describe_settings(settings: LoopSettings, names: ResultNames) -> list[str]:
    """What a campaign does, a line each thing."""
    inputs = []
    for index, (name, low, high) in enumerate(zip(settings.feature_names, *settings.bounds, strict=True)):
        kind = " (whole numbers)" if index in settings.integers else ""
        limits = f"{number(low)} to {number(high)}{kind}" if low < high else f"held at {number(low)}"
        inputs.append(f"{name} {limits}")
    sense = "largest" if settings.maximize else "smallest"
    limited = f" with {', '.join(names.constraints)} up to 0" if names.constraints else ""
    model = settings.model if settings.model == "gp" else f"{settings.model} with {settings.penalty}"
    return [
        f"looks for the {sense} {names.target}{limited}",
        f"inputs: {', '.join(inputs)}",
        f"after {settings.num_initial} evaluations: {model}, {settings.acquisition}; seed {settings.seed}",
    ]


def _check_results(names: ResultNames, inputs: Bounds) -> None:
    taken = {ID, *inputs}
    for name in names.columns:
        if name in taken:
            raise InputError(
                f"--target, --constraint: expected names that no other column has; came {name!r}"
            )
        taken.add(name)
    if ID in inputs:
        raise InputError(f"--bounds: expected no input of the name {ID!r}, the column of proposals' ids")
    if not names.target or "" in names.constraints:
        raise InputError(f"--target, --constraint: expected names; came {listed(names.columns)}")


def _pairs(
    options: CampaignOptions, settings: LoopSettings, names: ResultNames
) -> Iterator[tuple[str, object, object]]:
    """Each option that was given, its value, and the campaign's."""
    limits = dict(zip(settings.feature_names, zip(*settings.bounds, strict=True), strict=True))
    for name, pair in options.bounds.items():
        if name not in limits:
            refuse_unknown("--bounds", name, settings.feature_names)
        low, high = limits[name]
        yield "--bounds", f"{name}={pair[0]:g}:{pair[1]:g}", f"{name}={low:g}:{high:g}"
    if options.integers:
        kept = [settings.feature_names[index] for index in settings.integers]
        yield "--integer", ", ".join(sorted(set(options.integers))), ", ".join(sorted(kept)) or "none"
    if options.target is not None:
        yield "--target", options.target, names.target
    if options.constraints:
        yield "--constraint", ", ".join(options.constraints), ", ".join(names.constraints) or "none"
    for setting, value in options.loop.items():
        if value is not None:
            option = {"num_initial": "initial", "maximize": "maximize/--minimize"}.get(setting, setting)
            yield f"--{option}", value, getattr(settings, setting)
