"""What torch's functions, by name, do to the slope of a tensor that passes through them."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from jaxtyping import Float
from torch import Tensor

from surrogate_opt.penalties.modules.slopes import ELEMENTWISE

LAYERS = frozenset({"linear", "conv1d", "conv2d", "conv3d"})

ELEMENTWISE_AT_ALL = ELEMENTWISE | frozenset(
    {"log", "log1p", "log2", "log10", "reciprocal", "rsqrt", "__rtruediv__", "__rdiv__", "__rpow__"}
)
"""Activations, and what else acts on every number for itself."""

POOLS = frozenset(
    f"{prefix}{kind}_pool{axes}d"
    for prefix in ("", "adaptive_")
    for kind in ("max", "avg")
    for axes in (1, 2, 3)
)

REGROUP = frozenset(
    {"__getitem__", "select", "narrow", "split", "chunk", "unbind", "cat", "concat", "stack", "sum", "mean"}
    | {"transpose", "permute", "movedim"}
)
"""Channels are not where they were, or no longer apart."""

MINUS = frozenset({"sub", "sub_", "__sub__", "__rsub__", "rsub", "__isub__"})

UNRELATED = frozenset({"detach"} | {f"{kind}_like" for kind in ("zeros", "ones", "full", "empty", "randn")})

ENDS = frozenset({"softmax", "log_softmax", "logsumexp"})

UNSEEN = frozenset(
    {"matmul", "__matmul__", "__rmatmul__", "mm", "bmm", "mv", "addmm", "baddbmm", "einsum", "tensordot"}
    | {"inner", "dot", "linalg_multi_dot", "chain_matmul", "addmv", "addbmm", "linalg_vecdot"}
    | {"bilinear", "embedding", "embedding_bag", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d"}
    | {"multi_head_attention_forward", "scaled_dot_product_attention"}
    | {f"{kind}{end}" for kind in ("lstm", "gru", "rnn_tanh", "rnn_relu") for end in ("", "_cell")}
)
"""They may use weights, which a layer-wise penalty would miss."""

_TIMES = frozenset({"mul", "mul_", "__mul__", "__rmul__", "__imul__"})
OVER = frozenset({"div", "div_", "true_divide", "__truediv__", "__itruediv__"})
_LEAVE_THE_SLOPE_ALONE = (
    MINUS
    | POOLS
    | {
        "flatten",
        "unflatten",
        "view",
        "reshape",
        "squeeze",
        "unsqueeze",
        "contiguous",
        "clone",
        "to",
        "float",
    }
    | {"double", "add", "add_", "__add__", "__radd__", "__iadd__", "neg", "__neg__"}
    | {"dropout", "dropout1d", "dropout2d", "dropout3d", "feature_dropout", "alpha_dropout"}
)

SCALE = _TIMES | OVER

COMBINE = LAYERS | SCALE


def factor_of(name: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> float | None:
    """By which number a call multiplies the tensor it is given, up to its sign; None where it does else."""
    numbers = [value for value in args if isinstance(value, int | float)]
    if name in _LEAVE_THE_SLOPE_ALONE and kwargs.get("alpha", 1) == 1:
        return 1.0
    if name in _TIMES and numbers:
        return numbers[0]
    if name in OVER and numbers and not isinstance(args[0], int | float):
        return 1.0 / numbers[0]
    return None


def batch_norm_scale(
    func: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> Float[Tensor, " channels"]:
    """gamma / sqrt(variance + eps); a batch's own variance counts as a constant."""
    call = inspect.signature(func).bind(*args, **kwargs)
    call.apply_defaults()
    given = call.arguments
    z, variance = given["input"], given["running_var"]
    if given["training"] or variance is None:
        variance = z.detach().transpose(0, 1).flatten(1).var(1, correction=0)
    scale: Tensor = (variance + given["eps"]).rsqrt()
    return scale if given["weight"] is None else scale * given["weight"]
