"""Sensitivity: how steep a model is, how heavy its gradients' tail is, how linear it is nearby.

No truth is needed. All figures are in normalized units (unit box, ``scale``). Notation: model fhat, gradient
ghat, points x.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from surrogate_opt.adapters.differentiable import as_differentiable
from surrogate_opt.diagnostics.evaluate import (
    NUM_POINTS,
    SCALE_SEED,
    chunks,
    evaluate_values,
    find_bounds,
    normalize_gradient,
    sobol_points,
)
from surrogate_opt.errors import InputError
from surrogate_opt.types import (
    Differentiable,
    DifferentiableEnsemble,
    HasDerivativeProxy,
    HasMemberDerivativeProxies,
    HasMembers,
)

LINEARITY_STEP = 0.01
"""e of the linearity error: the length of the step, in unit-box coordinates."""


@dataclass(frozen=True, kw_only=True)
class MemberSpread:
    """Standard deviation (divisor m - 1) across the m members of each figure of ``Sensitivity``."""

    mean: float
    p90: float
    p95: float
    p99: float
    max: float
    tail_ratio: float
    linearity_error: float
    derivative_proxy: float | None


@dataclass(frozen=True, kw_only=True)
class Sensitivity:
    """Figures of the gradients' norms over a set of points, normalized units.

    Attributes:
        mean: mean of ||ghat||.
        p90: 90th percentile of ||ghat|| (linear interpolation), as are p95 and p99.
        p95: 95th percentile.
        p99: 99th percentile.
        max: largest ||ghat||.
        tail_ratio: p99 / mean; NaN where the gradient is zero everywhere.
        linearity_error: mean |fhat(x + e v) - fhat(x) - e v.ghat(x)|, e = 0.01, v a random unit vector; NaN
            where not measured.
        derivative_proxy: the DREG penalty, in the network's coordinates; None where the model states none.
        member_spread: spread of each figure across members; None with fewer than two.
    """

    mean: float
    p90: float
    p95: float
    p99: float
    max: float
    tail_ratio: float
    linearity_error: float
    derivative_proxy: float | None
    member_spread: MemberSpread | None

    def to_dict(self) -> dict[str, Any]:
        """The figures by name; the members' spread is a dict of its own."""
        return dataclasses.asdict(self)


def spread_of(members: Sequence[Sensitivity]) -> MemberSpread | None:
    """Standard deviation across members of each figure; None with fewer than two members."""
    if len(members) < 2:
        return None

    def spread(name: str) -> float:
        return float(np.std([getattr(member, name) for member in members], ddof=1))

    names = ("mean", "p90", "p95", "p99", "max", "tail_ratio", "linearity_error")
    stated = all(member.derivative_proxy is not None for member in members)
    return MemberSpread(
        **{name: spread(name) for name in names},
        derivative_proxy=spread("derivative_proxy") if stated else None,
    )


def _of_norms(
    norms: Float[Tensor, " n"],
    linearity_error: float,
    derivative_proxy: float | None,
    members: Sequence[Sensitivity],
) -> Sensitivity:
    array = norms.detach().cpu().numpy()
    mean = float(array.mean())
    p90, p95, p99 = (float(level) for level in np.quantile(array, (0.90, 0.95, 0.99)))
    return Sensitivity(
        mean=mean,
        p90=p90,
        p95=p95,
        p99=p99,
        max=float(array.max()),
        tail_ratio=p99 / mean if mean != 0.0 else float("nan"),
        linearity_error=linearity_error,
        derivative_proxy=derivative_proxy,
        member_spread=spread_of(members),
    )


def sensitivity_of(
    gradients: Float[Tensor, "n d"],
    *,
    linearity_error: float = float("nan"),
    derivative_proxy: float | None = None,
    members: Sequence[Sensitivity] = (),
) -> Sensitivity:
    """Sensitivity from gradients already at hand.

    For a classifier these are the gradients of the per-sample cross-entropy with respect to the input.

    Args:
        gradients: normalized units, ``(n, d)``, n >= 1.
        linearity_error: as defined in ``Sensitivity``, if measured.
        derivative_proxy: the DREG penalty, if known.
        members: each member's own report, for the spread.

    Raises:
        InputError: gradients of another shape, or none.
    """
    if gradients.ndim != 2 or gradients.shape[0] == 0:
        raise InputError(f"gradients: expected shape (n, d) with n >= 1, got {tuple(gradients.shape)}")
    return _of_norms(
        torch.linalg.vector_norm(gradients.double(), dim=-1), linearity_error, derivative_proxy, members
    )


