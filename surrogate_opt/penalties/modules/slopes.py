"""The slope phi'(z) of an elementwise activation: in closed form if it is a common one, else by autograd."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import torch
from torch import Tensor, nn

from surrogate_opt.errors import InputError

_NAMES = (
    "relu relu6 leaky_relu prelu elu selu celu gelu silu mish softplus softsign tanh sigmoid "
    "logsigmoid hardtanh hardsigmoid hardswish tanhshrink softshrink hardshrink threshold clamp clip abs "
    "absolute exp expm1 square sin cos sinc atan arctan asinh arcsinh erf pow __pow__ sqrt"
)
_COARSE = (torch.bfloat16, torch.float16)

ELEMENTWISE = frozenset(_NAMES.split()) | {f"{name}_" for name in _NAMES.split()}
"""Torch's elementwise functions that serve as activations, in place or not."""


def _silu_slope(z: Tensor) -> Tensor:
    sigmoid = torch.sigmoid(z)
    return sigmoid * (1.0 + z * (1.0 - sigmoid))


CLOSED_FORMS: Final[dict[str, Callable[[Tensor], Tensor]]] = {
    "relu": lambda z: (z > 0.0).to(z),
    "tanh": lambda z: 1.0 - torch.tanh(z).square(),
    "sigmoid": lambda z: torch.sigmoid(z) * torch.sigmoid(-z),
    "silu": _silu_slope,
}
"""What torch's functions of these names have for a slope, called with nothing but z."""


def slope_of_call(
    name: str, func: Callable[..., Tensor], args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> Tensor:
    """phi' at the first tensor of a call to an elementwise function, which may work in place."""
    z = args[0] if args else kwargs["input"]
    rest = args[1:] if args else ()
    keywords = {key: value for key, value in kwargs.items() if key != "input"}
    if name in CLOSED_FORMS and not rest and all(value is False for value in keywords.values()):
        return CLOSED_FORMS[name](z)
    return _slope(lambda point: func(point, *rest, **keywords), z)


def slope_of_module(module: nn.Module, args: tuple[Any, ...], place: str) -> Tensor:
    """phi' of a module that takes one tensor.

    Args:
        module: says what phi is.
        args: of its call.
        place: what the module is called in errors.

    Raises:
        InputError: it is not elementwise, or autograd cannot differentiate it.
    """
    name = type(module).__name__
    if len(args) != 1:
        raise InputError(f"model: {place} is {name}, which takes {len(args)} arguments; expected one")
    try:
        slope, weighted, weights = _slopes(module.forward, args[0])
    except RuntimeError as error:
        raise InputError(f"model: {place} is {name}, which autograd cannot differentiate ({error})") from None
    tolerance = 16.0 * torch.finfo(slope.dtype).eps ** 0.5 if slope.dtype in _COARSE else 1e-4
    if not torch.allclose(weighted, weights * slope, rtol=tolerance, atol=0.1 * tolerance):
        raise InputError(
            f"model: {place} is {name}; expected an elementwise activation, but it mixes its inputs"
        )
    return slope


def _slope(phi: Callable[[Tensor], Tensor], z: Tensor) -> Tensor:
    """Derivative of the sum of phi(z), in the graph where one is being built."""
    keep_graph = torch.is_grad_enabled()
    with torch.enable_grad():
        point, value = _evaluated(phi, z)
        (slope,) = torch.autograd.grad(value, point, torch.ones_like(value), create_graph=keep_graph)
    return slope


def _slopes(phi: Callable[[Tensor], Tensor], z: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The same from one evaluation, also of a weighted sum, and its weights."""
    keep_graph = torch.is_grad_enabled()
    with torch.enable_grad():
        point, value = _evaluated(phi, z)
        ones = torch.ones_like(value)
        (slope,) = torch.autograd.grad(value, point, ones, create_graph=keep_graph, retain_graph=True)
        weights = torch.arange(value.numel(), device=value.device).to(value).cos().reshape(value.shape)
        (weighted,) = torch.autograd.grad(value, point, weights, retain_graph=keep_graph)
    return slope, weighted, weights


def _evaluated(phi: Callable[[Tensor], Tensor], z: Tensor) -> tuple[Tensor, Tensor]:
    point = z if z.requires_grad else z.detach().requires_grad_()
    return point, phi(point.clone())  # phi may work in place
