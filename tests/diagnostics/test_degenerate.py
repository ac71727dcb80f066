"""Degenerate surrogates: least squares against scikit-learn, skill in closed form, the three kinds."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from sklearn.linear_model import LinearRegression  # type: ignore[import-untyped]  # has no types
from sklearn.metrics import r2_score  # type: ignore[import-untyped]  # has no types
from torch import Tensor

from surrogate_opt.data import fit_linear
from surrogate_opt.diagnostics.degenerate import (
    degeneracy,
    nonlinear_skill,
    r_squared,
)
from surrogate_opt.errors import InputError


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


X = normal(200, 3)
BENT = X[:, 0] ** 2 + X @ torch.tensor([1.0, -0.5, 0.2], dtype=torch.float64)
PLANE = fit_linear(X, BENT).predict(X)


@pytest.mark.parametrize("unit", [1.0, 1e-8, 1e9])
def test_least_squares_equals_scikit_learn_in_any_units(unit: float) -> None:
    x = X * torch.tensor([1.0, unit, 1.0], dtype=torch.float64) + 100.0 * unit
    reference = LinearRegression().fit((x - x.mean(0)) / x.std(0), BENT)
    fitted = reference.predict((x - x.mean(0)) / x.std(0))
    # Centring a column of spread 1 about 1e11 costs seven digits.
    assert np.allclose(fit_linear(x, BENT).predict(x), fitted, rtol=1e-4, atol=1e-4)
    assert float(r_squared(BENT, fit_linear(x, BENT).predict(x))) == pytest.approx(
        r2_score(BENT, fitted), rel=1e-4
    )


def test_least_squares_finds_a_plane_exactly_in_both_dtypes() -> None:
    y = X @ torch.tensor([1.0, -2.0, 0.0], dtype=torch.float64) + 7.0
    fit = fit_linear(X, y)
    assert torch.allclose(fit.coefficients, torch.tensor([1.0, -2.0, 0.0], dtype=torch.float64), atol=1e-12)
    assert float(fit.intercept) == pytest.approx(7.0)
    assert float(r_squared(y.float(), fit_linear(X.float(), y.float()).predict(X.float()))) == pytest.approx(
        1.0
    )


def test_least_squares_with_too_few_rows_or_useless_columns() -> None:
    assert torch.allclose(fit_linear(X[:2], BENT[:2]).predict(X[:2]), BENT[:2])
    doubled = torch.cat([X, X[:, :1], torch.ones(200, 1)], dim=-1)
    assert torch.allclose(fit_linear(doubled, BENT).predict(doubled), PLANE)
    single = fit_linear(X[:1], BENT[:1])
    assert float(single.predict(X[1])) == pytest.approx(float(BENT[0]))
    with pytest.raises(InputError, match="x, y: expected shapes"):
        fit_linear(X, BENT[:5])


def test_r_squared_equals_scikit_learn_over_leading_axes() -> None:
    predicted = normal(4, 200, seed=1)
    found = r_squared(BENT, predicted)
    assert found.tolist() == pytest.approx([r2_score(BENT, one) for one in predicted])
    assert float(r_squared(BENT, BENT)) == 1.0
    assert float(r_squared(BENT, BENT.mean().expand(200))) == pytest.approx(0.0)


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0, 2.0])
def test_skill_closed_form(share: float) -> None:
    # A prediction whose error is `share` times the plane's has skill 1 - share^2.
    predicted = BENT + share * (PLANE - BENT)
    assert float(nonlinear_skill(BENT, predicted, PLANE)) == pytest.approx(1.0 - share**2)


def test_skill_against_a_perfect_plane() -> None:
    assert float(nonlinear_skill(BENT, PLANE, BENT)) == -math.inf
    assert math.isnan(float(nonlinear_skill(BENT, BENT, BENT)))


def between(share: float) -> Tensor:
    """From the truth (0) to the plane (1)."""
    return BENT + share * (PLANE - BENT)


NEARLY_FLAT = X[:, 0] + 0.05 * X[:, 1] ** 2


@pytest.mark.parametrize(
    ("y", "predicted", "gain", "kind"),
    [
        (BENT, between(0.0), None, "sound"),
        (BENT, between(0.0), 1.0, "sound"),
        (BENT, between(0.94), 1.0, "sound"),  # skill 0.116
        (BENT, between(0.96), 1.0, "linearized"),  # skill 0.078
        (BENT, PLANE, None, "linearized"),
        (BENT, between(0.0), 0.09, "collapsed"),
        (BENT, between(0.0), 0.1, "sound"),
        (BENT, between(0.0), math.nan, "collapsed"),
        (BENT, torch.zeros(200), None, "collapsed"),
        (BENT, BENT.mean() + 0.04 * (BENT - BENT.mean()), None, "collapsed"),  # R^2 0.078
        (BENT, BENT.mean() + 0.06 * (BENT - BENT.mean()), None, "linearized"),  # R^2 0.116
        (BENT, torch.full((200,), math.nan), None, "collapsed"),
        (BENT, torch.full((200,), math.inf), None, "collapsed"),
        # A plane leaves under 2% of the variance: a surrogate like it is what is wanted.
        (NEARLY_FLAT, fit_linear(X, NEARLY_FLAT).predict(X), 1.0, "sound"),
    ],
)
def test_kinds(y: Tensor, predicted: Tensor, gain: float | None, kind: str) -> None:
    found = degeneracy(y, predicted.double(), fit_linear(X, y).predict(X), gain=gain)
    assert found.kind == kind
    assert found.is_degenerate == (kind != "sound")
    assert found.to_dict()["kind"] == kind


def test_figures_are_those_of_the_functions() -> None:
    found = degeneracy(BENT, between(0.5), PLANE)
    assert found.r2 == pytest.approx(r2_score(BENT, between(0.5)))
    assert found.nonlinear_skill == pytest.approx(0.75)
    assert found.linear_r2 == pytest.approx(r2_score(BENT, PLANE))
    assert found.gain is None


@pytest.mark.parametrize(
    ("y", "predicted", "linear", "name"),
    [
        (BENT, BENT[:3], PLANE, "predicted"),
        (BENT, BENT, PLANE[:3], "linear_predicted"),
        (torch.ones(5), torch.ones(5), torch.ones(5), "y"),
        (torch.tensor([1.0, math.nan]), torch.ones(2), torch.ones(2), "y"),
        (torch.ones(1), torch.ones(1), torch.ones(1), "y"),
    ],
)
def test_bad_input_is_named(y: Tensor, predicted: Tensor, linear: Tensor, name: str) -> None:
    with pytest.raises(InputError, match=f"^{name}: expected"):
        degeneracy(y, predicted, linear)
