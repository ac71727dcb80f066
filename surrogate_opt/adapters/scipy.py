"""A model as the functions that scipy.optimize asks for."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import torch

from surrogate_opt.types import Differentiable

Vector = npt.NDArray[np.float64]


def value_and_gradient_for_scipy(model: Differentiable) -> Callable[[Vector], tuple[float, Vector]]:
    """The objective for ``scipy.optimize.minimize(..., jac=True)``.

    Args:
        model: the function to minimize.

    Returns:
        A function from x ``(d,)`` to the value, a float, and the gradient ``(d,)``, float64.

    Example:
        ``scipy.optimize.minimize(value_and_gradient_for_scipy(model), x0, jac=True, method="L-BFGS-B")``
    """

    def value_and_gradient(x: Vector) -> tuple[float, Vector]:
        point = torch.from_numpy(np.array(x, dtype=np.float64, ndmin=1))
        value, gradient = model.value_and_gradient(point.unsqueeze(0))
        return float(value[0]), gradient[0].to(torch.float64).numpy().copy()

    return value_and_gradient


def hessian_product_for_scipy(model: Differentiable) -> Callable[[Vector, Vector], Vector]:
    """The ``hessp`` for SciPy's Newton methods: central differences of the gradient along p.

    Args:
        model: the function to minimize.

    Returns:
        A function from x ``(d,)`` and p ``(d,)`` to the Hessian at x times p, ``(d,)``, float64. Its relative
        error is about 1e-9 for gradients exact to rounding and inputs of order one.
    """
    relative_step = float(np.finfo(np.float64).eps ** (1 / 3))

    def hessian_product(x: Vector, p: Vector) -> Vector:
        point = np.array(x, dtype=np.float64, ndmin=1)
        direction = np.array(p, dtype=np.float64, ndmin=1)
        length = float(np.linalg.norm(direction))
        if length == 0:
            return np.zeros_like(direction)
        step = relative_step * max(1.0, float(np.linalg.norm(point))) / length
        pair = torch.from_numpy(np.stack([point + step * direction, point - step * direction]))
        gradient = model.value_and_gradient(pair)[1].to(torch.float64).numpy()
        difference: Vector = (gradient[0] - gradient[1]) / (2 * step)
        return difference

    return hessian_product
