"""What Table 3 and its statistics claim, and what the rows of all cells say to it."""

from __future__ import annotations

from itertools import product
from typing import Final

import numpy as np
import pandas as pd
from jaxtyping import Float
from scipy import stats

from surrogate_opt.study.evidence.claim import (
    Finding,
    Judgement,
    Verdict,
    deciding_p,
    describe,
    directional_verdict,
    named_claims,
    named_findings,
    no_worse_verdict,
)
from surrogate_opt.study.evidence.experiment import means_over_seeds
from surrogate_opt.study.evidence.mnist.sensitivity import COLUMNS
from surrogate_opt.study.paired_tests import sign_p, t_p, wilcoxon_p

TITLE = "MNIST classifiers under DREG and its rivals (DREG paper, Table 3 and its five findings)"
PROTOCOL = (
    "Four MLPs x {relu, poly} x 3 seeds, 8 epochs of AdamW at 1e-3, weight decay 1e-2, batches of 64; "
    "figures of the input gradient of each test image's cross-entropy; pairs share network, activation, seed."
)

_WHY: Final = {
    "poly-p99": "the paper does not define its polynomial; ours is a quadratic, learned layer by layer",
    "means": "the 95th percentile rises in all but the smallest networks: weight moves from tail to middle",
    "rivals-mean": "the penalty is off, see below",
    "stability": "nothing says so either way: a standard deviation of three seeds is mostly chance",
    "poly-tails-of-sn": "a bound on weights bounds no polynomial's slope; the paper's table agrees",
}

CLAIMS: Final = named_claims(
    "mnist",
    (
        (
            "tails",
            "DREG lowers the 99th percentile of input gradients, and its ratio to the mean",
            "24 of 24 pairs, p < 1e-6",
        ),
        (
            "selective",
            "DREG lowers the 99th percentile by a larger share than the mean",
            "24 of 24, p < 1e-7",
        ),
        ("means", "DREG lowers mean, 95th percentile and maximum of input gradients", "Section 6.3"),
        (
            "selective-max",
            "DREG lowers the maximum by a larger share than the mean",
            "Section 4.3, no figure",
        ),
        (
            "rivals-mean",
            "spectral normalization and the input-gradient penalty each lower the mean",
            "Section 6.3, no figure",
        ),
        ("stability", "DREG lowers the accuracy's spread over seeds", "Section 5, no figure"),
        (
            "poly-max",
            "without a penalty, polynomial activations have larger maxima than ReLU",
            "sign test p < 0.05, 12 pairs",
        ),
        (
            "poly-p99",
            "without a penalty, polynomial activations have larger 99th percentiles than ReLU",
            "sign test p < 0.05, 12 pairs",
        ),
        ("accuracy-over-sn", "DREG is more accurate than spectral normalization", "p < 0.05, 24 pairs"),
        (
            "tails-of-sn",
            "spectral normalization lowers the 99th percentile further than DREG (ReLU)",
            "all ReLU rows",
        ),
        (
            "poly-tails-of-sn",
            "spectral normalization lowers the 99th percentile further than DREG (polynomial activations)",
            "Section 6.2, in general; not in Table 3",
        ),
        (
            "capacity",
            "without a penalty p99/mean grows with the network; DREG lowers it at every size (ReLU)",
            "17.79 to 35.60; p < 0.01",
        ),
        (
            "every-size",
            "DREG lowers p99/mean at every size by Welch's test",
            "p < 0.01 at the smallest, p < 0.001 at the larger ones",
        ),
        (
            "cost",
            "DREG's accuracy is at most 0.4 points lower",
            "about 0.4 points (Section 6.3), insignificant (Section 6.2)",
        ),
        (
            "igpen",
            "an input-gradient penalty at DREG's strength does not lower the 99th percentile",
            "rows close to base",
        ),
    ),
    _WHY,
)


_WELCH: Final = 0.01, 0.001
"""The paper's bounds on p, at the smallest network and at larger ones."""

_COST: Final = 0.4
"""Points of accuracy, the paper's "about 0.4"."""


