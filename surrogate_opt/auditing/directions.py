"""Direction test: does the gradient point uphill where neighbouring measurements say it is uphill?"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from surrogate_opt.auditing.held_out import HeldOut
from surrogate_opt.data import fit_linear

NOISE_FACTOR = 3.0
"""A pair counts where its targets differ by more than this many standard deviations of the noise.
At 2, one in six pairs of equal truths would count and be a coin toss; at 3, one in thirty."""

MIN_QUANTILE = 0.5
"""And by more than this quantile of all pairs' differences. The smaller half comes from curvature as much as
from slope: halfway between neighbours, true gradients of rougher families were wrong on 5% to 20% of all
pairs, on the larger half on 1% to 2% (5% to 9% for the roughest in 10 inputs)."""

MIN_REPEATS = 10
"""Repeated rows (degrees of freedom) from which the noise is taken from them; an estimate from ten is within
about a quarter of the truth."""

_Z95 = 1.959963984540054


NoiseSource = Literal["repeated rows", "residuals", "a plane's residuals"]


@dataclass(frozen=True, kw_only=True)
class Noise:
    """The noise of one measurement.

    Attributes:
        std: standard deviation, raw units.
        source: where it was least: "repeated rows"; "residuals" of held-out predictions or "a plane's
            residuals", which hold the model's error too.
    """

    std: float
    source: NoiseSource


@dataclass(frozen=True, kw_only=True)
class Directions:
    """Shares of neighbour pairs on which the sign of ghat.(x_j - x_i) is that of y_j - y_i.

    Attributes:
        share: of pairs above the noise; NaN without pairs.
        lower: lower end of a 95% Wilson interval of the share.
        upper: its upper end.
        num_pairs: pairs above the noise.
        num_rows: different rows in them. Pairs share rows, so the interval takes the smaller of both counts.
        noise_share: of these pairs, how many noise alone would give if every pair had equal truths; half of
            them would point the wrong way through no fault of the model.
        plane_share: the same share for the least-squares plane through the rows.
        noise: what the threshold was taken from.
        threshold: difference of targets that counts, raw units.
    """

    share: float
    lower: float
    upper: float
    num_pairs: int
    num_rows: int
    noise_share: float
    plane_share: float
    noise: Noise
    threshold: float


def direction_test(evidence: HeldOut) -> Directions | None:
    """Run the test on held-out neighbour pairs; None where there are no inputs."""
    if evidence.pairs is None:
        return None
    found = evidence.pairs
    rise = evidence.y[found.pairs[:, 1]] - evidence.y[found.pairs[:, 0]]
    noise = estimate_noise(
        evidence.x,
        evidence.y,
        {
            "residuals": evidence.target - evidence.predicted,
            "a plane's residuals": evidence.target - evidence.linear,
        },
    )
    usual = float(rise.abs().quantile(MIN_QUANTILE)) if len(rise) else 0.0
    threshold = max(NOISE_FACTOR * noise.std, usual)
    clear = rise.abs() > threshold
    count = int(clear.sum())
    rows = len(torch.unique(found.pairs[clear]))
    slope = fit_linear(evidence.x, evidence.y).coefficients
    share = _agreement((found.gradient * found.step).sum(-1)[clear], rise[clear])
    lower, upper = wilson_interval(share, min(count, rows))
    return Directions(
        share=share,
        lower=lower,
        upper=upper,
        num_pairs=count,
        num_rows=rows,
        noise_share=_noise_share(threshold, noise.std, len(rise), count),
        plane_share=_agreement((found.step @ slope)[clear], rise[clear]),
        noise=noise,
        threshold=threshold,
    )


def _noise_share(threshold: float, std: float, num_pairs: int, num_clear: int) -> float:
    """Of the clear pairs, how many the noise would give; a difference of two draws has std sqrt(2) sigma."""
    if num_clear == 0:
        return math.nan
    return min(1.0, math.erfc(threshold / (2 * std)) * num_pairs / num_clear) if std > 0 else 0.0


def _agreement(predicted: Float[Tensor, " n"], rise: Float[Tensor, " n"]) -> float:
    """Share of equal signs; a predicted zero is wrong."""
    return float((predicted * rise > 0).double().mean()) if len(rise) else math.nan


def estimate_noise(
    x: Float[Tensor, "n d"],
    y: Float[Tensor, " n"],
    overstated: Mapping[NoiseSource, Float[Tensor, " m"]],
) -> Noise:
    """The noise of one measurement, from rows with equal inputs or from what can only overstate it.

    Copies of a whole row, target included, are one measurement written down twice and do not count.

    Args:
        x: inputs, ``(n, d)``.
        y: targets, ``(n,)``.
        overstated: residuals by their source, each noise and something more; the least of all counts, so that
            a wrong model cannot hide behind its own residuals.
    """
    stds = {source: float(part.square().mean().sqrt()) for source, part in overstated.items() if len(part)}
    rows = torch.unique(torch.cat([x, y[:, None]], 1), dim=0)
    group: Tensor = torch.unique(rows[:, :-1], dim=0, return_inverse=True)[1]
    sizes = torch.bincount(group)
    freedom = len(rows) - len(sizes)
    if freedom >= MIN_REPEATS:
        means = torch.zeros(len(sizes), dtype=y.dtype).scatter_add(0, group, rows[:, -1]) / sizes
        variance = (rows[:, -1] - means[group]).square().sum() / freedom
        stds["repeated rows"] = float(variance.sqrt())
    source = min(stds, key=stds.__getitem__)
    return Noise(std=stds[source], source=source)


def wilson_interval(share: float, count: int) -> tuple[float, float]:
    """95% interval of a share seen in so many trials; (0, 1) for none.

    Source: Wilson 1927.
    """
    if count == 0:
        return 0.0, 1.0
    shrink = 1.0 + _Z95**2 / count
    centre = (share + _Z95**2 / (2 * count)) / shrink
    half = _Z95 * math.sqrt(share * (1 - share) / count + _Z95**2 / (4 * count**2)) / shrink
    # Rounding must not leave the share outside.
    return max(0.0, min(share, centre - half)), min(1.0, max(share, centre + half))
