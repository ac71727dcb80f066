"""What the closed loops on one surrogate come to, and averages over instances."""

from __future__ import annotations

import pandas as pd

from surrogate_opt.study.control.cell import ORACLE
from surrogate_opt.study.control.tables import CELL, ControlStudyData

SOLVED_FROM = 0.9
"""A task counts where the oracle succeeds in this share of all loops; else it measures the planner."""

TASK = ["controller", "num_train", "plant"]

MEASURES = [
    "cost_ratio",
    "success",
    "oracle_success",
    "plan_gap",
    "action_error",
    "chatter",
    "oracle_chatter",
    "violation",
    "diverged",
    "seconds_step",
    "test_error",
    "gradient_error",
    "tail_ratio",
    "degenerate",
]
"""The figures of a run."""

_RUN = [*CELL, "controller", "method"]


def run_figures(data: ControlStudyData, starts: int | None = None) -> pd.DataFrame:
    """One row a plant, instance, number of transitions, controller and method.

    Args:
        data: the study's.
        starts: only so many of each instance, the first ones; None for all.

    Returns:
        Columns, beside these: medians over the starts of ``cost_ratio``, ``plan_gap``, ``action_error`` and
        ``chatter``; means of ``success`` and ``violation``; ``diverged``, the share of the loops in which a
        plan did; ``failure`` and ``plan_gap_size``, to be compared; ``seconds_step``; the oracle's
        ``oracle_success`` and ``oracle_chatter``; of the surrogate ``test_error``, ``gradient_error``,
        ``tail_ratio`` and whether it is ``degenerate``; ``solved``, whether the oracle solves the task (over
        all its instances). A method that could not be trained has NaN in every figure.
    """
    loops = data.loops if starts is None else data.loops[data.loops["start"] < starts]
    loops = loops.assign(
        success=loops["success"].astype(float), diverged=(loops["diverged"] > 0).astype(float)
    )
    runs = loops.groupby(_RUN, sort=False).agg(
        cost_ratio=("cost_ratio", "median"),
        success=("success", "mean"),
        plan_gap=("plan_gap", "median"),
        action_error=("action_error", "median"),
        chatter=("chatter", "median"),
        violation=("violation", "mean"),
        diverged=("diverged", "mean"),
        seconds_step=("seconds_step", "first"),
    )
    oracle = runs.xs(ORACLE, level="method")[["success", "chatter"]].add_prefix("oracle_")
    runs = runs.drop(index=ORACLE, level="method").reset_index()
    runs = pd.concat([runs, _untrained(data)], ignore_index=True)
    runs = runs.merge(oracle.reset_index(), on=_RUN[:-1], how="left")
    surrogates = data.surrogates.assign(degenerate=(data.surrogates["kind"] != "sound").astype(float))
    columns = ["test_error", "gradient_error", "tail_ratio", "degenerate"]
    runs = runs.merge(surrogates[[*CELL, "method", *columns]], on=[*CELL, "method"], how="left")
    runs["failure"] = 1.0 - runs["success"]
    runs["plan_gap_size"] = runs["plan_gap"].abs()
    runs["solved"] = runs.groupby(TASK)["oracle_success"].transform("mean") >= SOLVED_FROM
    return runs


def _untrained(data: ControlStudyData) -> pd.DataFrame:
    """A row for each controller of every method that could not be trained."""
    places = data.failures[[*CELL, "method"]]
    return places.merge(pd.DataFrame({"controller": list(data.spec.controllers)}), how="cross")


def summarize(runs: pd.DataFrame, by: list[str]) -> pd.DataFrame:
    """Means over instances of every figure, and how many there are.

    Args:
        runs: as from `run_figures`.
        by: columns to group by.

    Returns:
        One row a group, in order of appearance: ``by``, the figures, ``n``. The cost ratio is the median over
        instances, with its quartiles as ``cost_lower`` and ``cost_upper``, since a single loop gone wrong can
        cost any number.
    """
    groups = runs.groupby(by, sort=False)
    table = groups[MEASURES].mean()
    table["cost_ratio"] = groups["cost_ratio"].median()
    table["cost_lower"] = groups["cost_ratio"].quantile(0.25)
    table["cost_upper"] = groups["cost_ratio"].quantile(0.75)
    table["n"] = groups.size()
    return table.reset_index()


def unsolved_tasks(runs: pd.DataFrame) -> list[tuple[str, str]]:
    """Controllers and plants whose oracle fails too often, in order of appearance."""
    unsolved = runs.loc[~runs["solved"], ["controller", "plant"]].drop_duplicates()
    return list(unsolved.itertuples(index=False, name=None))
