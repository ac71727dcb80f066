"""Checks of arrays and bounds: what passes, what is refused and what the line says."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest
import torch

from surrogate_opt import data
from surrogate_opt.errors import InputError


@pytest.mark.parametrize(
    ("kind", "dtype"),
    [
        *itertools.product(["numpy", "torch", "list", "frame"], ["float32", "float64", "int64"]),
        ("numpy", "object"),
        ("frame", "object"),
    ],
)
@pytest.mark.parametrize("column", [False, True])
def test_check_xy_takes_what_people_hold_and_copies_it(kind: str, dtype: str, column: bool) -> None:
    x: np.ndarray = np.arange(24).reshape(12, 2).astype(dtype)
    y: np.ndarray = np.arange(12).astype(dtype)
    y = y[:, None] if column else y
    given_x: object = x
    given_y: object = y
    if kind == "torch":
        given_x, given_y = torch.from_numpy(x), torch.from_numpy(y)
    elif kind == "list":
        given_x, given_y = x.tolist(), y.tolist()
    elif kind == "frame":
        given_x, given_y = pd.DataFrame(x), pd.DataFrame(y)
    inputs, target = data.check_xy(given_x, given_y)  # type: ignore[arg-type]  # frames are not ArrayLike
    x[:] = 0
    assert inputs.dtype == target.dtype == torch.float64
    assert inputs.tolist() == [[2.0 * i, 2.0 * i + 1] for i in range(12)]
    assert target.tolist() == list(range(12))


def _x(row: int = 0, column: int = 0, value: float | None = None) -> np.ndarray:
    x = np.arange(36.0).reshape(12, 3)
    if value is not None:
        x[row, column] = value
    return x


_Y = np.arange(12.0)


@pytest.mark.parametrize(
    ("x", "y", "expected"),
    [
        (_Y, _Y, r"x: .*\(rows, columns\); came \(12,\)"),
        (np.empty((12, 0)), _Y, "x: "),
        (_x(), _x(), r"y: .*came \(12, 3\)"),
        (_x(), _Y[:-1], "y: .*12; came 11"),
        (_x()[:9], _Y[:9], "at least 10 rows.*came 9"),
        (_x(5, 1, np.nan), _Y, r"x\[:, 1\].*1 of 12.*nan at index 5"),
        (_x(5, 2, -np.inf), _Y, r"x\[:, 2\].*-inf at index 5"),
        (_x(), np.where(_Y == 3, np.nan, _Y), "y: .*nan at index 3"),
        (_x() * [1, 0, 1] + 4, _Y, r"x\[:, 1\].*all are 4"),
        (_x(), _Y * 0, "y: .*all are 0"),
        (_x(), _Y * 1e200, "y: .*spread"),
        (_x(), _Y * 1e-200, "y: .*spread"),
        (_x(), 1e9 + 1e-8 * _Y, "y: .*all are 1e"),
        (np.full((12, 3), "a"), _Y, "x: .*array of numbers"),
        (_x().astype(complex), _Y, "x: .*array of numbers"),
        ([[1.0], [1.0, 2.0]], _Y, "x: .*array of numbers"),
        (np.array([["a", 1.0]] * 12, dtype=object), _Y, "x: .*array of numbers"),
    ],
)
def test_check_xy_refuses(x: np.ndarray, y: np.ndarray, expected: str) -> None:
    with pytest.raises(InputError, match=expected) as caught:
        data.check_xy(x, y)
    assert "\n" not in str(caught.value)


def test_check_bounds_copies_and_lets_float32_rounding_pass() -> None:
    upper = 0.1
    x = torch.tensor([[upper], [0.0]], dtype=torch.float32).double()
    assert x.max() > upper  # 0.1 in float32 is over 0.1
    given_bounds = np.array([[0.0], [upper]])
    bounds = data.check_bounds(given_bounds, 1, x)
    given_bounds[:] = 7
    assert bounds.tolist() == [[0.0], [upper]]


@pytest.mark.parametrize(
    ("bounds", "expected"),
    [
        ([[0.0, 0.0]], r"\(2, 2\); came \(1, 2\)"),
        ([[0.0], [1.0]], r"\(2, 2\)"),
        ([[0.0, 2.0], [1.0, 1.0]], r"\[:, 1\].*lower < upper; came 2 and 1"),
        ([[0.0, 1.0], [1.0, 1.0]], r"\[:, 1\]"),
        ([[0.0, np.nan], [1.0, 1.0]], r"\[:, 1\]"),
        ([[-np.inf, 0.0], [1.0, 1.0]], r"\[:, 0\]"),
        ([[-1e308, 0.0], [1e308, 1.0]], r"\[:, 0\]"),
        ([[0.0, 0.0], [1.0, 0.5]], r"\[:, 1\].*from 0 to 1; came 0 to 0.5"),
        ([[0.5, 0.6], [1.0, 1.0]], r"\[:, 0\]"),
    ],
)
def test_check_bounds_names_the_first_bad_column(bounds: list[list[float]], expected: str) -> None:
    x = torch.tensor([[0.0, 0.0], [1.0, 1.0]], dtype=torch.float64)
    with pytest.raises(InputError, match=expected):
        data.check_bounds(bounds, 2, x)


def test_check_bounds_uses_names_where_given() -> None:
    with pytest.raises(InputError, match="bounds of 'water'"):
        data.check_bounds([[0, 1], [1, 0]], 2, names=("age", "water"))


def test_data_bounds_is_the_smallest_box() -> None:
    x = torch.tensor([[1.0, -2.0], [0.0, 5.0], [0.5, 0.0]], dtype=torch.float64)
    assert data.data_bounds(x).tolist() == [[0.0, -2.0], [1.0, 5.0]]
