"""What goes wrong with numbers inside of BoTorch and torch, and what to say of it."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from botorch.exceptions.errors import BotorchError
from linear_operator.utils.errors import (  # type: ignore[import-untyped]  # has no types
    NanError,
    NotPSDError,
)
from linear_operator.utils.warnings import NumericalWarning  # type: ignore[import-untyped]  # has no types


class NumericalError(RuntimeError):
    """Numbers left the range in which a fit or a search can go on; one line says how."""


_NUMERICAL = (
    BotorchError,
    NanError,
    NotPSDError,
    torch.linalg.LinAlgError,  # type: ignore[attr-defined]  # documented, not declared
    ArithmeticError,
    NumericalError,
)


def is_numerical(error: Exception) -> bool:
    """Whether an error says that numbers left their range, whichever library raised it.

    Where LAPACK refuses an infinite number, torch raises a bare RuntimeError that names its own function.
    """
    return isinstance(error, _NUMERICAL) or (type(error) is RuntimeError and "linalg" in str(error))


@contextmanager
def numerical_work() -> Iterator[None]:
    """For fits and searches: gradients on, whatever the caller has switched off, and no word about jitter.

    The jitter that linear_operator adds to a covariance is routine, and it announces every one.

    Raises:
        NumericalError: in place of any error that ``is_numerical``.
    """
    try:
        with torch.enable_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore", NumericalWarning)
            yield
    except Exception as error:
        if not is_numerical(error):
            raise
        raise NumericalError(one_line(error)) from error


def one_line(error: Exception) -> str:
    """An error's first line, for notes."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
