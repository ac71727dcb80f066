"""Paired comparisons of models in Bayesian optimization: against Sobol, against the GP, against no penalty.

The unit is an instance of a problem, on which every model started from the same initial points.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from surrogate_opt.study.bayesian.problems import Half
from surrogate_opt.study.bayesian.summaries import HALVES, problem_names, run_figures
from surrogate_opt.study.bayesian.tables import BayesianStudyData
from surrogate_opt.study.statistics import ERROR_MARGIN, REGRET_MARGIN, Comparison, Pairing, compare_table
from surrogate_opt.study.tables import Figure

SOBOL = "sobol"
GP = "gp"
BARE = "ensemble:none"
"""The ensemble without a penalty."""

_ENSEMBLE = "ensemble:"
_MODEL_FREE = ("final_regret", "mean_regret")
"""What can be said of Sobol search, which predicts nothing."""

FIGURES = (
    Figure(column="final_regret", label="final regret", digits=3, margin=REGRET_MARGIN),
    Figure(column="mean_regret", label="mean regret", digits=3, margin=REGRET_MARGIN),
    Figure(column="inference_regret", label="inference regret", digits=3, margin=REGRET_MARGIN),
    Figure(column="optimism_size", label="|optimism|", digits=3, margin=REGRET_MARGIN),
    Figure(column="phantom_share", label="phantom share", digits=3, margin=ERROR_MARGIN),
)
"""What models are compared on, the headline first; lower is better in each.

Optimism counts by its size, since to promise too little is no merit.
"""

HEADLINE = FIGURES[0]


@dataclass(frozen=True, kw_only=True)
class Findings:
    """Every comparison that the report shows, computed once.

    Attributes:
        runs: the figures of each run, as from ``run_figures``.
        pooled: by half of the problems and column, over all instances of the half.
        by_problem: the final regret's, by problem.
    """

    runs: pd.DataFrame
    pooled: dict[Half, dict[str, list[Comparison]]]
    by_problem: dict[str, list[Comparison]]


def gather(data: BayesianStudyData) -> Findings:
    """Compare the models on every figure.

    Holm's correction is over all figures of a half; each problem's table is corrected on its own, since one
    correction over all problems would have more rows than ten instances can ever decide.
    """
    runs, models = run_figures(data), data.spec.models
    pooled = {}
    for half in HALVES:
        part = runs[runs["half"] == half]
        tables = {figure.column: _pairings(part, models, figure) for figure in FIGURES}
        rows = iter(compare_table([row for table in tables.values() for row in table]))
        pooled[half] = {column: [next(rows) for _ in table] for column, table in tables.items()}
    return Findings(
        runs=runs,
        pooled=pooled,
        by_problem={
            name: compare_table(_pairings(runs[runs["problem"] == name], models, HEADLINE))
            for name in problem_names(data)
        },
    )


def our_models(models: Sequence[str]) -> list[str]:
    """Those that are neither the Gaussian process nor Sobol search."""
    return [name for name in models if name not in (GP, SOBOL)]


def pairs(models: Sequence[str]) -> list[tuple[str, str]]:
    """Who is compared with whom: all with Sobol, ours with the GP, each penalty with none."""
    ours = our_models(models)
    penalized = [name for name in ours if name.startswith(_ENSEMBLE) and name != BARE]
    wanted = [(name, SOBOL) for name in models if name != SOBOL]
    wanted += [(name, GP) for name in ours]
    wanted += [(name, BARE) for name in penalized]
    return [(model, rival) for model, rival in wanted if rival in models]


def against(table: Sequence[Comparison], rival: str) -> dict[str, Comparison]:
    """The comparisons with one rival, by model."""
    return {row.method: row for row in table if row.rival == rival}


def _pairings(runs: pd.DataFrame, models: Sequence[str], figure: Figure) -> list[Pairing]:
    if runs.empty or figure.margin is None:
        return []
    index = ["problem", "instance"]
    values = runs.pivot(index=index, columns="model", values=figure.column).reindex(columns=list(models))
    # A run that failed is missing from its pair; where a run is still to be computed there is no pair yet.
    stored = runs.pivot(index=index, columns="model", values="model").reindex(columns=list(models)).notna()
    return [
        Pairing(
            values=values.loc[stored[model] & stored[rival], model].to_numpy(dtype=np.float64),
            rival_values=values.loc[stored[model] & stored[rival], rival].to_numpy(dtype=np.float64),
            margin=figure.margin,
            method=model,
            rival=rival,
            metric=figure.column,
        )
        for model, rival in pairs(models)
        if rival != SOBOL or figure.column in _MODEL_FREE
    ]
