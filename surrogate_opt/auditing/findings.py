"""What each piece of evidence says: a grade and a plain sentence, by named thresholds with their reasons.

The thresholds were set on instances of the five synthetic families, where the true gradient is known, with 4
to 10 inputs, 100 to 1,000 rows and noise from 0.02 to 1 standard deviation. Surrogates that pass all of
them pointed the wrong way on under 2% of the box, those that fail one on 10% to 50% in most cases. One figure
alone does not do: members that all miss the same waves agree with each other.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from surrogate_opt.auditing.agreement import Agreement
from surrogate_opt.auditing.density import Density
from surrogate_opt.auditing.directions import NOISE_FACTOR, Directions
from surrogate_opt.data import MIN_NONLINEAR_SHARE
from surrogate_opt.diagnostics import Degeneracy, Sensitivity

Grade = Literal["good", "caution", "bad", "unknown"]

GOOD_R2 = 0.85
"""Below it, gradients pointed the wrong way on up to 27% of the box for the rougher families."""
BAD_R2 = 0.3
"""Below it, over two thirds of the variance is unknown to the model, whatever the reason."""
PLANE_ENOUGH = 1.0 - MIN_NONLINEAR_SHARE
"""As in ``diagnostics.degenerate``: a plane that leaves 2% or less needs no network."""

GOOD_COSINE = 0.95
"""Trustworthy ensembles reached 0.94 to 1.00. Wrong ones reached 0.95 at most, and fell short elsewhere."""
BAD_COSINE = 0.8
"""At the data, where members should know best. Below it, every gradient had a mean error of half its size."""
GOOD_SIGN_AGREEMENT = 0.8
"""Chance gives 0.5; 0.8 is a member in nine (one of five in half of the places) against all others."""
MIN_INFLUENCE = 0.03
"""An input with less of the gradient hardly steers a loop: the sign of nothing may disagree."""

GOOD_DIRECTION = 0.94
"""The lower end of the interval; surrogates that pointed the wrong way on 5% and more reached 0.96, but most
stayed below 0.92."""
BAD_DIRECTION = 0.75
"""The upper end of the interval: one clear difference in four is got wrong; a plane often does better."""
MIN_PAIRS = 30
"""With fewer pairs the interval is over 0.1 wide even for a perfect share."""

FAR_SHARE = 0.5
"""Rows that fill the box evenly leave about 0.05 beyond the reach of their own 95% quantile."""
SPIKY_TAIL = 5.0
"""Smooth and piecewise truths have p99/mean from 1.2 to 3; at 5 a hundredth of the box dictates the steps."""

COVERAGE_LEVEL = 0.9


@dataclass(frozen=True, kw_only=True)
class Coverage:
    """How many held-out targets fell into the CV+ interval.

    Attributes:
        level: what the interval promises.
        share: what it held.
        lower: lower end of the share's 95% Wilson interval.
        upper: its upper end.
        num_rows: rows.
    """

    level: float
    share: float
    lower: float
    upper: float
    num_rows: int


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One piece of evidence in words.

    Attributes:
        topic: what was looked at.
        grade: "good", "caution", "bad", or "unknown" where there is too little to say.
        sentence: the figures and what they mean.
    """

    topic: str
    grade: Grade
    sentence: str


def judge_skill(figures: Degeneracy, source: str) -> Finding:
    """Does the model know anything that a plane does not?"""
    facts = f"{source.capitalize()} R² {figures.r2:.3f}, a plane's {figures.linear_r2:.3f}"
    left = f"it leaves {_share(1 - figures.nonlinear_skill)} of the plane's squared error"
    if figures.kind == "collapsed":
        return Finding(topic="skill", grade="bad", sentence=f"{facts}: it has learned next to nothing.")
    if figures.kind == "linearized":
        return Finding(
            topic="skill",
            grade="bad",
            sentence=f"{facts}: no better than a plane ({left}), so its own gradients are worth nothing; "
            "use the plane, or more or cleaner data.",
        )
    if figures.linear_r2 >= PLANE_ENOUGH and figures.nonlinear_skill < 0.5:
        return Finding(topic="skill", grade="good", sentence=f"{facts}: a plane is enough here.")
    if not figures.r2 >= BAD_R2:
        return Finding(
            topic="skill", grade="bad", sentence=f"{facts}: over two thirds of the variance is not explained."
        )
    grade: Grade = "good" if figures.r2 >= GOOD_R2 else "caution"
    tail = "." if grade == "good" else f"; under {GOOD_R2} much of the gradient may be missing."
    return Finding(topic="skill", grade=grade, sentence=f"{facts}: {left}{tail}")


def judge_agreement(box: Agreement | None, data: Agreement | None) -> Finding:
    """Do members that saw different rows point the same way?"""
    if box is None:
        return Finding(
            topic="agreement",
            grade="unknown",
            sentence="The model has no members whose gradients could be compared.",
        )
    near = data if data is not None else box
    facts = f"Members' gradients have a mean cosine of {box.cosine:.2f} in the box"
    facts += f" and {near.cosine:.2f} at the data" if data is not None else ""
    facts += f" (1 = same direction; norms differ by {near.norm_spread:.0%})"
    if near.cosine < BAD_COSINE:
        return Finding(topic="agreement", grade="bad", sentence=f"{facts}: they do not know the direction.")
    if box.cosine < GOOD_COSINE or near.cosine < GOOD_COSINE:
        where = "away from the data" if near.cosine >= GOOD_COSINE else "in places"
        return Finding(topic="agreement", grade="caution", sentence=f"{facts}: they part ways {where}.")
    return Finding(topic="agreement", grade="good", sentence=f"{facts}: they agree.")


