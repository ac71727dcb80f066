"""Anything a user has as a model or truth, made into a Differentiable."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from surrogate_opt.adapters.box import Box, as_box
from surrogate_opt.adapters.evaluated import (
    AutogradModel,
    CentralDifferenceModel,
    Evaluate,
    autograd_values,
)
from surrogate_opt.errors import InputError
from surrogate_opt.types import Differentiable

if TYPE_CHECKING:
    from botorch.models.model import Model
    from botorch.test_functions.base import BaseTestProblem

_ACCEPTED = (
    "a Differentiable, a BoTorch model or test function, a torch module or a callable from (n, d) to (n,)"
)


def as_differentiable(model: Any, *, bounds: Any = None) -> Differentiable:
    """Make a model that gives values and gradients on a batch.

    What has ``value``, ``value_and_gradient`` and ``gradient_source`` passes through. The rest is adapted:

    - a BoTorch model by its posterior mean (one output), gradients by autograd;
    - a BoTorch test function without its noise, with its ``negate``, gradients by autograd;
    - a torch module from ``(..., d)`` to ``(..., 1)`` or ``(...)``, in evaluation mode, which is undone after
      every call;
    - a callable from ``(n, d)`` to ``(n,)``, of torch tensors or NumPy arrays.

    The last two are called on two or three points of the box: where no torch graph leads from the values
    back to the inputs, gradients come from central differences, and ``gradient_source`` says so. Without
    bounds they have to be differentiable by torch.

    Args:
        model: what to adapt.
        bounds: ``(2, d)``, raw units; by default the model's own ``bounds``.

    Returns:
        The model behind the Protocol, float64 points in, float64 values and gradients out.

    Raises:
        InputError: a model of another kind, of several outputs, or whose values have a wrong shape.
    """
    if isinstance(model, Differentiable):
        return model
    # Imported here and below: BoTorch takes seconds to load, and models that pass through do not need it.
    from botorch.models.model import Model
    from botorch.test_functions.base import BaseTestProblem

    if isinstance(model, Model):
        return AutogradModel(_posterior_mean(model))
    if isinstance(model, BaseTestProblem):
        return AutogradModel(_noise_free(model))
    if not callable(model):
        hint = " (pass its predict method)" if callable(getattr(model, "predict", None)) else ""
        raise InputError(f"model: expected {_ACCEPTED}, got {type(model).__name__}{hint}")

    bounds = getattr(model, "bounds", None) if bounds is None else bounds
    box = None if bounds is None else as_box(bounds)
    if isinstance(model, nn.Module):
        return _with_gradient(_module_values(model), box)
    return _callable_model(model, box)


def _posterior_mean(model: Model) -> Evaluate:
    """The posterior mean of a BoTorch model of one output."""
    from botorch.models.transforms.outcome import Standardize
    from botorch.posteriors.fully_bayesian import GaussianMixturePosterior
    from gpytorch.settings import skip_posterior_variances  # type: ignore[import-untyped]  # has no types

    if model.num_outputs != 1:
        raise InputError(f"model: expected one output, got a BoTorch model of {model.num_outputs}")
    # Other outcome transforms (a log, say) need the variance for the mean.
    variance_free = isinstance(getattr(model, "outcome_transform", None), Standardize | None)

    def evaluate(x: Tensor) -> Tensor:
        points = _like_parameters(model, x)
        with evaluation_mode(model), skip_posterior_variances(variance_free):
            # Botorch wants (*batch, n, d).
            posterior = model.posterior(points if x.ndim > 1 else points.unsqueeze(0))
            mixture = isinstance(posterior, GaussianMixturePosterior)
            # BoTorch's base posterior does not declare the mean that all of them have.
            mean: Tensor = getattr(posterior, "mixture_mean" if mixture else "mean")
        return _one_value_each(mean if x.ndim > 1 else mean.squeeze(0), x)

    return evaluate


def _noise_free(problem: BaseTestProblem) -> Evaluate:
    """A BoTorch test function without noise, negated where it says so."""

    def evaluate(x: Tensor) -> Tensor:
        return _one_value_each(problem(_like_parameters(problem, x), noise=False), x)

    return evaluate


def _module_values(module: nn.Module) -> Evaluate:
    """A torch module in evaluation mode."""

    def evaluate(x: Tensor) -> Tensor:
        with evaluation_mode(module):
            return _one_value_each(module(_like_parameters(module, x)), x)

    return evaluate


def _callable_model(function: Callable[[Any], Any], box: Box | None) -> Differentiable:
    """A plain callable: of tensors if it takes them, else of arrays."""
    on_tensors, on_arrays = _flat_values(function, as_array=False), _flat_values(function, as_array=True)
    if box is None:
        return AutogradModel(on_tensors)
    try:
        return _with_gradient(on_tensors, box)
    except InputError:
        raise
    except Exception as tensor_error:  # an array function may fail on a tensor in any way
        try:
            return _with_gradient(on_arrays, box)
        except InputError:
            raise
        except Exception as array_error:
            raise InputError(
                f"model: expected {_ACCEPTED}, got a callable that fails on float64 tensors "
                f"({_one_line(tensor_error)}) and on arrays ({_one_line(array_error)})"
            ) from array_error


def _flat_values(function: Callable[[Any], Any], *, as_array: bool) -> Evaluate:
    """Call a function of ``(n, d)`` on points with any leading axes."""

    def evaluate(x: Tensor) -> Tensor:
        flat = x.reshape(-1, x.shape[-1])
        values = function(flat.detach().numpy().copy() if as_array else flat)
        if not isinstance(values, Tensor):
            try:
                values = torch.from_numpy(np.array(values, ndmin=1).copy())
            except TypeError as error:
                raise InputError(
                    f"model: expected numbers of shape ({len(flat)},), got {type(values).__name__}"
                ) from error
        return _one_value_each(values, flat).reshape(x.shape[:-1])

    return evaluate


def _with_gradient(evaluate: Evaluate, box: Box | None) -> Differentiable:
    """Autograd where a graph leads back to the inputs, else central differences."""
    if box is None:
        return AutogradModel(evaluate)
    # Never as many points as inputs: a transposed shape must not pass for the right one.
    num_points = 3 if box.dim == 2 else 2
    shares = torch.linspace(0.382, 0.618, num_points, dtype=torch.float64).unsqueeze(-1)
    probes = box.from_unit(shares.expand(num_points, box.dim))
    if autograd_values(evaluate, probes)[1] is not None:
        return AutogradModel(evaluate)
    with torch.no_grad():
        dtype = evaluate(probes).dtype
    precision = torch.finfo(dtype if dtype.is_floating_point else torch.float64).eps
    return CentralDifferenceModel(evaluate, box, relative_step=precision ** (1 / 3))


def _one_value_each(values: Any, x: Tensor) -> Tensor:
    """Values of shape ``(*batch)`` or ``(*batch, 1)`` as ``(*batch)``."""
    batch = tuple(x.shape[:-1])
    shape = tuple(values.shape) if isinstance(values, Tensor) else type(values).__name__
    if isinstance(values, Tensor) and shape == batch:
        return values
    if isinstance(values, Tensor) and shape == (*batch, 1):
        return values.squeeze(-1)
    raise InputError(
        f"model: expected values of shape {batch} or {(*batch, 1)} for points of shape {tuple(x.shape)}, "
        f"got {shape}"
    )


def _one_line(error: Exception) -> str:
    """The kind of an error and the first line of its message."""
    message = str(error).strip().splitlines()
    return f"{type(error).__name__}: {message[0]}" if message else type(error).__name__


def _like_parameters(module: nn.Module, x: Tensor) -> Tensor:
    """Points in the precision and on the device of a module."""
    for tensor in (*module.parameters(), *module.buffers()):
        if tensor.is_floating_point():
            return x.to(tensor)
    return x


@contextlib.contextmanager
def evaluation_mode(module: nn.Module) -> Iterator[None]:
    """Put a module into evaluation mode, and every part back into its own mode afterwards."""
    modes = {part: part.training for part in module.modules()}
    if not any(modes.values()):
        yield
        return
    root_mode = module.training
    module.eval()
    try:
        yield
    finally:
        module.train(root_mode)  # a GP also goes back to its untransformed training inputs
        for part, mode in modes.items():
            part.training = mode
