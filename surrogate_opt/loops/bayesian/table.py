"""What models see of the evaluations: the unit box, spreads near 1, larger is better, failures filled in."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from surrogate_opt.loops.bayesian.domain import Domain
from surrogate_opt.loops.bayesian.ledger import Ledger

FEWEST_VALUES = 3

NUM_BEST = 4
"""Near how many of the best evaluations a search for the next point begins."""


@dataclass(frozen=True, kw_only=True)
class ModelTable:
    """Inputs and outputs to fit.

    Attributes:
        x: ``(n, d)``, unit box, one row an evaluation.
        outputs: ``(n, k)``, each over its unit: the objective, of which more is better, then constraints that
            vary.
        units: ``(k,)``, in the user's units: for each output the power of two next to its spread. BoTorch and
            GPyTorch clamp variances at fixed numbers, which must be small beside an output's own.
        columns: which outputs these are, k entries: 0 is the objective, j the j-th constraint. A constraint
            that has had a single value says nothing of where it holds, and is left out.
        finite: evaluations with a finite objective, ``(n,)``.
        feasible: evaluations that are finite and feasible, ``(n,)``.
    """

    x: Float[Tensor, "n d"]
    outputs: Float[Tensor, "n k"]
    units: Float[Tensor, " k"]
    columns: tuple[int, ...]
    finite: Bool[Tensor, " n"]
    feasible: Bool[Tensor, " n"]

    @property
    def num_evaluations(self) -> int:
        """n, failed evaluations included."""
        return self.x.shape[0]

    @property
    def is_informative(self) -> bool:
        """Whether there is a feasible value to improve on, or feasibility to look for."""
        return bool(self.feasible.any()) or len(self.columns) > 1

    @property
    def best_value(self) -> float | None:
        """The largest feasible objective observed, over its unit; None where nothing feasible is known."""
        return float(self.outputs[self.feasible, 0].max()) if bool(self.feasible.any()) else None

    @property
    def best_points(self) -> Float[Tensor, "b d"]:
        """The few best evaluations, feasible ones if there are any; unit box."""
        usable = self.feasible if bool(self.feasible.any()) else self.finite
        top = self.outputs[usable, 0].topk(min(NUM_BEST, int(usable.sum())))
        return self.x[usable][top.indices]

    @property
    def baseline(self) -> Float[Tensor, "f d"]:
        """Where the objective was observed."""
        return self.x[self.finite]


def model_table(ledger: Ledger, domain: Domain, *, maximize: bool) -> ModelTable | None:
    """The table to fit, or None where there is too little to learn from: fewer than 3 values, or all equal.

    A number that is missing because an evaluation failed becomes the worst one observed of its column. Left
    out, the model would go on promising there; anything worse than what was observed would be a cliff whose
    height is our invention, and the model would bend around it far beyond.
    """
    if len(ledger.evaluations) < FEWEST_VALUES:
        return None
    sign = 1.0 if maximize else -1.0
    worse = [np.min, *[np.max] * len(ledger.evaluations[0].constraints)]
    rows = np.array([[sign * row.y, *row.constraints] for row in ledger.evaluations])
    known = np.isfinite(rows)
    kept = [column for column in range(rows.shape[1]) if _varies(rows[known[:, column], column])]
    if 0 not in kept or known[:, 0].sum() < FEWEST_VALUES:
        return None
    filled = rows[:, kept]
    for position, column in enumerate(kept):
        missing = ~known[:, column]
        filled[missing, position] = worse[column](rows[~missing, column])
    units = np.exp2(np.round(np.log2(_spreads(filled))))
    return ModelTable(
        x=ledger.evaluated_points(domain),
        outputs=torch.from_numpy(filled / units),
        units=torch.from_numpy(units),
        columns=tuple(kept),
        finite=torch.from_numpy(known[:, 0]),
        feasible=torch.tensor([row.status == "ok" for row in ledger.evaluations]),
    )


def _spreads(columns: Float[np.ndarray, "n k"]) -> Float[np.ndarray, " k"]:
    """Standard deviation of each column, also where its square would leave the range of floats."""
    largest = np.abs(columns).max(0)
    return np.asarray(largest * (columns / largest).std(0))


def _varies(values: Float[np.ndarray, " n"]) -> bool:
    """Whether numbers differ by more than rounding."""
    if len(values) < 2:
        return False
    low, high = float(values.min()), float(values.max())
    return bool(high - low > 8 * np.finfo(np.float64).eps * max(abs(low), abs(high)))
