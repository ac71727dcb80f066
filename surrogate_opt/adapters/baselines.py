"""The rivals printed beside a fit: a linear model and a Gaussian process, predicted on the same folds."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from botorch.exceptions.errors import ModelFittingError
from botorch.fit import fit_gpytorch_mll
from botorch.models import SingleTaskGP
from botorch.models.transforms import Normalize, Standardize
from botorch.utils.sampling import manual_seed
from gpytorch.mlls import ExactMarginalLogLikelihood  # type: ignore[import-untyped]  # has no types
from gpytorch.settings import skip_posterior_variances  # type: ignore[import-untyped]  # has no types
from jaxtyping import Bool, Float
from linear_operator.utils.errors import (  # type: ignore[import-untyped]  # has no types
    NanError,
    NotPSDError,
)
from numpy.typing import ArrayLike
from torch import Tensor

from surrogate_opt.data import check_bounds, check_xy
from surrogate_opt.errors import InputError
from surrogate_opt.training.crossvalidation import linear_out_of_fold

_CHUNK_ROWS = 1024


@dataclass(frozen=True, eq=False)
class Baseline:
    """What a rival predicts for rows it was not fitted to.

    Attributes:
        name: the rival's name, for tables.
        predictions: out-of-fold predictions, the mean over repeats, ``(n,)``, raw units; NaN in a fold whose
            fit failed.
        r2: 1 - sum of squared errors / sum of squares about y's mean; NaN where a fit failed.
        rmse: root mean squared error, raw units; NaN where a fit failed.
        seconds: wall time of all fits and predictions.
        note: what a reader has to know of these figures (a subsample, failed fits); empty where nothing.
    """

    name: str
    predictions: Float[Tensor, " n"]
    r2: float
    rmse: float
    seconds: float
    note: str


def out_of_fold_linear(
    x: ArrayLike | Tensor, y: ArrayLike | Tensor, held_out: Bool[Tensor, "members n"]
) -> Baseline:
    """Least squares with an intercept, fitted anew to the training rows of every fold.

    Args:
        x: inputs, ``(n, d)``, raw units.
        y: target, ``(n,)``, raw units.
        held_out: the rows each fold predicts, from ``make_folds``; every row at least once.

    Raises:
        InputError: x, y or held_out cannot be used.
    """
    start = time.perf_counter()
    inputs, target = check_xy(x, y)
    _check_folds(held_out, len(inputs))
    return _scored("linear", linear_out_of_fold(inputs, target, held_out), target, start, "")


def out_of_fold_gp(
    x: ArrayLike | Tensor,
    y: ArrayLike | Tensor,
    held_out: Bool[Tensor, "members n"],
    *,
    bounds: ArrayLike | Tensor,
    max_rows: int = 1000,
    seed: int = 0,
) -> Baseline:
    """BoTorch's SingleTaskGP with its default priors, fitted anew to the training rows of every fold.

    Args:
        x: inputs, ``(n, d)``, raw units.
        y: target, ``(n,)``, raw units.
        held_out: the rows each fold predicts, from ``make_folds``; every row at least once.
        bounds: the box that inputs are normalized by, ``(2, d)``, raw units.
        max_rows: training folds with more rows are thinned to a random subsample of so many, since the cost
            of a fit grows with the cube; the note says so.
        seed: what the subsamples (and restarts of a fit that did not succeed) depend on.

    Raises:
        InputError: x, y, held_out, bounds or max_rows cannot be used.
    """
    start = time.perf_counter()
    inputs, target = check_xy(x, y)
    box = check_bounds(bounds, inputs.shape[1], inputs)
    if max_rows < 2:
        raise InputError(f"max_rows: expected at least 2; came {max_rows}")
    generator = torch.Generator().manual_seed(seed)
    failures = thinned = 0

    def predict(training: Bool[Tensor, " n"], queries: Float[Tensor, "q d"]) -> Float[Tensor, " q"]:
        nonlocal failures, thinned
        rows = training.nonzero()[:, 0]
        if len(rows) > max_rows:
            rows = rows[torch.randperm(len(rows), generator=generator)[:max_rows]]
            thinned += 1
        try:
            return _gp_predictions(inputs[rows], target[rows], queries, box, seed)
        except (ModelFittingError, NanError, NotPSDError):
            failures += 1
            return queries.new_full((len(queries),), torch.nan)

    predictions = _out_of_fold(inputs, held_out, predict)
    notes = []
    if thinned:
        notes.append(f"fitted to {max_rows} rows drawn from each larger training fold")
    if failures:
        notes.append(f"the fit failed in {failures} of {len(held_out)} folds")
    return _scored("Gaussian process", predictions, target, start, "; ".join(notes))


def _gp_predictions(
    x: Float[Tensor, "n d"],
    y: Float[Tensor, " n"],
    queries: Float[Tensor, "q d"],
    bounds: Float[Tensor, "2 d"],
    seed: int,
) -> Float[Tensor, " q"]:
    """Fit one Gaussian process and give its posterior mean at the queries."""
    model = SingleTaskGP(
        x,
        y[:, None],
        input_transform=Normalize(x.shape[1], bounds=bounds),
        outcome_transform=Standardize(1),
    )
    with manual_seed(seed):  # a fit that did not succeed starts again from draws of torch's global generator
        fit_gpytorch_mll(ExactMarginalLogLikelihood(model.likelihood, model))
    with torch.no_grad(), skip_posterior_variances():
        means = [model.posterior(chunk).mean[:, 0] for chunk in torch.split(queries, _CHUNK_ROWS)]
    return torch.cat(means)


def _out_of_fold(
    x: Float[Tensor, "n d"],
    held_out: Bool[Tensor, "members n"],
    predict: Callable[[Bool[Tensor, " n"], Float[Tensor, "q d"]], Float[Tensor, " q"]],
) -> Float[Tensor, " n"]:
    """Fit and predict fold by fold; the mean where a row is held out more than once."""
    _check_folds(held_out, len(x))
    total = torch.zeros(len(x), dtype=torch.float64)
    for members in held_out:
        if bool(members.any()):
            total[members] += predict(~members, x[members])
    return total / held_out.sum(0)


def _check_folds(held_out: Bool[Tensor, "members n"], num_rows: int) -> None:
    if held_out.dtype != torch.bool or held_out.ndim != 2 or held_out.shape[1] != num_rows:
        raise InputError(
            f"held_out: expected booleans of shape (folds, {num_rows}); "
            f"came {held_out.dtype} of shape {tuple(held_out.shape)}"
        )
    times = held_out.sum(0)
    if int(times.min()) == 0:
        raise InputError(f"held_out: expected every row to be held out; row {int(times.argmin())} never is")
    if int((~held_out).sum(1).min()) < 2:
        raise InputError("held_out: expected at least two training rows in every fold; one has fewer")


def _scored(
    name: str, predictions: Float[Tensor, " n"], y: Float[Tensor, " n"], start: float, note: str
) -> Baseline:
    squared_errors = (predictions - y).square()
    return Baseline(
        name=name,
        predictions=predictions,
        r2=1.0 - float(squared_errors.sum() / (y - y.mean()).square().sum()),
        rmse=float(squared_errors.mean().sqrt()),
        seconds=time.perf_counter() - start,
        note=note,
    )