def unit_directions(num_points: int, dim: int, seed: int) -> Float[Tensor, "n d"]:
    """Random unit vectors, uniform on the sphere, float64."""
    generator = torch.Generator().manual_seed(seed)
    directions = torch.randn(num_points, dim, dtype=torch.float64, generator=generator)
    return torch.nn.functional.normalize(directions, dim=-1)


def sensitivity(
    model: Any,
    x: Float[Tensor, "n d"] | Float[np.ndarray, "n d"],
    *,
    bounds: Float[Tensor, "2 d"] | Float[np.ndarray, "2 d"] | None = None,
    scale: float | None = None,
    seed: int = 0,
) -> Sensitivity:
    """Sensitivity of a model at given points. No truth is needed.

    Args:
        model: anything that ``adapters.as_differentiable`` takes. A ``DifferentiableEnsemble`` also yields
            the spread across its members, a model with ``derivative_proxy`` that figure too.
        x: points, raw units, ``(n, d)``. The linearity error also evaluates the model 0.01 box widths away,
            which may be slightly outside the box.
        bounds: ``(2, d)``, raw units; default the model's own, else the range of x.
        scale: the truth's standard deviation; default the model's own over the fixed Sobol set in the box,
            in which unit a model that is too flat looks no flatter.
        seed: of the random directions.

    Raises:
        InputError: x or bounds of another shape, or a scale that is not positive.
    """
    points = torch.as_tensor(x, dtype=torch.float64)
    if points.ndim != 2:
        raise InputError(f"x: expected shape (n, d), got {tuple(points.shape)}")
    box = _box(model, points, bounds)
    return _measure(as_differentiable(model, bounds=box), points, box, scale, seed).report(())


def sensitivity_each(
    model: Differentiable,
    x: Float[Tensor, "stack n d"],
    *,
    bounds: Float[Tensor, "2 d"] | None = None,
    scale: float | Float[Tensor, " stack"] | None = None,
    seed: int = 0,
) -> list[Sensitivity]:
    """``sensitivity`` of every surrogate in a model that holds C of them.

    All are moved along the same random directions, so that the reports are paired.

    Args:
        model: of C surrogates: x of shape ``(C, n, d)`` gives values ``(C, n)``.
        x: points of each, raw units, ``(C, n, d)``; ``points.expand(C, n, d)`` where they are shared.
        bounds: as for ``sensitivity``.
        scale: one for all or ``(C,)``.
        seed: of the random directions.
    """
    if x.ndim != 3:
        raise InputError(f"x: expected shape (stack, n, d), got {tuple(x.shape)}")
    measured = _measure(model, x.double(), _box(model, x.double(), bounds), scale, seed)
    return [measured.report((index,)) for index in range(x.shape[0])]


@dataclass(frozen=True, kw_only=True)
class _Measured:
    """What one pass over the points leaves. Rows: the model itself, then its members, if any."""

    norms: Float[Tensor, "rows *stack n"]
    linearity_error: Float[Tensor, " rows *stack"]
    derivative_proxy: Float[Tensor, " proxy_rows *stack"] | None

    def report(self, index: tuple[int, ...]) -> Sensitivity:
        """The report of one surrogate of the stack; ``()`` where there is no stack axis."""
        members = [self._row(row, index, ()) for row in range(1, self.norms.shape[0])]
        return self._row(0, index, members)

    def _row(self, row: int, index: tuple[int, ...], members: Sequence[Sensitivity]) -> Sensitivity:
        at = (row, *index)
        proxy = self.derivative_proxy
        stated = proxy is not None and row < proxy.shape[0]
        return _of_norms(
            self.norms[at],
            float(self.linearity_error[at]),
            float(proxy[at]) if proxy is not None and stated else None,
            members,
        )