def find_mnist(table: pd.DataFrame) -> list[Finding]:
    """Judge the claims by the rows of all cells."""
    # unstacked and not pivoted: figures that are no numbers must stay, for the verdicts to see them
    keys = ["hidden", "activation", "seed", "method"]
    wide = pd.DataFrame(table.set_index(keys)[list(COLUMNS)].unstack("method"))
    p99, mean, ratio = (wide[name] for name in ("p99", "mean", "p99_over_mean"))
    tails = (p99["base"] - p99["dreg"]).to_numpy(), (ratio["base"] - ratio["dreg"]).to_numpy()
    shares = ((1.0 - p99["dreg"] / p99["base"]) - (1.0 - mean["dreg"] / mean["base"])).to_numpy()
    largest = wide["max"]
    of_max = (mean["dreg"] / mean["base"] - largest["dreg"] / largest["base"]).to_numpy()
    accuracy = 100.0 * (wide["accuracy"]["dreg"] - wide["accuracy"]["sn"])
    each = (
        f"{name} {describe(accuracy.xs(name, level='activation').to_numpy(), digits=2)}"
        for name in ("relu", "poly")
    )
    steeper = p99["dreg"] - p99["sn"]
    relu_sn, poly_sn = (steeper.xs(name, level="activation").to_numpy() for name in ("relu", "poly"))
    poly_max, poly_p99 = (_poly_over_relu(wide[name]["base"]) for name in ("max", "p99"))
    igpen = (p99["base"] - p99["igpen"]).to_numpy()
    spread = float(p99["base"].groupby(["hidden", "activation"]).std().mean())
    relu = ratio.xs("relu", level="activation")
    lower_ratio = relu["base"] - relu["dreg"]
    lowered = lower_ratio.to_numpy()
    at_every_size = bool((lower_ratio.groupby(level="hidden").mean() > 0.0).all())
    cost = 100.0 * (wide["accuracy"]["base"] - wide["accuracy"]["dreg"]).to_numpy()
    growth, grows, growth_p = _growth(relu["base"])
    found: dict[str, Judgement] = {
        "tails": (
            f"p99 {_tested(tails[0])}; p99/mean {_tested(tails[1], digits=2)}",
            directional_verdict(*tails),
            "",
        ),
        "selective": (f"share {_tested(shares)}", directional_verdict(shares), ""),
        "means": _each_lower(
            {
                label: (wide[name]["base"] - wide[name]["dreg"]).to_numpy()
                for name, label in (("mean", "mean"), ("p95", "p95"), ("max", "maximum"))
            }
        ),
        "selective-max": (f"share {_tested(of_max)}", directional_verdict(of_max), ""),
        "rivals-mean": _each_lower(
            {
                label: (mean["base"] - mean[name]).to_numpy()
                for name, label in (("sn", "spectral normalization"), ("igpen", "penalty"))
            }
        ),
        "stability": _stability(pd.DataFrame(wide["accuracy"])),
        "poly-max": (f"maximum {_tested(poly_max, digits=2)}", directional_verdict(poly_max), ""),
        "poly-p99": (f"p99 {_tested(poly_p99, digits=2)}", directional_verdict(poly_p99), ""),
        "accuracy-over-sn": (
            _tested(accuracy.to_numpy(), digits=2, unit=" points"),
            directional_verdict(accuracy.to_numpy()),
            "; ".join(each),
        ),
        "tails-of-sn": (f"p99 {_tested(relu_sn)}", directional_verdict(relu_sn), ""),
        "poly-tails-of-sn": (f"p99 {_tested(poly_sn)}", directional_verdict(poly_sn), ""),
        "capacity": (
            f"base {growth}, Page's trend test p {growth_p:.1g}; DREG lower by {_tested(lowered, digits=2)}",
            directional_verdict(lowered, p=max(growth_p, deciding_p(lowered)))
            if at_every_size and grows
            else "not reproduced",
            "",
        ),
        "every-size": _at_every_size(pd.DataFrame(ratio)),
        "cost": (
            _tested(-cost, digits=2, unit=" points"),
            no_worse_verdict(-cost, _COST),
            f"no worse: by {_COST} points at most",
        ),
        "igpen": (
            f"p99 lower by {_tested(igpen)}, a seed's standard deviation is {spread:.3f}",
            no_worse_verdict(-igpen, spread),
            "read as the gradient of the batch's mean loss, smaller by the batch size: the penalty is off",
        ),
    }
    return named_findings("mnist", found)


