"""Rank correlations of diagnostics with what loops lost, and intervals that resample whole instances."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Float
from scipy import stats

from surrogate_opt.study.paired_tests import bootstrap_interval

_SEED = 0  # of the bootstrap
_MIN_ROWS = 5  # fewer surrogates of one data set have no ranks to speak of
_NUM_RESAMPLES = 2000


@dataclass(frozen=True, kw_only=True)
class Correlation:
    """A rank correlation with its 95% interval.

    Attributes:
        value: Spearman's, or the partial one.
        low: of the interval.
        high: of the interval.
        each: that of each instance, where it is a mean over them; else empty.
    """

    value: float
    low: float
    high: float
    each: pd.Series


def spearman(x: Float[np.ndarray, " n"], y: Float[np.ndarray, " n"]) -> float:
    """Spearman's rank correlation, ties at their mean rank; NaN where either is constant."""
    return _pearson(stats.rankdata(x), stats.rankdata(y))


def partial_spearman(
    x: Float[np.ndarray, " n"], y: Float[np.ndarray, " n"], given: Float[np.ndarray, " n"]
) -> float:
    """Spearman's rank correlation of what the ranks of a third variable leave of both.

    (r_xy - r_xz r_yz) / sqrt((1 - r_xz^2) (1 - r_yz^2)); NaN where the third determines either.
    """
    xy, xz, yz = spearman(x, y), spearman(x, given), spearman(y, given)
    left = (1.0 - xz**2) * (1.0 - yz**2)
    return (xy - xz * yz) / float(np.sqrt(left)) if left > 1e-12 else float("nan")


def _pearson(x: Float[np.ndarray, " n"], y: Float[np.ndarray, " n"]) -> float:
    x, y = x - x.mean(), y - y.mean()
    size = float(np.sqrt((x @ x) * (y @ y)))
    return float(x @ y) / size if size > 0.0 else float("nan")


def within_data_sets(
    table: pd.DataFrame,
    diagnostic: str,
    outcome: str,
    *,
    data_set: Sequence[str],
    instance: Sequence[str],
    given: str | None = None,
) -> Correlation:
    """Mean over instances of the correlation among the surrogates of one data set.

    Args:
        table: a row a surrogate.
        diagnostic: a column.
        outcome: a column; rows where either is no number are left out.
        data_set: columns that name the data set.
        instance: those of them that name the instance: it is what is averaged and resampled.
        given: column whose ranks are partialled out.
    """
    usable = table[_finite(table, diagnostic, outcome, given)]
    found = []
    for place, group in usable.groupby(list(data_set), sort=True):
        if len(group) < _MIN_ROWS:
            continue
        x, y = group[diagnostic].to_numpy(), group[outcome].to_numpy()
        value = spearman(x, y) if given is None else partial_spearman(x, y, group[given].to_numpy())
        names = place if isinstance(place, tuple) else (place,)
        found.append(dict(zip(data_set, names, strict=True)) | {"value": value})
    columns = [*data_set, "value"]
    each = pd.DataFrame(found, columns=columns).dropna().groupby(list(instance))["value"].mean()
    low, high = bootstrap_interval(each.to_numpy(dtype=float), seed=_SEED)
    return Correlation(value=float(each.mean()), low=low, high=high, each=each)


def pooled(table: pd.DataFrame, diagnostic: str, outcome: str, *, instance: Sequence[str]) -> Correlation:
    """Spearman's correlation over all surrogates of all data sets.

    The interval resamples instances; ranks are those among all surrogates, so that a resample is a sum of the
    instances' moments.
    """
    usable = table[_finite(table, diagnostic, outcome, None)]
    x, y = (stats.rankdata(usable[name]) for name in (diagnostic, outcome))
    x, y = x - x.mean(), y - y.mean()
    moments = pd.DataFrame({"n": 1.0, "x": x, "y": y, "xx": x * x, "yy": y * y, "xy": x * y})
    keys = [usable[name].to_numpy() for name in instance]
    sums = moments.groupby(keys).sum().to_numpy()
    draws = np.random.default_rng(_SEED).integers(len(sums), size=(_NUM_RESAMPLES, len(sums)))
    low, high = np.quantile(_from_moments(sums[draws].sum(1)), (0.025, 0.975))
    value = float(_from_moments(sums.sum(0)[None])[0])
    return Correlation(value=value, low=float(low), high=float(high), each=pd.Series(dtype=float))


def _from_moments(sums: Float[np.ndarray, "k 6"]) -> Float[np.ndarray, " k"]:
    n, x, y, xx, yy, xy = sums.T
    shared: Float[np.ndarray, " k"] = (xy - x * y / n) / np.sqrt((xx - x * x / n) * (yy - y * y / n))
    return shared


def _finite(table: pd.DataFrame, *names: str | None) -> Float[np.ndarray, " n"]:
    values = table[[name for name in names if name is not None]].to_numpy(dtype=float)
    finite: Float[np.ndarray, " n"] = np.isfinite(values).all(1)
    return finite
