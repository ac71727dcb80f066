"""Checks of arrays and bounds that users pass, with one clear line each."""

from __future__ import annotations

import difflib
import math
from collections.abc import Sequence
from typing import NoReturn

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import ArrayLike
from torch import Tensor

from surrogate_opt.errors import InputError

_SPREAD_LIMITS = (1e-100, 1e100)  # a spread beyond these over- or underflows when it is squared


LARGEST_SEED = 2**62


def check_device(device: str) -> None:
    """Refuse a device that torch cannot use here.

    Raises:
        InputError: it cannot.
    """
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError):
        raise InputError(f"device: expected one that torch can use here, got {device!r}") from None


def check_xy(
    x: ArrayLike | Tensor, y: ArrayLike | Tensor, *, min_rows: int = 10, vary: bool = True
) -> tuple[Float[Tensor, "n d"], Float[Tensor, " n"]]:
    """Check inputs and target that came as arrays, and copy them to float64 tensors on the CPU.

    Args:
        x: inputs, ``(n, d)``, raw units; anything NumPy reads as an array, or a tensor.
        y: target, ``(n,)`` or ``(n, 1)``, raw units.
        min_rows: how many rows there must be at least.
        vary: whether every input has to.

    Raises:
        InputError: wrong shapes, lengths that differ, too few rows, values that are not finite, or a column
            or target that is constant.
    """
    inputs, target = as_float_array(x, "x"), as_float_array(y, "y")
    if inputs.ndim != 2 or inputs.shape[1] == 0:
        raise InputError(f"x: expected the shape (rows, columns); came {inputs.shape}")
    if target.ndim == 2 and target.shape[1] == 1:
        target = target[:, 0]
    if target.ndim != 1:
        raise InputError(f"y: expected the shape (rows,) or (rows, 1); came {target.shape}")
    if len(target) != len(inputs):
        raise InputError(f"y: expected as many rows as x, {len(inputs)}; came {len(target)}")
    check_num_rows(len(inputs), min_rows, "x")
    columns = [(f"x[:, {column}]", inputs[:, column]) for column in range(inputs.shape[1])]
    for label, values in [*columns, ("y", target)]:
        bad = ~np.isfinite(values)
        if bad.any():
            first = int(bad.argmax())
            raise InputError(
                f"{label}: expected finite numbers; {bad.sum()} of {len(values)} are not, "
                f"first {values[first]} at index {first}"
            )
        if vary or label == "y":
            check_spread(values, label)
    return torch.from_numpy(inputs), torch.from_numpy(target)


def check_bounds(
    bounds: ArrayLike | Tensor,
    dim: int,
    x: Float[Tensor, "n d"] | None = None,
    *,
    names: Sequence[str] | None = None,
) -> Float[Tensor, "2 d"]:
    """Check a box and copy it to a float64 tensor on the CPU.

    Args:
        bounds: lower and upper bounds, ``(2, d)``, raw units.
        dim: the d that is expected.
        x: rows that must lie inside, up to 1e-6 of a side (what rounding to float32 does), ``(n, d)``.
        names: what to call the columns in messages.

    Raises:
        InputError: a wrong shape, or the first column whose bounds are not finite, out of order or left by x.
    """
    box = as_float_array(bounds, "bounds")
    if box.shape != (2, dim):
        raise InputError(f"bounds: expected the shape (2, {dim}); came {box.shape}")
    for column, (lower, upper) in enumerate(box.T.tolist()):
        label = f"bounds of {names[column]!r}" if names is not None else f"bounds[:, {column}]"
        if not (lower < upper and math.isfinite(upper - lower)):
            raise InputError(f"{label}: expected finite lower < upper; came {lower:g} and {upper:g}")
        if x is None or len(x) == 0:
            continue
        low, high, slack = float(x[:, column].min()), float(x[:, column].max()), 1e-6 * (upper - lower)
        if low < lower - slack or high > upper + slack:
            raise InputError(
                f"{label}: expected a box around the data, which go from {low:g} to {high:g}; "
                f"came {lower:g} to {upper:g}"
            )
    return torch.from_numpy(box)


def data_bounds(x: Float[Tensor, "n d"]) -> Float[Tensor, "2 d"]:
    """The smallest box around the rows: column minima and maxima, ``(2, d)``."""
    return torch.stack([x.amin(0), x.amax(0)])


def unit_box(dim: int) -> Float[Tensor, "2 d"]:
    """The bounds 0 and 1 in every column, ``(2, d)``."""
    return torch.stack([torch.zeros(dim), torch.ones(dim)]).double()


def as_float_array(values: ArrayLike | Tensor, label: str) -> Float[np.ndarray, "*shape"]:
    """A fresh float64 array of anything numeric."""
    try:
        if np.ma.is_masked(values):
            raise TypeError("masked values")
        array = values.detach().cpu().numpy() if isinstance(values, Tensor) else np.asarray(values)
        if array.dtype.kind not in "biufO":
            raise TypeError(f"elements of type {array.dtype}")
        return np.array(array, dtype=np.float64, order="C")
    except (TypeError, ValueError) as error:
        raise InputError(f"{label}: expected an array of numbers; came {shortened(error)}") from None


def check_num_rows(num_rows: int, min_rows: int, label: str) -> None:
    """Refuse a table with fewer rows."""
    if num_rows < min_rows:
        raise InputError(f"{label}: expected at least {min_rows} rows of data; came {num_rows}")


def check_count(label: str, value: int, least: int) -> None:
    """Refuse a count under the least one."""
    if value < least:
        raise InputError(f"{label}: expected at least {least}; came {value}")


def check_seed(seed: int) -> None:
    """Refuse a seed that generators cannot take."""
    if not 0 <= seed <= LARGEST_SEED:
        raise InputError(f"seed: expected a number from 0 to 2^62; came {seed}")


def check_spread(values: Float[np.ndarray, " n"], label: str) -> None:
    """Refuse a column that is constant up to rounding, or whose spread leaves the range of float64."""
    low, high = float(values.min()), float(values.max())
    if high - low <= 8 * np.finfo(np.float64).eps * max(abs(low), abs(high)):
        raise InputError(f"{label}: expected values that differ; all are {low:g}")
    least, most = _SPREAD_LIMITS
    if not least < high - low < most:
        raise InputError(f"{label}: expected a spread from {least:g} to {most:g}; came {low:g} to {high:g}")


def refuse_unknown(label: str, name: str, names: Sequence[str]) -> NoReturn:
    """Refuse a name that is not among the names; suggest the nearest."""
    plain = {known.lower(): known for known in names}
    near = difflib.get_close_matches(name.lower(), plain, n=1)
    hint = f" (did you mean {plain[near[0]]!r}?)" if near else ""
    raise InputError(f"{label}: expected one of {listed(names)}; came {shortened(name)}{hint}")


def listed(names: Sequence[str], most: int = 20) -> str:
    """Names in one line, the first ones of many."""
    rest = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(map(repr, names[:most])) + rest


def shortened(value: object, most: int = 40) -> str:
    """A value as it came, on one line and not long."""
    text = str(value)
    return repr(text if len(text) <= most else text[:most] + "...")
