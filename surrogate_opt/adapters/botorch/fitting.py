"""One call for who has a BoTorch loop already: from a table to a model in the place of SingleTaskGP."""

from __future__ import annotations

from botorch.models.model import Model
from jaxtyping import Float
from numpy.typing import ArrayLike
from torch import Tensor

from surrogate_opt.adapters.botorch.registry import make_fitter
from surrogate_opt.data import check_bounds, check_xy, data_bounds


def fit_botorch(
    x: ArrayLike | Float[Tensor, "n d"],
    y: ArrayLike | Float[Tensor, " n"],
    *,
    bounds: ArrayLike | Float[Tensor, "2 d"] | None = None,
    model: str = "last_layer",
    penalty: str = "dreg",
    strength: str | float = "auto",
    seed: int = 0,
) -> Model:
    """Fit one of our models to a table, as a BoTorch model in raw units.

    For a model of several outputs, fit each and join them with BoTorch's ``ModelList``.

    Args:
        x: inputs, ``(n, d)``, raw units.
        y: targets, ``(n,)`` or ``(n, 1)``, raw units.
        bounds: the box, ``(2, d)``; that of the data where none is given.
        model: "last_layer" or "deep_kernel", which can be conditioned and fantasize, "ensemble", or "gp".
        penalty: how derivatives are controlled.
        strength: "auto", by held-out rows, or the penalty's one number.
        seed: of folds, initial weights and minibatch order.

    Raises:
        InputError: an argument that cannot be used.
        TrainingError: no usable model came of the table.

    Example:
        >>> model = so.fit_botorch(train_X, train_Y, bounds=bounds)  # was: SingleTaskGP and fit_gpytorch_mll
        >>> acquisition = LogExpectedImprovement(model, best_f=train_Y.max())
    """
    points, targets = check_xy(x, y, min_rows=5, vary=bounds is None)  # a box says where a column could go
    box = check_bounds(data_bounds(points) if bounds is None else bounds, points.shape[1], points)
    fitter = make_fitter(model, penalty=penalty, strength=strength, seed=seed, bounds=box)
    return fitter.fit(points, targets, choose_strength=True)
