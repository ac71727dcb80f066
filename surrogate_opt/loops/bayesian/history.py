"""The ledger as a table for people: one row an evaluation, raw units, the user's sense."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

import pandas as pd

from surrogate_opt.loops.bayesian.ledger import Evaluation


def history_table(
    evaluations: Iterable[Evaluation], feature_names: tuple[str, ...], num_constraints: int, *, maximize: bool
) -> pd.DataFrame:
    """All evaluations in order, one row each; see ``BayesianLoop.history`` for the columns."""
    columns = [
        *("evaluation", "kind", *feature_names, "y"),
        *(f"constraint_{index}" for index in range(num_constraints)),
        *("status", "best", "predicted_mean", "predicted_std"),
        *("seconds_fit", "seconds_acquisition", "strength", "note"),
    ]
    return pd.DataFrame(_rows(evaluations, maximize), columns=columns)


def _rows(evaluations: Iterable[Evaluation], maximize: bool) -> Iterator[list[object]]:
    best, better = math.nan, max if maximize else min
    for number, evaluation in enumerate(evaluations, start=1):
        proposal = evaluation.proposal
        if evaluation.status == "ok":
            best = evaluation.y if math.isnan(best) else better(best, evaluation.y)
        yield [
            *(number, proposal.kind, *proposal.x, evaluation.y, *evaluation.constraints),
            *(evaluation.status, best, proposal.predicted_mean, proposal.predicted_std),
            *(proposal.seconds_fit, proposal.seconds_acquisition, proposal.strength, proposal.note),
        ]