def _tested(differences: Float[np.ndarray, " pairs"], *, digits: int = 3, unit: str = "") -> str:
    """The mean difference with the p-values of the paper's three tests, where there is anything to test."""
    described = describe(differences, digits=digits, unit=unit)
    if not (differences.size and np.isfinite(differences).all()):
        return described
    tests = {"t": t_p, "Wilcoxon": wilcoxon_p, "sign": sign_p}
    values = ", ".join(f"{name} {test(differences):.1g}" for name, test in tests.items())
    return f"{described}, p {values}"


def _poly_over_relu(figure: pd.Series) -> Float[np.ndarray, " pairs"]:
    by_activation = figure.unstack("activation")
    return (by_activation["poly"] - by_activation["relu"]).to_numpy()


def _growth(ratio: pd.Series) -> tuple[str, bool, float]:
    """p99/mean of the smallest and the largest network, whether it is larger, and the test of a trend.

    Page's test for ordered alternatives, a seed a block: the pairs of a few seeds could not decide.
    """
    table = ratio.unstack("hidden")
    table = table[sorted(table.columns, key=lambda name: int(str(name).split("-")[0]))]
    first, last = (float(value) for value in table.mean().iloc[[0, -1]])
    text, grows = f"{first:.1f} to {last:.1f}", last > first
    if table.shape[1] < 3 or not np.isfinite(table.to_numpy()).all():
        return text, grows, 1.0
    return text, grows, float(stats.page_trend_test(table.to_numpy()).pvalue)


def _each_lower(lower: dict[str, Float[np.ndarray, " pairs"]]) -> Judgement:
    """All of them must be."""
    ours = "; ".join(f"{label} {describe(own)}" for label, own in lower.items())
    return ours, directional_verdict(*lower.values()), ""


def _stability(accuracy: pd.DataFrame) -> Judgement:
    """Pairs are networks and activations, of which the spread is that of their seeds."""
    spread = 100.0 * accuracy.groupby(level=["hidden", "activation"]).std(ddof=1, skipna=False)
    lower = (spread["base"] - spread["dreg"]).to_numpy()
    return describe(lower, digits=2, unit=" points"), directional_verdict(lower), "of standard deviation"


def _at_every_size(ratio: pd.DataFrame) -> Judgement:
    """Welch's two-sided test of p99/mean at each size, under either activation.

    Reproduced within the paper's bounds on p; in direction where the mean is lower everywhere.
    """
    shown, lower, within = [], [], []
    sizes = sorted(set(ratio.index.get_level_values("hidden")), key=lambda name: int(name.split("-")[0]))
    for (number, size), activation in product(enumerate(sizes), ("relu", "poly")):
        own = ratio.loc[(size, activation)]
        p = float(stats.ttest_ind(own["base"], own["dreg"], equal_var=False).pvalue)
        shown.append(f"{activation} {size} p {p:.1g}")
        lower.append(bool(own["base"].mean(skipna=False) > own["dreg"].mean(skipna=False)))
        within.append(p < _WELCH[min(number, 1)])
    verdict: Verdict = "reproduced" if all(within) else "reproduced in direction"
    return ", ".join(shown), verdict if all(lower) else "not reproduced", "unpaired, three seeds a side"


def summarize_mnist(table: pd.DataFrame) -> pd.DataFrame:
    """Means over seeds, accuracy in percent."""
    in_percent = table.assign(accuracy=100.0 * table["accuracy"])
    return means_over_seeds(in_percent, ("hidden", "activation", "method"), COLUMNS, digits=2)
