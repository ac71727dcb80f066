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
_DETERMINED = 1e-12  # of 1 - r^2
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


Pair = tuple[str, str]
"""A diagnostic and an outcome."""


def spearman_matrix(values: Float[np.ndarray, "n columns"]) -> Float[np.ndarray, "columns columns"]:
    """Spearman's rank correlations of columns, ties at their mean rank; NaN where one is constant."""
    ranks = stats.rankdata(values, axis=0)
    ranks = ranks - ranks.mean(0)
    products = ranks.T @ ranks
    sizes = np.sqrt(products.diagonal())
    with np.errstate(invalid="ignore"):
        correlations: Float[np.ndarray, "columns columns"] = products / np.outer(sizes, sizes)
    return correlations


def partial_correlations(
    correlations: Float[np.ndarray, "columns columns"], given: int
) -> Float[np.ndarray, "columns columns"]:
    """Correlations of what one column leaves of the others.

    (r_xy - r_xz r_yz) / sqrt((1 - r_xz^2) (1 - r_yz^2)); NaN where z determines x or y.
    """
    with_given = correlations[:, given]
    left = 1.0 - with_given**2
    with np.errstate(invalid="ignore", divide="ignore"):
        scale = np.sqrt(np.where(left > _DETERMINED, left, np.nan))
        partial: Float[np.ndarray, "columns columns"] = (
            correlations - np.outer(with_given, with_given)
        ) / np.outer(scale, scale)
    return partial


def within_data_sets(
    table: pd.DataFrame,
    diagnostics: Sequence[str],
    outcomes: Sequence[str],
    *,
    data_set: Sequence[str],
    instance: Sequence[str],
    given: str | None = None,
) -> dict[Pair, Correlation]:
    """Means over instances of the correlations among the surrogates of one data set.

    Args:
        table: a row a surrogate; those that lack a number are left out, as are data sets of fewer than five.
        diagnostics: columns.
        outcomes: columns.
        data_set: columns that name the data set.
        instance: those of them that name the instance: it is what is averaged and resampled.
        given: a diagnostic whose ranks are partialled out.
    """
    columns = [*diagnostics, *outcomes]
    pairs = [(diagnostic, outcome) for diagnostic in diagnostics for outcome in outcomes]
    found = []
    for place, group in _finite(table, columns).groupby(list(data_set), sort=True):
        if len(group) < _MIN_ROWS:
            continue
        matrix = spearman_matrix(group[columns].to_numpy(dtype=float))
        if given is not None:
            matrix = partial_correlations(matrix, columns.index(given))
        values = [matrix[columns.index(one), columns.index(other)] for one, other in pairs]
        found.append([*(place if isinstance(place, tuple) else (place,)), *values])
    every = pd.DataFrame(found, columns=[*data_set, *range(len(pairs))])
    means = every.groupby(list(instance))[list(range(len(pairs)))].mean()
    return {pair: _mean(means[number].dropna()) for number, pair in enumerate(pairs)}


def _mean(each: pd.Series) -> Correlation:
    low, high = bootstrap_interval(each.to_numpy(dtype=float), seed=_SEED)
    return Correlation(value=float(each.mean()), low=low, high=high, each=each)


def pooled(
    table: pd.DataFrame, diagnostics: Sequence[str], outcomes: Sequence[str], *, instance: Sequence[str]
) -> dict[Pair, Correlation]:
    """Spearman's correlations over all surrogates of all data sets.

    The intervals resample instances; ranks are those among all surrogates, so that a resample is a sum of the
    instances' moments.
    """
    columns = [*diagnostics, *outcomes]
    usable = _finite(table, columns)
    numbers = stats.rankdata(usable[columns].to_numpy(dtype=float), axis=0)
    ranks = pd.DataFrame(numbers - numbers.mean(0), columns=columns)
    keys = [usable[name].to_numpy() for name in instance]
    found = {}
    for one in diagnostics:
        for other in outcomes:
            x, y = ranks[one], ranks[other]
            moments = pd.DataFrame({"n": 1.0, "x": x, "y": y, "xx": x * x, "yy": y * y, "xy": x * y})
            found[one, other] = _resampled(moments.groupby(keys).sum().to_numpy())
    return found


def _resampled(sums: Float[np.ndarray, "instances 6"]) -> Correlation:
    draws = np.random.default_rng(_SEED).integers(len(sums), size=(_NUM_RESAMPLES, len(sums)))
    low, high = np.nanquantile(_from_moments(sums[draws].sum(1)), (0.025, 0.975))
    value = float(_from_moments(sums.sum(0)[None])[0])
    return Correlation(value=value, low=float(low), high=float(high), each=pd.Series(dtype=float))


def _from_moments(sums: Float[np.ndarray, "k 6"]) -> Float[np.ndarray, " k"]:
    n, x, y, xx, yy, xy = sums.T
    with np.errstate(invalid="ignore", divide="ignore"):
        shared: Float[np.ndarray, " k"] = (xy - x * y / n) / np.sqrt((xx - x * x / n) * (yy - y * y / n))
    return shared


def _finite(table: pd.DataFrame, columns: Sequence[str]) -> pd.DataFrame:
    usable: pd.DataFrame = table[np.isfinite(table[list(columns)].to_numpy(dtype=float)).all(1)]
    return usable
