"""Where the ascents of an acquisition begin: spread over the box, and close to the best evaluations."""

from __future__ import annotations

import torch
from botorch.acquisition.acquisition import AcquisitionFunction
from botorch.optim.initializers import initialize_q_batch
from jaxtyping import Float
from torch import Tensor

from surrogate_opt.loops.bayesian.domain import Domain

SPREADS = (0.1, 0.01)
"""Standard deviations of the points around the best evaluations, in the unit box."""

_CHUNK = 2048  # points in one call, so that a posterior over them fits into memory


def spread_points(
    domain: Domain, best: Float[Tensor, "b d"], num_points: int, seed: int
) -> tuple[Float[Tensor, "n d"], Float[Tensor, "m d"]]:
    """Sobol points of the domain, and perturbed copies of the best evaluations.

    Args:
        domain: where the points lie.
        best: the best evaluations, unit box; may be empty, and then so are the copies.
        num_points: of each kind; the copies are rounded down to whole rounds.
        seed: of all draws.
    """
    generator = torch.Generator().manual_seed(seed)
    rounds = num_points // (len(SPREADS) * max(len(best), 1))
    noise = torch.randn(len(SPREADS), rounds, *best.shape, dtype=torch.float64, generator=generator)
    spreads = torch.tensor(SPREADS, dtype=torch.float64)[:, None, None, None]
    near = (best + spreads * noise).reshape(-1, domain.dim)
    return domain.sobol(num_points, seed=seed), domain.snap(near)


def choose_starts(
    points: Float[Tensor, "n d"],
    values: Float[Tensor, " n"],
    near: Float[Tensor, "m d"],
    near_values: Float[Tensor, " m"],
    num_starts: int,
) -> Float[Tensor, "s d"]:
    """Half of the starts from points all over the box, half from those near the best evaluations.

    The first half is drawn with a probability that grows exponentially with the standardized value
    (Balandat et al. 2020, BoTorch's heuristic), which keeps it diverse; the second half are the highest.
    Draws come from torch's generator: call it under ``manual_seed``.
    """
    points, values = points[values.isfinite()], values[values.isfinite()]
    near, near_values = near[near_values.isfinite()], near_values[near_values.isfinite()]
    num_near = min(num_starts // 2, len(near))
    num_far = min(num_starts - num_near, len(points))
    if num_far and bool(values.std() > 0):
        far = initialize_q_batch(points[:, None], values, num_far)[0][:, 0]
    else:
        far = points[:num_far]
    return torch.cat([far, near[near_values.topk(num_near).indices]])


def acquisition_values(acquisition: AcquisitionFunction, points: Float[Tensor, "n d"]) -> Float[Tensor, " n"]:
    """The acquisition at each point by itself, without gradients."""
    if len(points) == 0:
        return torch.empty(0, dtype=torch.float64)
    with torch.no_grad():
        return torch.cat([acquisition(chunk[:, None]) for chunk in torch.split(points, _CHUNK)])
