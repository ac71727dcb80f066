"""Paired comparisons in closed loop: methods against no penalty, gradient planners against sampling ones.

The unit is an instance of a plant, on which all methods learned from the same data and all loops started from
the same states under the same noise.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from surrogate_opt.study.control.spec import GRADIENT_FREE
from surrogate_opt.study.control.summaries import run_figures
from surrogate_opt.study.control.tables import ControlStudyData
from surrogate_opt.study.statistics import ERROR_MARGIN, Comparison, Margin, Pairing, compare_table
from surrogate_opt.study.tables import Figure, method_pairs

_SHARE_MARGIN = Margin(absolute=0.05)

FIGURES = (
    Figure(column="cost_ratio", label="cost ratio", digits=3, margin=ERROR_MARGIN),
    Figure(column="failure", label="failures", digits=3, margin=_SHARE_MARGIN),
    Figure(column="plan_gap_size", label="|plan gap|", digits=3, margin=ERROR_MARGIN),
    Figure(column="action_error", label="action error", digits=4, margin=ERROR_MARGIN),
    Figure(column="violation", label="violations", digits=4, margin=_SHARE_MARGIN),
    Figure(column="gradient_error", label="gradient error", digits=4, margin=ERROR_MARGIN),
    Figure(column="test_error", label="test error (1 - R²)", digits=4, margin=ERROR_MARGIN),
)
"""What methods are compared on, the headline first; lower is better in each.

The plan gap counts by its size, since to promise too little is no merit. Chatter is shown and not compared: a
sluggish controller is not a better one.
"""

HEADLINE = FIGURES[0]
BARE = "none"
_GHOST_FIGURES = (FIGURES[0], FIGURES[2])


@dataclass(frozen=True, kw_only=True)
class Findings:
    """Every comparison that the report shows, computed once.

    Attributes:
        runs: as from `run_figures`.
        shared: likewise, of the starts alone that every planner was given.
        pooled: by controller, number of transitions and column, over all instances of all plants.
        by_plant: the cost ratio's, by controller, number of transitions and plant.
        planners: the first gradient planner against every gradient-free one on the same surrogates, by
            column; "method" and "rival" are planners.
    """

    runs: pd.DataFrame
    shared: pd.DataFrame
    pooled: dict[tuple[str, int], dict[str, list[Comparison]]]
    by_plant: dict[tuple[str, int], dict[str, list[Comparison]]]
    planners: dict[str, list[Comparison]]


def gather(data: ControlStudyData) -> Findings:
    """Compare the methods on every figure.

    Tasks that the oracle does not solve are left out. Holm's correction is over all figures of a controller
    and number of transitions; each plant's table is corrected on its own, since one correction over all
    plants would have more rows than ten instances can ever decide.
    """
    runs = run_figures(data)
    shared = run_figures(data, min(map(data.spec.starts_of, data.spec.controllers)))
    solved = runs[runs["solved"]]
    pooled: dict[tuple[str, int], dict[str, list[Comparison]]] = {}
    by_plant: dict[tuple[str, int], dict[str, list[Comparison]]] = {}
    for controller in data.spec.controllers:
        for num_train in data.spec.num_train:
            part = solved[(solved["controller"] == controller) & (solved["num_train"] == num_train)]
            if part.empty:
                continue
            tables = {figure.column: _methods(part, data.spec.methods, figure) for figure in FIGURES}
            rows = iter(compare_table([row for table in tables.values() for row in table]))
            place = controller, num_train
            pooled[place] = {column: [next(rows) for _ in table] for column, table in tables.items()}
            by_plant[place] = {
                plant: compare_table(_methods(part[part["plant"] == plant], data.spec.methods, HEADLINE))
                for plant in data.spec.plants
                if plant in set(part["plant"])
            }
    planners = _planners(shared[shared["solved"]], data.spec.controllers)
    return Findings(runs=runs, shared=shared, pooled=pooled, by_plant=by_plant, planners=planners)


def _methods(runs: pd.DataFrame, methods: Sequence[str], figure: Figure) -> list[Pairing]:
    values = runs.pivot(index=["plant", "instance"], columns="method", values=figure.column)
    pairs = method_pairs([name for name in methods if name in values])
    return [_pairing(values, method, rival, figure) for method, rival in pairs]


def _planners(solved: pd.DataFrame, controllers: Sequence[str]) -> dict[str, list[Comparison]]:
    """Planners on the same surrogates, averaged over methods and numbers of transitions of an instance."""
    gradient = [name for name in controllers if name not in GRADIENT_FREE][:1]
    free = [name for name in controllers if name in GRADIENT_FREE]
    tables: dict[str, list[Pairing]] = {}
    for figure in _GHOST_FIGURES:
        values = solved.groupby(["plant", "instance", "controller"])[figure.column].mean().unstack()
        tables[figure.column] = [
            _pairing(values.dropna(subset=[one, other]), one, other, figure)
            for one in gradient
            for other in free
            if one in values and other in values
        ]
    rows = iter(compare_table([row for table in tables.values() for row in table]))
    return {column: [next(rows) for _ in table] for column, table in tables.items()}


def _pairing(values: pd.DataFrame, method: str, rival: str, figure: Figure) -> Pairing:
    return Pairing(
        values=values[method].to_numpy(dtype=np.float64),
        rival_values=values[rival].to_numpy(dtype=np.float64),
        margin=figure.margin or ERROR_MARGIN,
        method=method,
        rival=rival,
        metric=figure.column,
    )
