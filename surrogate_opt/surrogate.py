"""Surrogate: an ensemble of compact networks with its scaling, its out-of-fold record and its data.

NumPy in, NumPy out; torch in, torch out. All figures are in raw units unless said otherwise.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float, Int
from numpy.typing import NDArray
from torch import Tensor

from surrogate_opt.data import Scaling, nearest_distance
from surrogate_opt.errors import InputError
from surrogate_opt.networks import StackedMLP
from surrogate_opt.penalties import Strength
from surrogate_opt.penalties.dreg import mean_dreg_penalty
from surrogate_opt.types import GradientSource

Array = TypeVar("Array", Tensor, NDArray[np.float64])

_CHUNK_NUMBERS = 2**22  # rows x queries of an interval at a time: 32 MiB


@dataclass(frozen=True, kw_only=True)
class TrainingRecord:
    """What the fit left behind for audits and intervals.

    Attributes:
        target: every training target, ``(n,)``, raw units.
        out_of_fold: the prediction for each by members that never saw it, ``(n,)``, raw units.
        linear_out_of_fold: the same of least squares on the same folds, ``(n,)``.
        holders: which members never saw each row, ``(repeats, n)``.
        rows: positions of the kept rows, ``(k,)``; all of them up to 5,000, none where data were left out.
        x: inputs of the kept rows, ``(k, d)``, raw units.
    """

    target: Float[Tensor, " n"]
    out_of_fold: Float[Tensor, " n"]
    linear_out_of_fold: Float[Tensor, " n"]
    holders: Int[Tensor, "repeats n"]
    rows: Int[Tensor, " k"]
    x: Float[Tensor, "k d"]

    @property
    def residuals(self) -> Float[Tensor, " n"]:
        """Target minus out-of-fold prediction, raw units."""
        return self.target - self.out_of_fold

    @property
    def r2(self) -> float:
        """Out-of-fold coefficient of determination."""
        return float(1.0 - self.residuals.square().mean() / self.target.var(correction=0))

    @property
    def rmse(self) -> float:
        """Out-of-fold root mean squared error, raw units."""
        return float(self.residuals.square().mean().sqrt())

    @property
    def nonlinear_skill(self) -> float:
        """1 - MSE / MSE of least squares, both out of fold."""
        linear = (self.target - self.linear_out_of_fold).square().mean()
        return float(1.0 - self.residuals.square().mean() / linear)

    def without_inputs(self) -> TrainingRecord:
        """The record with no input row in it."""
        return replace(self, rows=self.rows[:0], x=self.x[:0])


class Surrogate:
    """What ``fit`` returns: the fold members of the chosen strength as one ensemble.

    Attributes:
        stack: the members, float64, in network coordinates.
        scaling: between raw units and network coordinates.
        record: out-of-fold predictions, residuals and data.
        penalty: the method's name.
        strength: what it was trained with.
        level: the method's one number (DREG's lambda, the spectral bound); 0 without one.
        selection: one row a strength tried: error, standard error, gradient tails, accepted, chosen.
        feature_names: the inputs' names.
        target_name: the output's name.
    """

    gradient_source: GradientSource = "analytic"

    def __init__(
        self,
        stack: StackedMLP,
        scaling: Scaling,
        record: TrainingRecord,
        *,
        penalty: str,
        strength: Strength,
        level: float,
        selection: pd.DataFrame,
        feature_names: tuple[str, ...],
        target_name: str,
    ) -> None:
        self.stack = stack
        self.scaling = scaling
        self.record = record
        self.penalty = penalty
        self.strength = strength
        self.level = level
        self.selection = selection
        self.feature_names = feature_names
        self.target_name = target_name

    @property
    def bounds(self) -> Float[Tensor, "2 d"]:
        """The box the surrogate was made for, raw units."""
        return torch.stack([self.scaling.lower, self.scaling.upper])

    @property
    def num_members(self) -> int:
        """Members of the ensemble."""
        return self.stack.num_members

    @property
    def output_scale(self) -> float:
        """Standard deviation of the training target, raw units."""
        return self.scaling.y_std

    def members(self, x: Array) -> Array:
        """Each member's prediction, ``(..., d)`` to ``(members, ...)``."""
        return _like(x, self._members(self._points(x), with_gradient=False)[0])

    def predict(self, x: Array) -> tuple[Array, Array]:
        """Mean and standard deviation over the members, ``(..., d)`` to two of ``(...)``.

        The deviation is the members' disagreement, without the noise of a new measurement; ``interval`` holds
        both, calibrated on out-of-fold residuals.
        """
        values = self._members(self._points(x), with_gradient=False)[0]
        return _like(x, values.mean(0)), _like(x, values.std(0))

    def value(self, x: Array) -> Array:
        """Mean over the members, ``(..., d)`` to ``(...)``."""
        return self.predict(x)[0]

    def value_and_gradient(self, x: Array) -> tuple[Array, Array]:
        """Mean over the members and its gradient, ``(..., d)`` to ``(...)`` and ``(..., d)``."""
        values, gradients = self._members(self._points(x), with_gradient=True)
        return _like(x, values.mean(0)), _like(x, gradients.mean(0))

    def gradient(self, x: Array) -> Array:
        """Gradient of the mean over the members, ``(..., d)`` to ``(..., d)``."""
        return self.value_and_gradient(x)[1]

    def members_value_and_gradient(self, x: Array) -> tuple[Array, Array]:
        """Each member's values and gradients, ``(members, ...)`` and ``(members, ..., d)``."""
        values, gradients = self._members(self._points(x), with_gradient=True)
        return _like(x, values), _like(x, gradients)

    def derivative_proxy(self, x: Array) -> Array:
        """DREG's penalty over the points ``(n, d)``, mean over the members, in network coordinates."""
        return _like(x, torch.as_tensor(self.members_derivative_proxy(x)).mean(0))

    def members_derivative_proxy(self, x: Array) -> Array:
        """DREG's penalty of each member over the points, ``(n, d)`` to ``(members,)``."""
        return _like(x, mean_dreg_penalty(self.stack, self.scaling.unit(self._points(x))[None]))

    def interval(self, x: Array, level: float = 0.9) -> tuple[Array, Array]:
        """CV+ prediction interval for a new measurement, ``(..., d)`` to lower and upper ends ``(...)``.

        For every training row i, take the prediction at x of the members that never saw i, less and plus
        their residual at i; the interval's ends are quantiles of these two sets. Guaranteed to cover with
        probability 2 level - 1 for exchangeable data, in practice about ``level``.

        Raises:
            InputError: a level outside (0, 1).

        Source: Barber, Candes, Ramdas & Tibshirani 2021, Section 3 (CV+).
        """
        if not 0.0 < level < 1.0:
            raise InputError(f"level: expected a number between 0 and 1, got {level}")
        points = self._points(x)
        flat = points.reshape(-1, points.shape[-1])
        residuals = self.record.residuals.abs()[:, None]
        n = len(residuals)
        rank = max(1, math.ceil(level * (n + 1) - 1e-9))  # a whole number lifted by rounding stays what it is
        if rank > n:
            ends = torch.full(points.shape[:-1], math.inf, dtype=torch.float64)
            return _like(x, -ends), _like(x, ends)
        parts = []
        for chunk in torch.split(flat, max(1, _CHUNK_NUMBERS // n)):
            held_out = self._members(chunk, with_gradient=False)[0][self.record.holders].mean(0)
            upper = (held_out + residuals).kthvalue(rank, 0).values
            lower = (held_out - residuals).kthvalue(n + 1 - rank, 0).values
            parts.append(torch.stack([lower, upper]))
        both = torch.cat(parts, 1).view(2, *points.shape[:-1])
        return _like(x, both[0]), _like(x, both[1])

    def distance_to_data(self, x: Array) -> Array:
        """Distance to the nearest kept training row as a share of the box's diagonal; NaN without data."""
        points = self._points(x)
        if not len(self.record.x):
            return _like(x, torch.full(points.shape[:-1], torch.nan, dtype=torch.float64))
        return _like(x, nearest_distance(points, self.record.x, self.bounds))

    def save(self, path: str | Path, *, include_data: bool = True) -> None:
        """Write the surrogate to a safetensors file; a half-written file never takes the name."""
        from surrogate_opt.model_file import save_surrogate

        save_surrogate(self, Path(path), include_data=include_data)

    @classmethod
    def load(cls, path: str | Path) -> Surrogate:
        """Read a surrogate back.

        Raises:
            ModelFileError: the file is missing, truncated or of another kind.
        """
        from surrogate_opt.model_file import load_surrogate

        return load_surrogate(Path(path))

    def __repr__(self) -> str:
        sizes = "-".join(str(size) for size in self.stack.sizes)
        return (
            f"Surrogate({self.target_name} of {len(self.feature_names)} inputs, {self.num_members} x {sizes} "
            f"{self.stack.activation.name}, penalty={self.penalty!r}, level={self.level:.3g})"
        )

    def _points(self, x: Array) -> Float[Tensor, "*batch d"]:
        if isinstance(x, pd.DataFrame):
            x = self._by_name(x)
        # NumPy copies first: torch takes no negative strides and complains about read-only arrays
        array = x.detach() if isinstance(x, Tensor) else np.array(x, dtype=np.float64)
        points = torch.as_tensor(array, dtype=torch.float64)
        dim = len(self.scaling.lower)
        if points.ndim == 0 or points.shape[-1] != dim:
            raise InputError(f"x: expected the shape (..., {dim}), got {tuple(points.shape)}")
        return points.cpu()

    def _by_name(self, table: pd.DataFrame) -> pd.DataFrame:
        """The model's inputs in its order; further columns are left out."""
        missing = [name for name in self.feature_names if name not in table.columns]
        if missing:
            raise InputError(
                f"x: expected the model's inputs as columns; {', '.join(map(repr, missing))} missing"
            )
        return table[list(self.feature_names)]

    @torch.no_grad()
    def _members(self, points: Tensor, *, with_gradient: bool) -> tuple[Tensor, Tensor]:
        """Values and (where asked for) gradients of every member, in raw units."""
        flat = self.scaling.unit(points).reshape(1, -1, points.shape[-1])
        shape = (self.num_members, *points.shape[:-1])
        if not with_gradient:
            values = self.stack.forward(flat)[..., 0]
            return self.scaling.raw_target(values).view(shape), torch.empty(0)
        values, gradients = self.stack.value_and_gradient(flat)
        return (
            self.scaling.raw_target(values).view(shape),
            gradients.mul_(self.scaling.gradient_factor).view(*shape, points.shape[-1]),
        )


def _like(x: Array, answer: Tensor) -> Array:
    """The answer as NumPy where the question came as NumPy."""
    return answer if isinstance(x, Tensor) else answer.numpy()
