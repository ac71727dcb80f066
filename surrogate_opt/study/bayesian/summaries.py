"""What one run of Bayesian optimization comes to, and averages of runs by model and problem.

A run is one model on one instance of a problem. Regrets and optimism are in standard deviations of the truth.
"""

from __future__ import annotations

import pandas as pd

from surrogate_opt.study.bayesian.problems import Half
from surrogate_opt.study.bayesian.tables import RUN_COLUMNS, BayesianStudyData

HALVES: tuple[Half, ...] = ("reported", "tuning")
"""The headline first."""

_RUN = list(RUN_COLUMNS)

MEASURES = [
    "final_regret",
    "mean_regret",
    "inference_regret",
    "optimism",
    "optimism_median",
    "optimism_size",
    "phantom_share",
    "coverage50",
    "coverage95",
    "box_coverage50",
    "box_coverage95",
    "r2",
    "fallback_share",
    "seconds_step",
]
"""The figures of a run."""


def problem_names(data: BayesianStudyData, half: Half | None = None) -> list[str]:
    """The problems of which anything is stored, the reported half first, else in the order of the study."""
    stored = set(stored_runs(data)["problem"])
    halves = data.problems.set_index("name")["half"]
    return [
        name
        for wanted in HALVES
        for name in data.spec.problems
        if name in stored and halves[name] == wanted and half in (None, wanted)
    ]


def stored_runs(data: BayesianStudyData) -> pd.DataFrame:
    """``problem``, ``instance`` and ``model`` of every stored run, also of those that failed."""
    return pd.concat([data.proposals[_RUN], data.failures[_RUN]]).drop_duplicates(ignore_index=True)


def finished_runs(data: BayesianStudyData) -> pd.DataFrame:
    """All evaluations, first points too, of the runs that came to the last one with a finite regret."""
    last = data.proposals["evaluation"].eq(data.spec.evaluations) & data.proposals["regret"].notna()
    return data.proposals.merge(data.proposals.loc[last, _RUN], on=_RUN)


def run_figures(data: BayesianStudyData) -> pd.DataFrame:
    """One row a stored run; one that failed has NaN in every figure.

    Columns, beside ``problem``, ``instance``, ``model`` and ``half``:

    - ``final_regret``: simple regret after the last evaluation.
    - ``mean_regret``: mean simple regret over the evaluations after the initial ones. It stands for the area
      under the regret curve: in logarithms the last digits of a problem that is solved would outweigh all
      else, and where the optimum is hit there is no logarithm.
    - ``inference_regret``: regret of the point that the model recommends after the last evaluation.
    - ``optimism``, ``optimism_median``, ``optimism_size``: mean, median and mean size of truth less
      prediction at the proposals; positive where the model promised too much.
    - ``phantom_share``: of the proposals that promised an improvement, those that brought none; NaN where
      none promised any.
    - ``coverage50``, ``coverage95``: share of the proposals whose truth lies in the central interval.
    - ``box_coverage50``, ``box_coverage95``, ``r2``: of the last model, at points all over the box.
    - ``fallback_share``: share of the proposals that are Sobol points, since the model could not be used.
    - ``seconds_step``: mean seconds of fit and acquisition a proposal.
    """
    finished = finished_runs(data)
    proposals = finished[~finished["initial"].astype(bool)]
    parts = [
        finished[finished["evaluation"] == data.spec.evaluations]
        .set_index(_RUN)["regret"]
        .to_frame("final_regret"),
        _proposal_figures(proposals),
        _checkpoint_figures(data),
    ]
    runs = stored_runs(data)
    for part in parts:
        runs = runs.merge(part.reset_index(), on=_RUN, how="left")
    runs.loc[runs["final_regret"].isna(), MEASURES] = float("nan")
    runs["half"] = runs["problem"].map(data.problems.set_index("name")["half"])
    return runs


def _proposal_figures(proposals: pd.DataFrame) -> pd.DataFrame:
    modelled = proposals["predicted"].notna()
    promised = proposals["promised"].where(modelled).astype(float)
    kept = proposals.assign(
        optimism_size=proposals["optimism"].abs(),
        promised=promised,
        phantom=proposals["phantom"].where(modelled).astype(float),
        fallback=proposals["fallback"].astype(float),
        seconds_step=proposals["seconds_fit"] + proposals["seconds_acquisition"],
    ).groupby(_RUN)
    table = kept.agg(
        mean_regret=("regret", "mean"),
        optimism=("optimism", "mean"),
        optimism_median=("optimism", "median"),
        optimism_size=("optimism_size", "mean"),
        coverage50=("in50", "mean"),
        coverage95=("in95", "mean"),
        fallback_share=("fallback", "mean"),
        seconds_step=("seconds_step", "mean"),
    )
    sums = kept[["promised", "phantom"]].sum()
    table["phantom_share"] = sums["phantom"] / sums["promised"].where(sums["promised"] > 0)
    return table


def _checkpoint_figures(data: BayesianStudyData) -> pd.DataFrame:
    last = data.checkpoints[data.checkpoints["evaluation"] == data.spec.evaluations]
    names = {"coverage50": "box_coverage50", "coverage95": "box_coverage95"}
    table: pd.DataFrame = last.set_index(_RUN)[["inference_regret", "r2", *names]].rename(columns=names)
    return table


def summarize(runs: pd.DataFrame, by: list[str]) -> pd.DataFrame:
    """Means over runs of every figure, with the spread of the final regret and the number of runs.

    Args:
        runs: as from ``run_figures``.
        by: columns to group by; ``["half", "model"]`` pools the problems of a half.

    Returns:
        One row a group, in order of appearance: ``by``, the figures, ``regret_median``, ``regret_lower`` and
        ``regret_upper`` (quartiles), ``finished`` and ``failed`` runs.
    """
    groups = runs.groupby(by, sort=False)
    table = groups[MEASURES].mean()
    regret = groups["final_regret"]
    table["regret_median"] = regret.median()
    table["regret_lower"] = regret.quantile(0.25)
    table["regret_upper"] = regret.quantile(0.75)
    table["finished"] = regret.count()
    table["failed"] = groups.size() - table["finished"]
    return table.reset_index()
