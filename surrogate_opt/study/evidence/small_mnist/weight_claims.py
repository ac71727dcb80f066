"""The claims of Figure 4 and Section 6.1 on regularizers' weights, judged over runs."""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Float
from scipy import stats

from surrogate_opt.study.evidence.claim import Finding, Judgement, Verdict, named_claims, named_findings
from surrogate_opt.study.evidence.small_mnist.cells import DECAY
from surrogate_opt.study.evidence.small_mnist.leads import all_positive
from surrogate_opt.study.text_tables import MISSING

NAME: Final = "datagrad-weights"

_COLLAPSE: Final = 1.0  # points below the best weight's accuracy
_TRANSITION: Final = 20.0
_OFFSETS: Final = (-1.0, -0.5, 0.5, 1.0)  # decades
_ROUNDING: Final = 1e-9
_RIVALS: Final = {"spectreg": "SpectReg", "confidence": "CP", "jacreg": "JacReg"}

Leads = dict[str, Float[np.ndarray, " runs"]]


class Sweep(NamedTuple):
    """One regularizer under one weight decay, over its weights.

    Attributes:
        weights: weak to strong.
        accuracy: on the test images, percent, a row a run and a column a weight.
        squares: of the parameters, alike.
        best: position of the weight of the highest mean development accuracy.
    """

    weights: Float[np.ndarray, " weights"]
    accuracy: Float[np.ndarray, "runs weights"]
    squares: Float[np.ndarray, "runs weights"]
    best: int

    def collapse(self) -> int | None:
        """Position of the first weight above the best one at which accuracy has collapsed."""
        means = self.accuracy.mean(0)
        fallen = ~(means > means[self.best] - _COLLAPSE)  # also where a run has failed
        beyond = np.flatnonzero(fallen[self.best + 1 :])
        return self.best + 1 + int(beyond[0]) if beyond.size else None

    def lost_nearby(self) -> Float[np.ndarray, " runs"]:
        """Accuracy lost at half a decade and a decade from the best weight, mean over those on the grid.

        Between weights accuracy is linear in their logarithm, so that grids of unlike steps compare.
        """
        places = np.log10(self.weights)
        near = places[self.best] + np.array(_OFFSETS)
        near = near[(near >= places[0] - _ROUNDING) & (near <= places[-1] + _ROUNDING)]
        if not near.size:
            return np.full(len(self.accuracy), np.nan)
        kept = np.array([np.interp(near, places, row).mean() for row in self.accuracy])
        lost: Float[np.ndarray, " runs"] = self.accuracy[:, self.best] - kept
        return lost


Sweeps = dict[float, Sweep]
"""By weight decay."""


def _sweeps(table: pd.DataFrame, method: str) -> Sweeps:
    found = {}
    own = table[table["method"] == method]
    for decay in sorted({float(value) for value in own["weight_decay"]}):
        development, accuracy, squares = (
            own[own["weight_decay"] == decay].pivot(index="run", columns="weight", values=name)
            for name in ("development", "test", "squares")
        )
        means = np.nan_to_num(development.to_numpy(dtype=float).mean(0), nan=-np.inf)
        weights = accuracy.columns.to_numpy(dtype=float)
        found[decay] = Sweep(weights, accuracy.to_numpy(), squares.to_numpy(), int(means.argmax()))
    return found


def _collapse(sweeps: Sweeps) -> Judgement:
    """Accuracy is higher at the best weight than at the ends, and somewhere beyond it collapses."""
    shown = ", ".join(f"{own.weights[own.best]:g} at decay {decay:g}" for decay, own in sweeps.items())
    calm = [decay for decay, own in sweeps.items() if own.collapse() is None]
    if calm:
        return f"no collapse at decay {calm[0]:g}", "not reproduced", f"best weights: {shown}"
    leads: Leads = {}
    for decay, own in sweeps.items():
        best = own.accuracy[:, own.best]
        leads[f"best over weakest at decay {decay:g}"] = best - own.accuracy[:, 0]
        leads[f"best over strongest at decay {decay:g}"] = best - own.accuracy[:, -1]
    return all_positive(leads, f"best weights: {shown}")


def _transition(sweeps: Sweeps) -> Judgement:
    """Reproduced where 20 lies between the last weight that works and the first that does not."""
    remark = f"collapse: {_COLLAPSE:g} point below the best weight's accuracy"
    shown, brackets = [], []
    for decay, own in sweeps.items():
        first = own.collapse()
        if first is None:
            return f"none up to {own.weights[-1]:g} at decay {decay:g}", "not reproduced", remark
        low, high = float(own.weights[first - 1]), float(own.weights[first])
        brackets.append((low, high))
        shown.append(f"{low:g} to {high:g} at decay {decay:g}")
    verdict: Verdict = "not reproduced"
    if all(low <= _TRANSITION <= high for low, high in brackets):
        verdict = "reproduced"
    elif len(set(brackets)) == 1:
        verdict = "reproduced in direction"
    return ", ".join(shown), verdict, remark