def judge_directions(test: Directions | None, source: str) -> Finding:
    """Does the gradient point uphill where neighbouring measurements go up?"""
    if test is None:
        return Finding(
            topic="direction", grade="unknown", sentence="There are no rows to test directions on."
        )
    by_noise = test.threshold <= NOISE_FACTOR * test.noise.std
    rule = "three times the noise" if by_noise else "half of all pairs do; the noise is"
    pairs = f"held-out neighbour pairs that differ by over {test.threshold:.3g} ({rule}"
    pairs += f"{',' if by_noise else ''} {test.noise.std:.3g} from {test.noise.source})"
    if test.num_pairs < MIN_PAIRS:
        return Finding(
            topic="direction", grade="unknown", sentence=f"Only {test.num_pairs} {pairs}: too few to say."
        )
    who = "members that saw neither row point" if source == "out of fold" else "the gradient points"
    sentence = (
        f"On {test.num_pairs} {pairs}, {who} the right way in {_share(test.share)} "
        f"({_share(test.lower)} to {_share(test.upper)}); a plane in {_share(test.plane_share)}."
    )
    grade: Grade = "good" if test.lower >= GOOD_DIRECTION else "caution"
    if grade == "caution" and test.share == 1.0:
        return Finding(topic="direction", grade="unknown", sentence=f"{sentence} More rows could say more.")
    if test.upper + test.noise_share / 2 < BAD_DIRECTION:
        grade = "bad"
    elif grade == "caution" and test.upper + test.noise_share / 2 >= GOOD_DIRECTION:
        sentence += f" Noise alone could turn {_share(test.noise_share / 2)} the wrong way."
    return Finding(topic="direction", grade=grade, sentence=sentence)


def judge_density(figures: Density | None, *, training: bool) -> Finding:
    """How much of the box holds data?"""
    if figures is None:
        return Finding(
            topic="density", grade="unknown", sentence="There are no rows to measure distances to."
        )
    rows = "training rows" if training else "given rows"
    sentence = (
        f"{_share(figures.far_share)} of the box lies farther than {figures.reach:.3f} of its diagonal from "
        f"any of the {rows}; 95% of these have a neighbour nearer than that."
    )
    if figures.far_share > FAR_SHARE:
        return Finding(
            topic="density", grade="caution", sentence=f"{sentence} Most of the box is extrapolation."
        )
    return Finding(topic="density", grade="good", sentence=sentence)


def judge_tails(figures: Sensitivity, target_name: str) -> Finding:
    """Are there spikes in the gradient?"""
    if figures.mean == 0.0:
        return Finding(
            topic="tails", grade="caution", sentence="The slope is 0 everywhere: there is nothing to follow."
        )
    sentence = (
        f"Mean slope {figures.mean:.1f} standard deviations of {target_name} per box width, steepest "
        f"hundredth {figures.p99:.1f} ({figures.tail_ratio:.1f} times the mean)"
    )
    if not figures.tail_ratio <= SPIKY_TAIL:
        return Finding(topic="tails", grade="caution", sentence=f"{sentence}: spikes rule a loop's steps.")
    return Finding(topic="tails", grade="good", sentence=f"{sentence}: no spikes.")


def judge_coverage(figures: Coverage) -> Finding:
    """Do the intervals hold what they promise?"""
    sentence = (
        f"The {figures.level:.0%} interval held {_share(figures.share)} of {figures.num_rows} hold-out "
        f"targets ({_share(figures.lower)} to {_share(figures.upper)})."
    )
    if figures.upper < figures.level:
        return Finding(
            topic="coverage",
            grade="caution",
            sentence=f"{sentence} These rows are harder than the training rows.",
        )
    return Finding(topic="coverage", grade="good", sentence=sentence)


def places_of_distrust(
    box: Agreement | None, data: Agreement | None, density: Density | None, names: tuple[str, ...]
) -> tuple[str, ...]:
    """Where not to follow the gradients, in words."""
    places = []
    if density is not None and density.far_share > 0.1:
        places.append(
            f"farther than {density.reach:.3f} of the box's diagonal from any data "
            f"({_share(density.far_share)} of the box)"
        )
    if density is not None:
        places += [
            f"{gap.name} from {gap.lower:.4g} to {gap.upper:.4g}: {gap.share_of_range:.0%} of its range, "
            f"{_share(gap.share_of_data)} of the rows"
            for gap in density.gaps
        ]
        places += [
            f"between the {count} values that {name} takes" for name, count in density.levels if count > 2
        ]
    near = data if data is not None else box
    if near is not None:
        places += [
            f"along {name}: two members agree on the slope's sign in only {_share(same)} of cases at the "
            f"data (chance: 50%)"
            for name, same, influence in zip(names, near.sign_agreement, near.influence, strict=True)
            if same < GOOD_SIGN_AGREEMENT and influence >= MIN_INFLUENCE
        ]
    if box is not None and box.opposed > 0.05:
        places.append(f"in the {_share(box.opposed)} of the box where a member points against the others")
    return tuple(places)


def _share(value: float) -> str:
    """A percentage; one decimal near the ends, where it matters."""
    if math.isnan(value):
        return "an unknown share"
    return f"{value:.0%}" if 0.05 <= value <= 0.95 or value in (0.0, 1.0) else f"{value:.1%}"
