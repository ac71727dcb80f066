"""Tests, intervals and effect sizes of paired differences, one per instance; Holm's correction."""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Float, Int
from scipy import stats

CONFIDENCE = 0.95
NUM_RESAMPLES = 10_000

_MAX_EXACT = 300
"""Up to so many pairs the signed-rank distribution is exact; the normal approximation is good long before."""


def bootstrap_interval(
    differences: Float[np.ndarray, " n"],
    *,
    seed: int,
    confidence: float = CONFIDENCE,
    num_resamples: int = NUM_RESAMPLES,
) -> tuple[float, float]:
    """Expanded percentile bootstrap interval of the mean, resampling whole instances.

    The plain percentile interval is too short at small n: its variance is (n-1)/n of the right one, and it
    uses the normal quantile for the t. So the percentiles taken are Phi(-/+ sqrt(n/(n-1)) t_{n-1}).

    Args:
        differences: one per instance, ``(n,)``.
        seed: of the resampling.
        confidence: 0.95 for a 95% interval; each end then leaves out 2.5%.
        num_resamples: how many.

    Returns:
        Lower and upper end; (-inf, inf) where n = 1 says nothing, NaN where n = 0.

    Source:
        Hesterberg 2015, What Teachers Should Know about the Bootstrap, section 4.2.
    """
    n = differences.size
    if n < 2:
        return (-math.inf, math.inf) if n else (math.nan, math.nan)
    draws = np.random.default_rng(seed).integers(n, size=(num_resamples, n))
    means = differences[draws].mean(axis=1)
    t = stats.t.ppf(0.5 + confidence / 2, n - 1)
    tail = float(stats.norm.cdf(-math.sqrt(n / (n - 1)) * t))
    lower, upper = np.quantile(means, (tail, 1 - tail))
    return float(lower), float(upper)


def effect_size(differences: Float[np.ndarray, " n"]) -> float:
    """Cohen's d_z: mean / standard deviation (divisor n - 1) of the differences.

    0 where all are zero, infinite where all are equal otherwise, NaN where n < 2.
    """
    if differences.size < 2:
        return math.nan
    mean = float(differences.mean())
    deviation = 0.0 if np.ptp(differences) == 0 else float(differences.std(ddof=1))
    if deviation == 0.0:
        return 0.0 if mean == 0.0 else math.copysign(math.inf, mean)
    return mean / deviation


def t_p(differences: Float[np.ndarray, " n"]) -> float:
    """Two-sided p-value of the paired t-test, t = sqrt(n) d_z; NaN where n < 2."""
    n = differences.size
    return float(2 * stats.t.sf(abs(math.sqrt(n) * effect_size(differences)), n - 1)) if n > 1 else math.nan


def sign_p(differences: Float[np.ndarray, " n"]) -> float:
    """Two-sided p-value of the exact sign test; zeros are left out, and p = 1 where nothing else is left."""
    positive, negative = int((differences > 0).sum()), int((differences < 0).sum())
    if positive + negative == 0:
        return 1.0
    return float(stats.binomtest(positive, positive + negative).pvalue)


def wilcoxon_p(differences: Float[np.ndarray, " n"]) -> float:
    """Two-sided p-value of the Wilcoxon signed-rank test.

    Exact for up to 300 pairs, ties and zeros included: given the mid-ranks, every pattern of signs is equally
    likely under the null, and the rank sums of all patterns are counted by convolution. Zeros are ranked with
    the rest and then left out. Beyond 300 pairs SciPy's normal approximation.

    Args:
        differences: one per instance, ``(n,)``.

    Returns:
        p; 1 where all differences are zero or there are none.

    Source:
        Wilcoxon 1945; zeros as in Pratt 1959.
    """
    nonzero = differences != 0
    if not nonzero.any():
        return 1.0
    if differences.size > _MAX_EXACT:
        return float(stats.wilcoxon(differences, zero_method="pratt").pvalue)
    doubled = _doubled_ranks(differences)
    probabilities = _signed_rank_distribution(doubled[nonzero])
    observed = int(doubled[differences > 0].sum())
    tail = min(probabilities[: observed + 1].sum(), probabilities[observed:].sum())
    return min(1.0, 2 * float(tail))


def rank_correlation(differences: Float[np.ndarray, " n"]) -> float:
    """Matched-pairs rank-biserial correlation: (W+ - W-) / (W+ + W-), ranks as in ``wilcoxon_p``.

    1 where all differences are positive, -1 where all are negative, 0 where there is none but zeros.

    Source:
        Kerby 2014, The Simple Difference Formula.
    """
    doubled = _doubled_ranks(differences)
    positive, negative = int(doubled[differences > 0].sum()), int(doubled[differences < 0].sum())
    return (positive - negative) / max(1, positive + negative)


def _doubled_ranks(differences: Float[np.ndarray, " n"]) -> Int[np.ndarray, " n"]:
    """Ranks of the absolute differences, zeros among them; doubled, so that mid-ranks are whole."""
    doubled: Int[np.ndarray, " n"] = np.rint(2 * stats.rankdata(np.abs(differences))).astype(np.int64)
    return doubled


def _signed_rank_distribution(doubled_ranks: Int[np.ndarray, " n"]) -> Float[np.ndarray, " sums"]:
    """Probability of each sum of the positive doubled ranks, every pattern of signs being as likely."""
    probabilities = np.zeros(int(doubled_ranks.sum()) + 1)
    probabilities[0] = 1.0
    for rank in doubled_ranks:
        shifted = np.zeros_like(probabilities)
        shifted[rank:] = probabilities[: probabilities.size - rank]
        probabilities = (probabilities + shifted) / 2
    return probabilities


def holm(p: Float[np.ndarray, " rows"]) -> Float[np.ndarray, " rows"]:
    """Holm's step-down correction: sorted ascending, the largest of (m - j + 1) p_(j) so far, at most 1.

    Args:
        p: uncorrected p-values, ``(m,)``.

    Returns:
        Corrected p-values in the same order, never below the uncorrected.

    Source:
        Holm 1979, A Simple Sequentially Rejective Multiple Test Procedure.
    """
    order = np.argsort(p, kind="stable")
    factors = np.arange(p.size, 0, -1)
    corrected = np.empty_like(p, dtype=np.float64)
    corrected[order] = np.minimum(1.0, np.maximum.accumulate(factors * p[order]))
    return corrected