def _shrinks(sweeps: Sweeps) -> Judgement:
    if 0.0 not in sweeps:
        return MISSING, "not run", ""
    own = sweeps[0.0]
    leads: Leads = {"rank correlation of weight and parameters, negated,": -_trend(own, len(own.weights))}
    ours, verdict, _ = all_positive(leads, unit="")
    first, last = own.squares.mean(0)[[0, -1]]
    return ours, verdict, f"sum of squares {first:.0f} to {last:.0f}"


def _grows(sweeps: Sweeps) -> Judgement:
    leads: Leads = {}
    for decay, own in sweeps.items():
        below = own.collapse() or len(own.weights)
        if decay > 0.0 and below > 1:
            leads[f"rank correlation of weight and parameters at decay {decay:g}"] = _trend(own, below)
    if not leads:
        return MISSING, "not run", ""
    return all_positive(leads, "at weights below the collapse", unit="")


def _shrinks_beyond(sweeps: Sweeps) -> Judgement:
    leads: Leads = {
        f"logarithm of the sum of squares, best over strongest weight, at decay {decay:g}": np.log(
            own.squares[:, own.best] / own.squares[:, -1]
        )
        for decay, own in sweeps.items()
        if decay > 0.0 and own.collapse() is not None
    }
    if not leads:
        return "no collapse at any weight", "not reproduced", ""
    return all_positive(leads, unit="")


def _sensitive(sweeps: Sweeps, rivals: dict[str, Sweeps]) -> Judgement:
    lost = {name: own[DECAY].lost_nearby() for name, own in rivals.items() if DECAY in own}
    if DECAY not in sweeps or not lost:
        return MISSING, "not run", ""
    ours = sweeps[DECAY].lost_nearby()
    leads: Leads = {f"DataGrad over {name}": ours - own for name, own in lost.items()}
    means = ", ".join(f"{name} {own.mean():.2f}" for name, own in ({"DataGrad": ours} | lost).items())
    absent = "".join(f"; no {name}" for name in rivals if name not in lost)
    return all_positive(leads, f"points lost half and one decade from the best weight: {means}{absent}")


def _trend(own: Sweep, number: int) -> Float[np.ndarray, " runs"]:
    """Rank correlation of the first so many weights with the parameters' squares, a run each."""
    trends: Float[np.ndarray, " runs"] = np.array(
        [stats.spearmanr(own.weights[:number], row[:number]).statistic for row in own.squares]
    )
    return trends


CLAIMS: Final = named_claims(
    NAME,
    (
        (
            "collapse",
            "accuracy rises with DataGrad's weight and collapses beyond a point, under every weight decay",
            "Figure 4",
        ),
        (
            "transition",
            "the collapse comes at a weight of about 20 under every weight decay",
            "20 (Section 6.2.7)",
        ),
        ("shrinks", "without weight decay, more DataGrad makes parameters smaller", "Figure 4"),
        (
            "grows",
            "with weight decay, more DataGrad makes parameters larger below the collapse",
            "Figure 4",
        ),
        (
            "shrinks-beyond",
            "with weight decay, DataGrad makes parameters smaller beyond the collapse",
            "Figure 4",
        ),
        (
            "sensitive",
            "DataGrad is more sensitive to its weight than SpectReg, CP and JacReg",
            "Sections 6.1, 7, no figure",
        ),
    ),
)


def find_weights(table: pd.DataFrame) -> list[Finding]:
    """Judge the claims by the rows of all cells."""
    sweeps = _sweeps(table, "datagrad")
    rivals = {name: _sweeps(table, method) for method, name in _RIVALS.items()}
    return named_findings(
        NAME,
        {
            "collapse": _collapse(sweeps),
            "transition": _transition(sweeps),
            "shrinks": _shrinks(sweeps),
            "grows": _grows(sweeps),
            "shrinks-beyond": _shrinks_beyond(sweeps),
            "sensitive": _sensitive(sweeps, rivals),
        },
    )


def summarize_weights(table: pd.DataFrame) -> pd.DataFrame:
    """Means over runs, a row a regularizer, weight decay and weight."""
    groups = ["method", "weight_decay", "weight"]
    means = table.groupby(groups, sort=False)[["development", "test", "squares"]].mean().reset_index()
    shown = means[groups].map(lambda value: value if isinstance(value, str) else f"{value:g}")
    for name in ("development", "test"):
        shown[f"{name} %"] = means[name].map("{:.2f}".format)
    return shown.assign(**{"sum of squares": means["squares"].map("{:.1f}".format)})