def _measure(
    model: Differentiable,
    x: Float[Tensor, "*stack n d"],
    box: Float[Tensor, "2 d"],
    scale: float | Float[Tensor, "*stack"] | None,
    seed: int,
) -> _Measured:
    """One pass over the points that keeps norms alone, so that many points take little memory."""
    num_points, dim = x.shape[-2:]
    unit = _own_scale(model, x, box) if scale is None else torch.as_tensor(scale, dtype=torch.float64)
    if not bool((unit > 0).all()):
        raise InputError(f"scale: expected a positive number, got {scale}")
    unit = unit.unsqueeze(-1)
    moves = LINEARITY_STEP * (box[1] - box[0]) * unit_directions(num_points, dim, seed)
    norms: list[Tensor] = []
    linearity: list[Tensor] = []
    proxies: list[Tensor] = []
    for part in chunks(x):
        points, move = x[..., part, :], moves[part]
        values, gradients = _values_and_gradients(model, points)
        remainder = _values(model, points + move) - values - (gradients * move).sum(dim=-1)
        norms.append(torch.linalg.vector_norm(normalize_gradient(gradients, box, unit), dim=-1))
        linearity.append((remainder / unit).abs().sum(dim=-1) / num_points)
        if isinstance(model, HasDerivativeProxy):
            proxies.append(_proxies(model, points) * (points.shape[-2] / num_points))
    return _Measured(
        norms=torch.cat(norms, dim=-1),
        linearity_error=torch.stack(linearity).sum(dim=0),
        derivative_proxy=torch.stack(proxies).sum(dim=0) if proxies else None,
    )


def _box(model: object, x: Float[Tensor, "*stack n d"], bounds: Any) -> Float[Tensor, "2 d"]:
    if x.numel() == 0:
        raise InputError(f"x: expected at least one point, got shape {tuple(x.shape)}")
    points = x.reshape(-1, x.shape[-1])
    if bounds is None and getattr(model, "bounds", None) is None:
        bounds = torch.stack([points.amin(dim=0), points.amax(dim=0)])
    return find_bounds(bounds, model, dim=points.shape[-1])


def _own_scale(
    model: Differentiable, x: Float[Tensor, "*stack n d"], box: Float[Tensor, "2 d"]
) -> Float[Tensor, "*stack"]:
    """The model's own standard deviation; 1 for a constant, whose figures are zero in any unit."""
    points = sobol_points(box, NUM_POINTS, SCALE_SEED).expand(*x.shape[:-2], NUM_POINTS, x.shape[-1])
    deviation = evaluate_values(model, points).std(dim=-1, correction=0)
    return torch.where(deviation > 0, deviation, torch.ones_like(deviation))


def _with_mean(members: Float[Tensor, " members *rest"]) -> Float[Tensor, " rows *rest"]:
    return torch.cat([members.mean(dim=0, keepdim=True), members])


def _values_and_gradients(
    model: Differentiable, x: Float[Tensor, "*stack n d"]
) -> tuple[Float[Tensor, "rows *stack n"], Float[Tensor, "rows *stack n d"]]:
    if isinstance(model, DifferentiableEnsemble):
        values, gradients = model.members_value_and_gradient(x)
        return _with_mean(values.double()), _with_mean(gradients.double())
    value, gradient = model.value_and_gradient(x)
    return value.double().unsqueeze(0), gradient.double().unsqueeze(0)


def _values(model: Differentiable, x: Float[Tensor, "*stack n d"]) -> Float[Tensor, "rows *stack n"]:
    if isinstance(model, HasMembers):
        return _with_mean(model.members(x).double())
    if isinstance(model, DifferentiableEnsemble):
        return _with_mean(model.members_value_and_gradient(x)[0].double())
    return model.value(x).double().unsqueeze(0)


def _proxies(
    model: HasDerivativeProxy, x: Float[Tensor, "*stack n d"]
) -> Float[Tensor, " proxy_rows *stack"]:
    if isinstance(model, HasMemberDerivativeProxies):
        return _with_mean(model.members_derivative_proxy(x).double())
    return torch.as_tensor(model.derivative_proxy(x), dtype=torch.float64).unsqueeze(0)
