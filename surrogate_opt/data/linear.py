"""Planes by least squares: what a surrogate has to beat."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from surrogate_opt.errors import InputError

MIN_R2 = 0.1
"""On rows that were held out; a surrogate below has collapsed."""

MIN_NONLINEAR_SKILL = 0.1
"""Share of a plane's squared error that a surrogate must remove to count as more than a plane."""

MIN_NONLINEAR_SHARE = 0.02
"""Share of the variance that a plane must leave before a surrogate can be blamed for being one."""


@dataclass(frozen=True, kw_only=True)
class LinearFit:
    """A least-squares plane, ``y = intercept + x @ coefficients``.

    Attributes:
        coefficients: ``(d,)``.
        intercept: ``()``.
    """

    coefficients: Float[Tensor, " d"]
    intercept: Float[Tensor, ""]

    def predict(self, x: Float[Tensor, "*batch d"]) -> Float[Tensor, "*batch"]:
        """The plane's values, ``(*batch,)``."""
        return x.double() @ self.coefficients + self.intercept


def fit_linear(x: Float[Tensor, "n d"], y: Float[Tensor, " n"]) -> LinearFit:
    """Ordinary least squares with an intercept; of several solutions, the shortest in standardized inputs.

    Inputs are centred and divided by their standard deviation first, so that units do not matter.

    Args:
        x: ``(n, d)``, n >= 1, any units.
        y: ``(n,)``.

    Raises:
        InputError: shapes that do not fit.
    """
    if x.ndim != 2 or x.shape[0] == 0 or y.shape != x.shape[:1]:
        raise InputError(f"x, y: expected shapes (n, d) and (n,), got {tuple(x.shape)} and {tuple(y.shape)}")
    x, y = x.double(), y.double()
    centre, mean = x.mean(dim=0), y.mean()
    deviation = (x - centre).square().mean(dim=0).sqrt()
    unit = torch.where(deviation > 0, deviation, torch.ones_like(deviation))
    solution = torch.linalg.lstsq((x - centre) / unit, (y - mean).unsqueeze(-1), driver="gelsd").solution
    coefficients = solution.squeeze(-1) / unit
    return LinearFit(coefficients=coefficients, intercept=mean - centre @ coefficients)
