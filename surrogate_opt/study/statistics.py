"""Paired comparison of two methods over problem instances, and of a table of such pairs.

Lower values are better throughout; a difference is method minus rival. The unit is an instance (a new truth
and new data), its values already averaged over initializations: seeds on one instance are no replicates.

Of the three tests the Wilcoxon signed-rank p-value is the one that Holm's procedure corrects and that
verdicts rest on. Errors and regrets are skewed, which the t-test does not forgive at ten instances; the sign
test ignores how large a difference is. Wilcoxon's needs only differences symmetric about zero under the
null, and its distribution is computed exactly, ties and zeros included. With n instances its p-value is at
least 2^(1-n): ten instances can put a method ahead in a table of at most 25 rows.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike

from surrogate_opt.errors import InputError
from surrogate_opt.study.paired_tests import (
    NUM_RESAMPLES,
    bootstrap_interval,
    effect_size,
    holm,
    rank_correlation,
    sign_p,
    t_p,
    wilcoxon_p,
)

Verdict = Literal["ahead", "behind", "level", "undecided", "too few to say"]

MIN_INSTANCES = 10
SIGNIFICANCE = 0.05


@dataclass(frozen=True, kw_only=True)
class Margin:
    """How much worse still counts as level.

    Attributes:
        absolute: in the units of the values.
        relative: as a share of the rival's mean, added to it.
    """

    absolute: float = 0.0
    relative: float = 0.0

    def __post_init__(self) -> None:
        if not (0 <= self.absolute < math.inf and 0 <= self.relative < math.inf):
            raise InputError(f"margin: expected numbers >= 0, got {self.absolute:g} and {self.relative:g}")

    def allowed(self, rival_mean: float) -> float:
        """The largest difference that counts as level."""
        return self.absolute + self.relative * abs(rival_mean)


ERROR_MARGIN = Margin(relative=0.05)
"""For errors: 5% of the rival's value."""

REGRET_MARGIN = Margin(absolute=0.05)
"""For regrets, which are in standard deviations of the truth: 0.05."""


@dataclass(frozen=True, kw_only=True)
class Pairing:
    """One row of a table of comparisons, before it is compared.

    Attributes:
        values: the method's, ``(num_pairs,)``.
        rival_values: the rival's, on the same instances in the same order.
        margin: how much worse still counts as level.
        clusters: instance of each pair, where an instance has several; None where each pair is its own.
        method: name of the method.
        rival: name of what it is compared with.
        metric: name of the figure, lower is better.
    """

    values: ArrayLike
    rival_values: ArrayLike
    margin: Margin
    clusters: ArrayLike | None = None
    method: str = "method"
    rival: str = "rival"
    metric: str = "metric"


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """A method against a rival on one metric. Lower is better; differences are method minus rival.

    Attributes:
        method: name of the method.
        rival: name of the rival.
        metric: name of the figure.
        num_instances: n, instances on which both have finite values.
        missing: pairs left out because the method's value was not finite.
        rival_missing: pairs left out because the rival's value was not finite.
        mean: the method's mean.
        rival_mean: the rival's mean.
        difference: mean paired difference; NaN where n = 0.
        lower: lower end of its 95% bootstrap interval.
        upper: upper end of its 95% bootstrap interval.
        effect_size: Cohen's d_z, difference / standard deviation of the differences; NaN where n < 2.
        rank_correlation: matched-pairs rank-biserial correlation, the direction that Wilcoxon's test sees.
        p_t: paired t-test, two-sided; NaN where n < 2.
        p_wilcoxon: exact Wilcoxon signed-rank test, two-sided.
        p_sign: exact sign test, two-sided.
        p_corrected: p_wilcoxon after Holm's correction over the table.
        allowed: the largest difference that counts as level.
        verdict: "too few to say" under 10 instances; else "ahead" or "behind" where p_corrected < 0.05 and
            difference and rank_correlation are both under or both over zero; else "level" where ``upper`` is
            at most ``allowed``; else "undecided". A value that is missing never helps its own side: "ahead"
            and "level" are withheld where the method has any, "behind" where the rival has.
    """

    method: str
    rival: str
    metric: str
    num_instances: int
    missing: int
    rival_missing: int
    mean: float
    rival_mean: float
    difference: float
    lower: float
    upper: float
    effect_size: float
    rank_correlation: float
    p_t: float
    p_wilcoxon: float
    p_sign: float
    p_corrected: float
    allowed: float
    verdict: Verdict

    def to_dict(self) -> dict[str, Any]:
        """The fields by name."""
        return dataclasses.asdict(self)


