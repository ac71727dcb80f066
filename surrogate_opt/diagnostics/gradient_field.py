"""Gradient field: how a model's gradients compare with the truth's, point by point.

Notation: truth f with gradient g, model fhat with gradient ghat, both in normalized units.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from surrogate_opt.adapters.differentiable import as_differentiable
from surrogate_opt.diagnostics.evaluate import (
    NUM_POINTS,
    evaluate_values_and_gradients,
    find_bounds,
    normalize_gradient,
    sobol_points,
)
from surrogate_opt.errors import InputError
from surrogate_opt.types import Differentiable, GradientSource

FLAT_SHARE = 1e-3
"""Points where ||g|| is at most this share of its mean have no direction to get wrong."""

SPIKE_FACTOR = 1.25
"""A model's gradient is a spike above this multiple of the truth's 99th percentile."""


@dataclass(frozen=True, kw_only=True)
class GradientField:
    """A model's gradient field against the truth's. Every figure is a ratio, so the output scale cancels.

    Attributes:
        gradient_error: mean ||ghat - g|| / mean ||g||.
        gradient_error_p99: 99th percentile of ||ghat - g||, over mean ||g||.
        cosine: mean of ghat.g / (||ghat|| ||g||), 0 at points where either is zero.
        wrong_way_rate: share of points with ghat.g <= 0, among those where ||g|| > 1e-3 mean ||g||.
        spike_excess: share of points with ||ghat|| > 1.25 x the 99th percentile of ||g||.
        gain: mean ||ghat|| / mean ||g||.
        num_points: how many points.
        gradient_source: where the truth's gradients come from; None where not told.
        model_gradient_source: where the model's gradients come from; None where not told.

    A truth that is flat everywhere leaves the ratios inf (NaN for a flat model) and wrong_way_rate NaN.
    """

    gradient_error: float
    gradient_error_p99: float
    cosine: float
    wrong_way_rate: float
    spike_excess: float
    gain: float
    num_points: int
    gradient_source: GradientSource | None
    model_gradient_source: GradientSource | None

    def to_dict(self) -> dict[str, Any]:
        """The figures by name."""
        return dataclasses.asdict(self)


def cosines(predicted: Float[Tensor, "*batch d"], true: Float[Tensor, "*batch d"]) -> Float[Tensor, "*batch"]:
    """Cosine of the angle between gradients, 0 where either is zero.

    Args:
        predicted: ``(*batch, d)``.
        true: broadcasts to it.

    Returns:
        ``(*batch,)`` in [-1, 1].
    """
    product = torch.linalg.vector_norm(predicted, dim=-1) * torch.linalg.vector_norm(true, dim=-1)
    nonzero = product > 0
    cosine = (predicted * true).sum(dim=-1) / torch.where(nonzero, product, torch.ones_like(product))
    return torch.where(nonzero, cosine.clamp(-1.0, 1.0), torch.zeros_like(cosine))


def compare_gradients(
    predicted: Float[Tensor, "n d"],
    true: Float[Tensor, "n d"],
    *,
    gradient_source: GradientSource | None = None,
    model_gradient_source: GradientSource | None = None,
) -> GradientField:
    """The gradient-field figures of one model.

    Args:
        predicted: ghat, normalized units, ``(n, d)``, n >= 1.
        true: g, normalized units, ``(n, d)``.
        gradient_source: where the truth's gradients come from, to be recorded.
        model_gradient_source: where the model's come from, to be recorded.

    Raises:
        InputError: shapes that differ or are not ``(n, d)``.
    """
    if true.ndim != 2 or true.shape[0] == 0:
        raise InputError(f"true: expected shape (n, d) with n >= 1, got {tuple(true.shape)}")
    if predicted.shape != true.shape:
        raise InputError(f"predicted: expected shape {tuple(true.shape)}, got {tuple(predicted.shape)}")
    predicted, true = predicted.double(), true.double()
    error = torch.linalg.vector_norm(predicted - true, dim=-1).cpu().numpy()
    predicted_norm = torch.linalg.vector_norm(predicted, dim=-1).cpu().numpy()
    true_norm = torch.linalg.vector_norm(true, dim=-1).cpu().numpy()
    inner = (predicted * true).sum(dim=-1).cpu().numpy()
    mean_norm = true_norm.mean()
    steep = true_norm > FLAT_SHARE * mean_norm
    with np.errstate(divide="ignore", invalid="ignore"):  # a flat truth: inf or NaN, as documented
        gradient_error = error.mean() / mean_norm
        gradient_error_p99 = np.quantile(error, 0.99) / mean_norm
        gain = predicted_norm.mean() / mean_norm
    finite = bool(predicted.isfinite().all())  # a share of points with NaN among them would look usable
    spike = SPIKE_FACTOR * np.quantile(true_norm, 0.99)
    return GradientField(
        gradient_error=float(gradient_error),
        gradient_error_p99=float(gradient_error_p99),
        cosine=float(cosines(predicted, true).mean()) if finite else float("nan"),
        wrong_way_rate=float((inner[steep] <= 0).mean()) if finite and steep.any() else float("nan"),
        spike_excess=float((predicted_norm > spike).mean()) if finite else float("nan"),
        gain=float(gain),
        num_points=true.shape[0],
        gradient_source=gradient_source,
        model_gradient_source=model_gradient_source,
    )


def gradient_field(
    model: Any,
    truth: Any,
    *,
    bounds: Float[Tensor, "2 d"] | Float[np.ndarray, "2 d"] | None = None,
    num_points: int = NUM_POINTS,
    seed: int = 0,
) -> GradientField:
    """A model's gradient field against the truth's, over Sobol points in the box.

    Args:
        model: the surrogate: anything that ``adapters.as_differentiable`` takes.
        truth: what it stands in for, likewise. Without torch gradients it gets central differences, and
            ``gradient_source`` says so.
        bounds: ``(2, d)``, raw units; default the truth's, else the model's.
        num_points: how many scrambled Sobol points.
        seed: of the scramble.

    Raises:
        InputError: no bounds, or bounds that make no sense.
    """
    box = find_bounds(bounds, truth, model)
    points = sobol_points(box, num_points, seed)
    followed, leading = as_differentiable(model, bounds=box), as_differentiable(truth, bounds=box)
    return _compare_at(followed, leading, points, box)[0]


def gradient_field_each(
    model: Differentiable,
    truth: Differentiable,
    num_surrogates: int,
    *,
    bounds: Float[Tensor, "2 d"] | None = None,
    num_points: int = NUM_POINTS,
    seed: int = 0,
) -> list[GradientField]:
    """``gradient_field`` of every surrogate in a model that holds C of them, against one truth.

    Args:
        model: of C surrogates: x of shape ``(C, n, d)`` gives gradients ``(C, n, d)``.
        truth: what all of them stand in for; evaluated once.
        num_surrogates: C.
        bounds: as for ``gradient_field``.
        num_points: how many scrambled Sobol points, the same for all.
        seed: of the scramble.
    """
    box = find_bounds(bounds, truth, model)
    points = sobol_points(box, num_points, seed)
    return _compare_at(model, truth, points.expand(num_surrogates, *points.shape), box)


def _compare_at(
    model: Differentiable,
    truth: Differentiable,
    points: Float[Tensor, "*stack n d"],
    box: Float[Tensor, "2 d"],
) -> list[GradientField]:
    """A report for each surrogate of the model, one without a stack axis; all have the same points."""
    dim = points.shape[-1]
    shared = points.reshape(-1, *points.shape[-2:])[0]
    true = normalize_gradient(evaluate_values_and_gradients(truth, shared)[1], box, 1.0)
    predicted = normalize_gradient(evaluate_values_and_gradients(model, points)[1], box, 1.0)
    return [
        compare_gradients(
            one,
            true,
            gradient_source=truth.gradient_source,
            model_gradient_source=model.gradient_source,
        )
        for one in predicted.reshape(-1, shared.shape[0], dim)
    ]
