"""Where a sum of K sines is lowest in [-1, 1]^a: its bound -K where the box allows, else a fine grid."""

from __future__ import annotations

import itertools
import math

import numpy as np
import torch
from jaxtyping import Float
from scipy.optimize import linprog
from torch import Tensor
from torch.nn import functional

_MOST_PROGRAMS = 64  # linear programs tried, a few milliseconds each
_PHASES_PER_SINE = 3
_GRID_SIZE = {1: 20001, 2: 801, 3: 101}
_LARGEST_PHASE_PER_CELL = 0.5


def point_at_bound(frequencies: Float[Tensor, "k a"]) -> Float[Tensor, " a"] | None:
    """Find x in the box with sin(w_k.x) = -1 for all k, so that the sum takes its lower bound -K.

    Each w_k.x must be -pi/2 up to a multiple of 2 pi. For every choice among the nearest such phases that the
    box can reach, the least-norm solution is tried first, then the solution of smallest largest entry (a
    linear program), the choices with the smallest least-norm entries first.

    Args:
        frequencies: rows w_k, float64.

    Returns:
        A point ``(a,)``, or None where none was found.
    """
    num_sines, num_inputs = frequencies.shape
    if num_sines > num_inputs:
        return None
    reach = frequencies.abs().sum(1)  # the largest |w_k.x| in the box
    multiples = range(-(_PHASES_PER_SINE // 2), _PHASES_PER_SINE // 2 + 1)
    phases = [-math.pi / 2 + 2 * math.pi * m for m in multiples]
    options = [[p for p in phases if abs(p) <= float(r)] for r in reach]
    if not all(options):
        return None
    targets = torch.tensor(list(itertools.product(*options)), dtype=torch.float64)
    inverse = torch.linalg.pinv(frequencies)
    points = targets @ inverse.T
    size = points.abs().amax(1)
    order = size.argsort()
    nearest: Tensor = points[order[0]]
    if float(nearest.abs().max()) <= 1.0:
        return nearest
    for target in targets[order[:_MOST_PROGRAMS]]:
        x = _smallest_solution(frequencies, target)
        x += inverse @ (target - frequencies @ x)  # the program's equalities hold to its tolerance only
        if float(x.abs().max()) <= 1.0:
            return x
    return None


def grid_minima(frequencies: Float[Tensor, "k a"]) -> Float[Tensor, "m a"] | None:
    """List the grid points from which a polish can reach the minimum of the sum over the box.

    The Hessian's norm is at most the sum of ||w_k||^2, call it H. With spacing h, the grid point next to the
    minimizer exceeds the minimum by at most H a h^2 / 8 (coordinates on a face stay on it, where the grid has
    points). Returned are the local minima of the grid within that of the lowest.

    Args:
        frequencies: rows w_k on the inputs that matter, float64.

    Returns:
        Starts ``(m, a)``, or None where there are more than 3 inputs or the sines are too fast for the grid.
    """
    num_inputs = frequencies.shape[1]
    if num_inputs not in _GRID_SIZE:
        return None
    axis = torch.linspace(-1.0, 1.0, _GRID_SIZE[num_inputs], dtype=torch.float64)
    spacing = float(axis[1] - axis[0])
    if float(frequencies.norm(dim=1).max()) * spacing > _LARGEST_PHASE_PER_CELL:
        return None
    grid = torch.cartesian_prod(*[axis] * num_inputs).reshape(-1, num_inputs)
    values = torch.sin(grid @ frequencies.T).sum(-1)
    pools = {1: functional.max_pool1d, 2: functional.max_pool2d, 3: functional.max_pool3d}
    field = -values.reshape(1, 1, *[len(axis)] * num_inputs)
    lowest_nearby = -pools[num_inputs](field, kernel_size=3, stride=1, padding=1).flatten()
    slack = float(frequencies.square().sum()) * num_inputs * spacing**2 / 8
    return grid[(values == lowest_nearby) & (values <= values.min() + slack)]


def _smallest_solution(frequencies: Tensor, target: Tensor) -> Tensor:
    """The solution of W x = target with the smallest largest entry: min t s.t. -t <= x_i <= t."""
    num_sines, num_inputs = frequencies.shape
    identity, ones = np.eye(num_inputs), np.ones((num_inputs, 1))
    result = linprog(
        c=np.append(np.zeros(num_inputs), 1.0),
        A_ub=np.block([[identity, -ones], [-identity, -ones]]),
        b_ub=np.zeros(2 * num_inputs),
        A_eq=np.hstack([frequencies.numpy(), np.zeros((num_sines, 1))]),
        b_eq=target.numpy(),
        bounds=[(None, None)] * num_inputs + [(0.0, None)],
    )
    if result.x is None:
        return torch.full((num_inputs,), math.inf, dtype=torch.float64)
    return torch.from_numpy(np.asarray(result.x)[:num_inputs])
