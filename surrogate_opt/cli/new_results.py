"""Which rows of a table a campaign has not been told yet: no result counts twice."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from surrogate_opt.cli.campaign_file import proposal_id
from surrogate_opt.cli.experiment_table import ExperimentRow
from surrogate_opt.data.checks import shortened
from surrogate_opt.errors import InputError
from surrogate_opt.loops.bayesian import BayesianLoop
from surrogate_opt.loops.bayesian.ledger import Evaluation, Ledger, Proposal
from surrogate_opt.loops.bayesian.settings import LoopSettings

_Key = tuple[tuple[float, ...], tuple[float | None, ...]]
"""Inputs and results of an experiment; None for a result that failed, as NaN is not equal to itself."""


@dataclass(frozen=True, kw_only=True)
class SortedRows:
    """The rows of a table.

    Attributes:
        new: to be told; those that answer a proposal have its exact inputs.
        num_told: how many the campaign was told before.
        num_waiting: how many proposals have no result yet.
    """

    new: tuple[ExperimentRow, ...]
    num_told: int
    num_waiting: int


def sort_rows(
    path: Path,
    rows: Sequence[ExperimentRow],
    settings: LoopSettings,
    ledger: Ledger,
    *,
    repeats: bool = False,
) -> SortedRows:
    """Find the rows that a campaign has not been told.

    A row with an id was told if its proposal has an evaluation, be it one that was told without the id and
    with rounded inputs. A row without one was told if there is an
    evaluation with the very same numbers; of equal rows as many count as told as there are evaluations.

    Args:
        path: of the table, for messages.
        rows: of the table.
        settings: of the campaign.
        ledger: of the campaign.
        repeats: whether all rows without an id are new, whatever was told before.

    Raises:
        InputError: an id that is unknown or comes twice, inputs that are not its proposal's, another result
            than was told before, or neither id nor result.
    """
    check_finished(path, [row for row in rows if not row.proposal])
    pending = {proposal_id(proposal.x): proposal for proposal in ledger.pending}
    told = {proposal_id(row.proposal.x): row for row in ledger.evaluations if row.proposal.kind != "user"}
    recorded = Counter() if repeats else Counter(map(_evaluation_key, ledger.evaluations))
    lines: dict[str, int] = {}
    new, num_told, num_waiting = [], 0, 0
    for row in rows:
        place = f"{path}: row {row.line}"
        if row.proposal in lines:
            raise InputError(
                f"{place}: expected every id once; {row.proposal} came in row {lines[row.proposal]}"
            )
        if row.proposal:
            lines[row.proposal] = row.line
        if not row.proposal:
            is_told = recorded[_row_key(row)] > 0
            recorded[_row_key(row)] -= is_told
        elif row.proposal in told:
            is_told = True
            _check_same_result(place, row, told[row.proposal])
        elif row.proposal in pending:
            is_told = False
            row = _at_proposal(place, row, pending[row.proposal], settings)
        elif (answer := _told_without_id(row, ledger, settings)) is not None:
            is_told = True
            _check_same_result(place, row, answer)
        else:
            raise InputError(
                f"{place}: expected an id of this campaign, or none for an experiment of your own; "
                f"came {shortened(row.proposal)}"
            )
        if is_told:
            num_told += 1
        elif row.results is None:
            num_waiting += 1
        else:
            new.append(row)
    return SortedRows(new=tuple(new), num_told=num_told, num_waiting=num_waiting)


def check_finished(path: Path, rows: Sequence[ExperimentRow]) -> None:
    """Refuse rows without a result.

    Raises:
        InputError: the first one.
    """
    for row in rows:
        if row.results is None:
            raise InputError(
                f"{path}: row {row.line}: expected a result, or the word failed, in a row without an id; "
                "came nothing"
            )


def tell_rows(loop: BayesianLoop, rows: Sequence[ExperimentRow]) -> None:
    """Tell finished rows in one step."""
    results = np.array([row.results for row in rows])
    constraints = results[:, 1:] if results.shape[1] > 1 else None
    loop.tell(np.array([row.x for row in rows]), results[:, 0], constraints)


def begins_with(ledger: Ledger, rows: Sequence[ExperimentRow]) -> bool:
    """Whether the first evaluations are these rows."""
    first = [_evaluation_key(evaluation) for evaluation in ledger.evaluations[: len(rows)]]
    return first == [_row_key(row) for row in rows]


def _at_proposal(place: str, row: ExperimentRow, proposal: Proposal, settings: LoopSettings) -> ExperimentRow:
    """The row at exactly the point that was proposed, once it is that point up to rounding."""
    domain = settings.domain
    points = domain.to_unit(torch.tensor([row.x, proposal.x], dtype=torch.float64))
    came, proposed = points[:1], points[1:]
    if not bool(domain.same(came, proposed)):
        worst = int((came - proposed).abs().argmax())
        raise InputError(
            f"{place}: expected {settings.feature_names[worst]!r} at {proposal.x[worst]:g}, as proposed "
            f"under {row.proposal}; came {row.x[worst]:g} (tell experiments elsewhere without an id)"
        )
    return replace(row, x=proposal.x)


def _told_without_id(row: ExperimentRow, ledger: Ledger, settings: LoopSettings) -> Evaluation | None:
    """The evaluation of a proposal at the row's inputs up to rounding, if any.

    An evaluation has the inputs that were told: rounded, they give another id than the proposal's.
    """
    answers = [answer for answer in ledger.evaluations if answer.proposal.kind != "user"]
    points = torch.tensor([row.x, *(answer.proposal.x for answer in answers)], dtype=torch.float64)
    unit_points = settings.domain.to_unit(points)
    matches = settings.domain.same(unit_points[:1], unit_points[1:])[0].nonzero().flatten().tolist()
    return answers[matches[0]] if matches else None


def _check_same_result(place: str, row: ExperimentRow, told: Evaluation) -> None:
    if row.results is not None and _row_key(row)[1] != _evaluation_key(told)[1]:
        raise InputError(
            f"{place}: expected the result of {row.proposal} as told before, {told.y:g}; it cannot be changed"
        )


def _row_key(row: ExperimentRow) -> _Key:
    assert row.results is not None, "checked before"
    return row.x, _comparable(row.results)


def _evaluation_key(evaluation: Evaluation) -> _Key:
    return evaluation.proposal.x, _comparable((evaluation.y, *evaluation.constraints))


def _comparable(results: tuple[float, ...]) -> tuple[float | None, ...]:
    return tuple(value if math.isfinite(value) else None for value in results)
