"""From stored cells to data frames, method summaries and paired comparisons."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pandas as pd
from torch import Tensor

from surrogate_opt.errors import InputError
from surrogate_opt.study.spec import StudySpec
from surrogate_opt.study.statistics import (
    ERROR_MARGIN,
    REGRET_MARGIN,
    Comparison,
    Margin,
    Pairing,
    compare_table,
)
from surrogate_opt.study.store import ResultsStore

Setting = Literal["chosen", "paper"]
"""Which strength: that of the plateau rule, or the source papers' fixed one."""

SETTING_NAMES: dict[Setting, str] = {"chosen": "plateau", "paper": "fixed"}
INSTANCE = ["family", "instance"]


@dataclass(frozen=True, kw_only=True)
class StudyData:
    """Everything stored of a study.

    Attributes:
        spec: the study.
        surrogates: one row a family, instance, method and strength; ``test_error`` is 1 - R² against the
            truth without noise.
        truths: one row a family and instance.
        arrays: histograms and parameters, by family and instance.
    """

    spec: StudySpec
    surrogates: pd.DataFrame
    truths: pd.DataFrame
    arrays: dict[tuple[str, int], dict[str, Tensor]]

    def at(self, setting: Setting) -> pd.DataFrame:
        """The surrogates of one setting, one a method and instance."""
        return self.surrogates[self.surrogates[setting]]


def load_study(spec: StudySpec, results: Path) -> StudyData:
    """Read the stored cells of a study.

    Raises:
        InputError: none is stored.
    """
    rows, truths, arrays = [], [], {}
    with ResultsStore(results) as store:
        cells = spec.cells()
        absent = {cell.key for cell in store.missing(cells)}
        for cell in cells:
            if cell.key in absent:
                continue
            result, place = store.get(cell), {"family": cell.family, "instance": cell.instance}
            rows += [place | row for row in result.rows]
            truths.append(place | result.truth)
            arrays[cell.family, cell.instance] = result.arrays
    if not rows:
        raise InputError(f"results: {results} holds no cell of study {spec.name!r}")
    surrogates = pd.DataFrame(rows)
    surrogates["test_error"] = 1.0 - surrogates["degeneracy.r2"]
    for loop in spec.loops:
        surrogates[f"{loop}.optimism_size"] = surrogates[f"{loop}.optimism"].abs()
    return StudyData(spec=spec, surrogates=surrogates, truths=pd.DataFrame(truths), arrays=arrays)


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One figure of the tables.

    Attributes:
        column: in ``StudyData.surrogates``.
        label: for people.
        digits: after the decimal point.
        margin: how much worse counts as level; None where less is not better.
    """

    column: str
    label: str
    digits: int
    margin: Margin | None


def summary_figures(spec: StudySpec) -> list[Figure]:
    """The columns of the summary, the headline first."""
    loop = spec.loops[0]
    regrets = [
        Figure(
            column=f"{name}.regret_selected", label=f"regret\n{_LOOPS[name]}", digits=3, margin=REGRET_MARGIN
        )
        for name in spec.loops
    ]
    return [
        *regrets,
        Figure(column=f"{loop}.optimism", label="optimism", digits=3, margin=REGRET_MARGIN),
        Figure(column=f"{loop}.phantom_optima", label="phantom\noptima", digits=2, margin=ERROR_MARGIN),
        Figure(column="field.gradient_error", label="gradient\nerror", digits=3, margin=ERROR_MARGIN),
        Figure(column="field.wrong_way_rate", label="wrong\nway", digits=3, margin=ERROR_MARGIN),
        Figure(column="sensitivity.tail_ratio", label="p99 /\nmean", digits=2, margin=ERROR_MARGIN),
        Figure(column="degeneracy.r2", label="R²", digits=3, margin=None),
        Figure(column="degeneracy.nonlinear_skill", label="skill over\na plane", digits=2, margin=None),
    ]


_LOOPS = {"adam": "Adam", "gradient_descent": "descent", "lbfgsb": "L-BFGS-B"}


def loop_label(loop: str) -> str:
    """A loop's name for people."""
    return _LOOPS[loop]


def summarize(data: StudyData, setting: Setting, by: list[str] | None = None) -> pd.DataFrame:
    """Means over instances of every figure, with the share of degenerate surrogates, one row a method.

    Degenerate methods (more than half of their surrogates collapsed or linearized) come last; the others are
    ordered by the headline figure.
    """
    figures = summary_figures(data.spec)
    part = data.at(setting).copy()
    part["collapsed"] = part["degeneracy.kind"] == "collapsed"
    part["linearized"] = part["degeneracy.kind"] == "linearized"
    columns = [*(figure.column for figure in figures), "collapsed", "linearized"]
    table = part.groupby([*(by or []), "method"], sort=False)[columns].mean()
    table["degenerate"] = (table["collapsed"] + table["linearized"]) > 0.5
    order = [*(by or []), "degenerate", figures[0].column]
    return table.reset_index().sort_values(order, kind="stable").reset_index(drop=True)


def comparisons(
    data: StudyData, setting: Setting, margins: Mapping[str, Margin]
) -> dict[str, list[Comparison]]:
    """Every method against "none" (and DREG against its rivals) on the same instances.

    The unit is an instance of a family: with five families of ten instances each, n = 50.

    Args:
        data: the study.
        setting: which strengths.
        margins: the columns to compare, and how much worse counts as level in each.

    Returns:
        By column. Holm's correction is over all of them together.
    """
    pairings = {
        column: _pairings(_by_method(data, setting, column), data.spec.methods, column, margin)
        for column, margin in margins.items()
    }
    rows = iter(compare_table([pairing for table in pairings.values() for pairing in table]))
    return {column: [next(rows) for _ in table] for column, table in pairings.items()}


def family_comparisons(
    data: StudyData, setting: Setting, column: str, margin: Margin
) -> dict[str, list[Comparison]]:
    """One column for each family; each family is a table with a correction of its own.

    One correction over five families would have 35 rows, more than ten instances can ever decide.
    """
    values = _by_method(data, setting, column)
    family = values.index.get_level_values("family")
    return {
        name: compare_table(_pairings(values[family == name], data.spec.methods, column, margin))
        for name in dict.fromkeys(data.surrogates["family"])
    }


def _by_method(data: StudyData, setting: Setting, column: str) -> pd.DataFrame:
    """Values by instance (rows) and method (columns), those that are missing as NaN."""
    rows = data.at(setting)
    return rows.pivot(index=INSTANCE, columns="method", values=column)


def _pairings(values: pd.DataFrame, methods: tuple[str, ...], column: str, margin: Margin) -> list[Pairing]:
    return [
        Pairing(
            values=values[method].to_numpy(),
            rival_values=values[rival].to_numpy(),
            margin=margin,
            method=method,
            rival=rival,
            metric=column,
        )
        for method, rival in method_pairs([name for name in methods if name in values])
    ]


def method_pairs(methods: Sequence[str]) -> list[tuple[str, str]]:
    """Who is compared with whom: every method with none, then DREG with its rivals."""
    pairs = [(name, "none") for name in methods if name != "none" and "none" in methods]
    return pairs + [("dreg", name) for name in methods if name not in ("none", "dreg") and "dreg" in methods]