def compare(
    values: ArrayLike,
    rival_values: ArrayLike,
    *,
    margin: Margin,
    clusters: ArrayLike | None = None,
    seed: int = 0,
    num_resamples: int = NUM_RESAMPLES,
) -> Comparison:
    """Compares a method with a rival, as a table of one row.

    Args:
        values: the method's, ``(num_pairs,)``, lower is better.
        rival_values: the rival's, on the same instances in the same order.
        margin: how much worse still counts as level: ``ERROR_MARGIN``, ``REGRET_MARGIN`` or another.
        clusters: instance of each pair. Values of one instance are averaged first, so that each counts once.
        seed: of the bootstrap.
        num_resamples: bootstrap resamples.

    Raises:
        InputError: arrays that are not 1-d, or differ in length.
    """
    row = Pairing(values=values, rival_values=rival_values, margin=margin, clusters=clusters)
    return compare_table([row], seed=seed, num_resamples=num_resamples)[0]


def compare_table(
    pairings: Sequence[Pairing], *, seed: int = 0, num_resamples: int = NUM_RESAMPLES
) -> list[Comparison]:
    """Compares every row, with Holm's correction over all of them.

    Args:
        pairings: the rows: everything that is tested for one claim or shown in one table.
        seed: of the bootstrap, the same for every row.
        num_resamples: bootstrap resamples of each row.

    Returns:
        Comparisons in the order of the rows.

    Raises:
        InputError: arrays that are not 1-d, or differ in length.
    """
    rows = [_uncorrected(pairing, seed, num_resamples) for pairing in pairings]
    corrected = holm(np.array([row.p_wilcoxon for row in rows]))
    rows = [dataclasses.replace(row, p_corrected=float(p)) for row, p in zip(rows, corrected, strict=True)]
    return [dataclasses.replace(row, verdict=_verdict(row)) for row in rows]


def _uncorrected(pairing: Pairing, seed: int, num_resamples: int) -> Comparison:
    values, rival_values, missing, rival_missing = _instances(pairing)
    differences = values - rival_values
    n = differences.size
    mean, rival_mean = _mean(values), _mean(rival_values)
    lower, upper = bootstrap_interval(differences, seed=seed, num_resamples=num_resamples)
    p_wilcoxon = wilcoxon_p(differences)
    return Comparison(
        method=pairing.method,
        rival=pairing.rival,
        metric=pairing.metric,
        num_instances=n,
        missing=missing,
        rival_missing=rival_missing,
        mean=mean,
        rival_mean=rival_mean,
        difference=_mean(differences),
        lower=lower,
        upper=upper,
        effect_size=effect_size(differences),
        rank_correlation=rank_correlation(differences),
        p_t=t_p(differences),
        p_wilcoxon=p_wilcoxon,
        p_sign=sign_p(differences),
        p_corrected=p_wilcoxon,
        allowed=pairing.margin.allowed(rival_mean),
        verdict="undecided",
    )


def _verdict(row: Comparison) -> Verdict:
    if row.num_instances < MIN_INSTANCES:
        return "too few to say"
    if row.p_corrected < SIGNIFICANCE:
        if row.difference < 0 and row.rank_correlation < 0:
            return "undecided" if row.missing else "ahead"
        if row.difference > 0 and row.rank_correlation > 0:
            return "undecided" if row.rival_missing else "behind"
    return "level" if row.upper <= row.allowed and not row.missing else "undecided"


def _instances(pairing: Pairing) -> tuple[np.ndarray, np.ndarray, int, int]:
    """Values of both, one per instance, and how many pairs each side spoilt."""
    values = np.asarray(pairing.values, dtype=np.float64)
    rival_values = np.asarray(pairing.rival_values, dtype=np.float64)
    clusters = np.arange(values.size) if pairing.clusters is None else np.asarray(pairing.clusters)
    for name, array in (("values", values), ("rival_values", rival_values), ("clusters", clusters)):
        if array.ndim != 1 or array.size != values.size:
            raise InputError(f"{name}: expected shape ({values.size},), got {array.shape}")
    finite, rival_finite = np.isfinite(values), np.isfinite(rival_values)
    both = finite & rival_finite
    _, cluster = np.unique(clusters[both], return_inverse=True)
    counts = np.bincount(cluster)
    return (
        np.bincount(cluster, weights=values[both]) / counts,
        np.bincount(cluster, weights=rival_values[both]) / counts,
        int((~finite).sum()),
        int((~rival_finite).sum()),
    )


def _mean(values: Float[np.ndarray, " n"]) -> float:
    return float(values.mean()) if values.size else math.nan
