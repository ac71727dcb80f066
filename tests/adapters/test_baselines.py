"""The linear and Gaussian process rivals against scikit-learn and functions they can and cannot learn."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from botorch.exceptions.errors import ModelFittingError
from botorch.fit import fit_gpytorch_mll
from gpytorch.mlls import MarginalLogLikelihood  # type: ignore[import-untyped]  # has no types
from sklearn.gaussian_process import GaussianProcessRegressor  # type: ignore[import-untyped]  # has no types
from sklearn.gaussian_process.kernels import RBF, WhiteKernel  # type: ignore[import-untyped]  # has no types
from sklearn.linear_model import LinearRegression  # type: ignore[import-untyped]  # has no types
from sklearn.metrics import r2_score, root_mean_squared_error  # type: ignore[import-untyped]  # has no types
from sklearn.model_selection import cross_val_predict  # type: ignore[import-untyped]  # has no types
from torch import Tensor

from surrogate_opt.adapters import baselines
from surrogate_opt.data import make_folds
from surrogate_opt.errors import InputError

BOUNDS = torch.tensor([[-1.0, 0.0], [1.0, 1e4]], dtype=torch.float64)


def _inputs(n: int, seed: int = 0) -> Tensor:
    unit = torch.rand(n, 2, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return torch.lerp(BOUNDS[0], BOUNDS[1], unit)


def _linear(x: Tensor) -> Tensor:
    return 3.0 - 2.0 * x[:, 0] + 1e-4 * x[:, 1]


def _wavy(x: Tensor) -> Tensor:
    return 100.0 + 5.0 * torch.sin(3.0 * x[:, 0]) * torch.cos(3e-4 * x[:, 1])


def _pairs(held_out: Tensor) -> list[tuple[np.ndarray, np.ndarray]]:
    return [(np.flatnonzero(~row), np.flatnonzero(row)) for row in held_out.numpy()]


def test_linear_finds_a_linear_truth_exactly() -> None:
    x = _inputs(40)
    result = baselines.out_of_fold_linear(x, _linear(x), make_folds(40, 5, seed=0))
    torch.testing.assert_close(result.predictions, _linear(x), rtol=1e-10, atol=1e-10)
    assert result.r2 == pytest.approx(1.0, abs=1e-12)
    assert result.rmse < 1e-10
    assert (result.name, result.note) == ("linear", "")
    assert result.seconds > 0.0


def test_linear_agrees_with_scikit_learn() -> None:
    x = _inputs(53)
    y = _wavy(x)
    held_out = make_folds(53, 5, seed=0)
    expected = cross_val_predict(LinearRegression(), x.numpy(), y.numpy(), cv=_pairs(held_out))
    result = baselines.out_of_fold_linear(x, y, held_out)
    np.testing.assert_allclose(result.predictions.numpy(), expected, rtol=1e-9)
    assert result.r2 == pytest.approx(r2_score(y, expected), abs=1e-9)
    assert result.rmse == pytest.approx(root_mean_squared_error(y, expected), rel=1e-9)


def test_linear_averages_over_repeats() -> None:
    x = _inputs(30)
    y = _wavy(x)
    held_out = make_folds(30, 5, seed=0, repeats=2)
    first, second = (
        baselines.out_of_fold_linear(x, y, half).predictions for half in (held_out[:5], held_out[5:])
    )
    both = baselines.out_of_fold_linear(x, y, held_out).predictions
    torch.testing.assert_close(both, (first + second) / 2)


def test_linear_copes_with_dependent_columns_and_one_constant_in_a_fold() -> None:
    x = _inputs(40)
    held_out = make_folds(40, 5, seed=0)
    flag = held_out[0].double()  # constant in the training rows of the first fold
    wide = torch.cat([x, x.sum(1, keepdim=True), flag[:, None]], dim=1)
    result = baselines.out_of_fold_linear(wide, _linear(x), held_out)
    torch.testing.assert_close(result.predictions, _linear(x), rtol=1e-8, atol=1e-8)


def test_gp_learns_a_smooth_function_and_a_line_does_not() -> None:
    x = _inputs(80)
    y = _wavy(x)
    held_out = make_folds(80, 4, seed=0)
    result = baselines.out_of_fold_gp(x, y, held_out, bounds=BOUNDS)
    assert result.r2 > 0.98
    assert baselines.out_of_fold_linear(x, y, held_out).r2 < 0.5
    assert result.note == ""
    # Another library's process, other priors: both are close to the truth, so close to each other.
    kernel = RBF([0.3, 0.3]) + WhiteKernel(1e-4, noise_level_bounds="fixed")
    unit = ((x - BOUNDS[0]) / (BOUNDS[1] - BOUNDS[0])).numpy()
    expected = cross_val_predict(
        GaussianProcessRegressor(kernel, normalize_y=True), unit, y.numpy(), cv=_pairs(held_out)
    )
    assert root_mean_squared_error(expected, result.predictions.numpy()) < 0.1 * float(y.std())


def test_gp_predicts_in_raw_units_and_from_training_rows_alone() -> None:
    x = _inputs(40)
    y = _wavy(x)
    held_out = make_folds(40, 2, seed=0)
    result = baselines.out_of_fold_gp(x, y, held_out, bounds=BOUNDS)
    changed = y.clone()
    changed[held_out[0]] += 1e3
    moved = baselines.out_of_fold_gp(x, changed, held_out, bounds=BOUNDS)
    torch.testing.assert_close(moved.predictions[held_out[0]], result.predictions[held_out[0]])


def test_gp_thins_large_folds_by_the_seed_and_says_so() -> None:
    x = _inputs(60)
    y = _wavy(x)
    held_out = make_folds(60, 2, seed=0)
    full, thin, same, other = (
        baselines.out_of_fold_gp(x, y, held_out, bounds=BOUNDS, max_rows=rows, seed=seed)
        for rows, seed in [(30, 0), (12, 0), (12, 0), (12, 1)]
    )
    assert full.note == ""
    assert "12 rows" in thin.note
    assert thin.rmse > full.rmse
    assert torch.equal(thin.predictions, same.predictions)
    assert not torch.equal(thin.predictions, other.predictions)


def test_gp_leaves_torchs_global_generator_alone() -> None:
    x = _inputs(20)
    before = torch.get_rng_state()
    baselines.out_of_fold_gp(x, _wavy(x), make_folds(20, 2, seed=0), bounds=BOUNDS)
    assert torch.equal(before, torch.get_rng_state())


def test_gp_reports_a_failed_fit_and_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = iter(range(3))

    def fails_once(mll: MarginalLogLikelihood) -> MarginalLogLikelihood:
        if next(calls) == 1:
            raise ModelFittingError("no optimum")
        return fit_gpytorch_mll(mll)

    monkeypatch.setattr(baselines, "fit_gpytorch_mll", fails_once)
    x = _inputs(30)
    held_out = make_folds(30, 3, seed=0)
    result = baselines.out_of_fold_gp(x, _wavy(x), held_out, bounds=BOUNDS)
    assert torch.equal(torch.isnan(result.predictions), held_out[1])
    assert np.isnan([result.r2, result.rmse]).all()
    assert result.note == "the fit failed in 1 of 3 folds"


_GOOD = make_folds(20, 4, seed=0)


@pytest.mark.parametrize(
    ("held_out", "expected"),
    [
        (_GOOD.double(), "booleans"),
        (_GOOD[0], "booleans"),
        (_GOOD[:, :-1], r"\(folds, 20\)"),
        (_GOOD[:-1], "never is"),
        (torch.ones_like(_GOOD), "two training rows"),
    ],
)
def test_folds_that_do_not_fit_are_refused(held_out: Tensor, expected: str) -> None:
    x = _inputs(20)
    with pytest.raises(InputError, match=expected):
        baselines.out_of_fold_linear(x, _wavy(x), held_out)


def test_gp_refuses_bounds_and_rows_that_do_not_fit() -> None:
    x = _inputs(20)
    with pytest.raises(InputError, match="bounds"):
        baselines.out_of_fold_gp(x, _wavy(x), _GOOD, bounds=BOUNDS / 2)
    with pytest.raises(InputError, match="max_rows"):
        baselines.out_of_fold_gp(x, _wavy(x), _GOOD, bounds=BOUNDS, max_rows=1)
