"""What a torch module does on its way from input to output: its layers, and the slopes behind each of them.

A trace watches every torch function the module calls. A linear or convolutional layer leaves its output z
pending; what follows either leaves the slope alone (reshaping, pooling, dropout, a sum with something else),
scales it (batch normalization), or is the layer's activation, whose slope phi'(z) then closes the layer. A
layer that meets the next one, or the end, is linear. Anything else is refused: to guess would be to penalize
something that the network is not.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

from jaxtyping import Float
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from surrogate_opt.errors import InputError
from surrogate_opt.penalties.modules.slopes import ELEMENTWISE, slope_of_call, slope_of_module

_LAYERS = frozenset({"linear", "conv1d", "conv2d", "conv3d"})
_MINUS = frozenset({"sub", "sub_", "__sub__", "__rsub__", "rsub", "__isub__"})
_LEAVE_THE_SLOPE_ALONE = _MINUS | frozenset(
    {"flatten", "unflatten", "view", "reshape", "squeeze", "unsqueeze", "contiguous", "clone", "to", "float"}
    | {"double", "add", "add_", "__add__", "__radd__", "__iadd__", "neg", "__neg__"}
    | {"dropout", "dropout1d", "dropout2d", "dropout3d", "feature_dropout", "alpha_dropout"}
    | {f"{kind}_pool{axes}d" for kind in ("max", "avg") for axes in (1, 2, 3)}
    | {f"adaptive_{kind}_pool{axes}d" for kind in ("max", "avg") for axes in (1, 2, 3)}
)
_TIMES = frozenset({"mul", "mul_", "__mul__", "__rmul__", "__imul__"})
_OVER = frozenset({"div", "div_", "true_divide", "__truediv__", "__itruediv__"})
_UNRELATED = frozenset({"detach"} | {f"{kind}_like" for kind in ("zeros", "ones", "full", "empty", "randn")})
_ENDS = frozenset({"softmax", "log_softmax", "logsumexp"})
_COMBINES = _LAYERS | _TIMES | _OVER
_UNSEEN = frozenset(
    {"matmul", "__matmul__", "__rmatmul__", "mm", "bmm", "mv", "addmm", "baddbmm", "einsum", "tensordot"}
    | {"bilinear", "embedding", "embedding_bag", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d"}
    | {"multi_head_attention_forward", "scaled_dot_product_attention"}
    | {f"{kind}{end}" for kind in ("lstm", "gru", "rnn_tanh", "rnn_relu") for end in ("", "_cell")}
)

Scale = Tensor | float


@dataclass(eq=False)
class TracedLayer:
    """One layer of a module as it was called.

    Attributes:
        function: of torch that was called.
        weight: ``(channels, ...)``, as it was used.
        batch: examples in the call.
        is_convolution: whether channels come second in z, and not last.
        slope: phi'(z) wherever the activation was evaluated; None where the layer is linear.
        scale: by which the layer's output was multiplied before its activation, a number or one a channel.
    """

    function: str
    weight: Float[Tensor, "channels ..."]
    batch: int
    is_convolution: bool
    slope: Tensor | None = None
    scale: Scale = 1.0

    def squared_row_norms(self) -> Float[Tensor, " channels"]:
        """||W_j||^2 of every output channel, times its squared scale."""
        return self.weight.flatten(1).square().sum(1) * self.scale**2

    def mean_squared_slope(self) -> Float[Tensor, " channels"] | None:
        """phi'^2 of every output channel, averaged over examples and positions; None where it is 1."""
        if self.slope is None:
            return None
        return self._by_channel(self.slope).square().mean(1)

    def constant_by_channel(self, slope: Tensor) -> Float[Tensor, " channels"] | None:
        """A slope that is the same for all examples and positions; None where it varies."""
        by_channel = self._by_channel(slope)
        constant = bool((by_channel == by_channel[:, :1]).all())
        return by_channel[:, 0] if constant and by_channel.shape[1] > 1 else None

    def _by_channel(self, slope: Tensor) -> Float[Tensor, "channels points"]:
        channels = len(self.weight)
        if self.is_convolution:
            return slope.reshape(self.batch, channels, -1).transpose(0, 1).flatten(1)
        return slope.reshape(-1, channels).T


class LayerTrace(TorchFunctionMode):
    """Records layers while a module runs; see the module's docstring.

    Args:
        module: whose parameters give the layers their names.

    Attributes:
        layers: in the order of their calls.
    """

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.layers: list[TracedLayer] = []
        self._module = module
        self._pending: dict[int, tuple[Tensor, dict[int, Scale]]] = {}
        self._closed: set[int] = set()
        self._used: list[tuple[int, int]] = []
        self._called: set[nn.Module] = set()
        self._normalized: dict[int, Tensor] = {}
        self._paused = False
        self._entered: tuple[nn.Module, tuple[Any, ...]] | None = None

    @contextmanager
    def watching(self, module: nn.Module) -> Iterator[None]:
        """Trace what runs inside, modules of the user's own as one activation each."""
        handles, inside = [], set()
        named = dict(module.named_modules())
        for name, inner in named.items():
            if isinstance(inner, nn.Linear | nn.Conv1d | nn.Conv2d | nn.Conv3d):
                # a parametrization makes its weight anew at every call: only the module is the same
                handles.append(inner.register_forward_pre_hook(partial(self._refuse_again, name)))
            elif isinstance(inner, nn.utils.parametrize.ParametrizationList):
                inside |= set(inner.modules())
                handles.append(inner.register_forward_pre_hook(self._pause))
                handles.append(inner.register_forward_hook(self._resume, always_call=True))
        for inner in named.values():
            if inner not in inside and _may_be_activation(inner):
                handles.append(inner.register_forward_pre_hook(self._pause_at_activation))
                handles.append(inner.register_forward_hook(self._close_module, always_call=True))
        try:
            with self:
                yield
        finally:
            for handle in handles:
                handle.remove()

    def finish(self, output: Any) -> None:
        """Make sure that nothing was lost on the way.

        Args:
            output: of the module.

        Raises:
            InputError: a layer's output went somewhere that a trace cannot follow.
        """
        arrived = self._pending_among(output)
        self._close({index: s for index, s in arrived.items() if index not in self._closed}, None)
        for index, layer in enumerate(self.layers):
            if index not in self._closed:
                raise InputError(
                    f"model: what follows {self._name(layer)} cannot be seen (a compiled function, or an "
                    "output that nobody uses)"
                )

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """See ``torch.overrides.TorchFunctionMode``."""
        kwargs = kwargs or {}
        if self._paused:
            return func(*args, **kwargs)
        name = getattr(func, "__name__", str(func))
        if name in _UNSEEN:
            raise InputError(
                f"model: {name} uses weights that a layer-wise penalty cannot see; expected layers of type "
                "Linear, Conv1d, Conv2d or Conv3d"
            )
        result = self._follow(name, func, args, kwargs)
        if self._normalized or name in _ENDS:
            self._follow_normalized(name, args, kwargs, result)
        return result

    def _follow(
        self, name: str, func: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> Any:
        pending = self._pending_among([args, kwargs])
        if name in _MINUS and len(args) > 1:
            second = self._pending_among(args[1])
            pending = self._pending_among(args[0])
            pending |= {index: pending.get(index, 0.0) - scale for index, scale in second.items()}
        if name in _LAYERS:
            self._close(pending, None)
            return self._add(name, func, args, kwargs)
        if pending and name in ELEMENTWISE:
            self._close(pending, slope_of_call(name, func, args, kwargs))
            result = func(*args, **kwargs)
            self._pending.pop(id(result), None)  # in place, the layer's output is the activation's now
            return result
        result = func(*args, **kwargs)
        if pending and any(value.is_floating_point() for value in _tensors(result)):
            self._pass_on(name, func, args, kwargs, pending, result)
        return result

    def _add(
        self, name: str, func: Callable[..., Tensor], args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> Tensor:
        weight = args[1] if len(args) > 1 else kwargs["weight"]
        begin, end = _extent(weight)
        z = func(*args, **kwargs)
        is_convolution = name != "linear"
        batch = len(z) if is_convolution and z.ndim == weight.ndim else 1
        layer = TracedLayer(name, weight, batch, is_convolution)
        if any(begin < other_end and other_begin < end for other_begin, other_end in self._used):
            raise InputError(
                f"model: {self._name(layer)} is used twice; a layer-wise penalty cannot see shared weights"
            )
        self._used.append((begin, end))
        self._pending[id(z)] = z, {len(self.layers): 1.0}
        self.layers.append(layer)
        return z

    def _name(self, layer: TracedLayer) -> str:
        """What messages call a layer: the name of its weight in the module, or the function that used it."""
        named = self._module.named_parameters()
        return next((name for name, parameter in named if parameter is layer.weight), layer.function)

    def _pending_among(self, values: Any) -> dict[int, Scale]:
        """Layers whose outputs, still without an activation, are among the values; sums add their scales."""
        found: dict[int, Scale] = {}
        for value in _tensors(values):
            for index, scale in self._pending.get(id(value), (value, {}))[1].items():
                found[index] = found[index] + scale if index in found else scale
        return found

    def _close(self, pending: Mapping[int, Scale], slope: Tensor | None) -> None:
        for index, scale in pending.items():
            layer = self.layers[index]
            if index in self._closed and not (slope is None and layer.slope is None):
                raise InputError(
                    f"model: the output of {self._name(layer)} goes into two activations, or into one and "
                    "past it; make what follows it an nn.Module of its own, without weights in it"
                )
            self._closed.add(index)
            layer.slope, layer.scale = slope, scale

    def _pass_on(
        self,
        name: str,
        func: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
        pending: dict[int, Scale],
        result: Any,
    ) -> None:
        """What a function that is no activation makes of the layers whose outputs it was given."""
        numbers = [value for value in args if isinstance(value, int | float)]
        scale: Scale | None = None
        if name in _ENDS:
            self._close(pending, None)
            return
        if name in _UNRELATED:
            return
        if name in _LEAVE_THE_SLOPE_ALONE and kwargs.get("alpha", 1) == 1:
            scale = 1.0
        elif name in _TIMES and numbers:
            scale = numbers[0]
        elif name in _OVER and numbers and not isinstance(args[0], int | float):
            scale = 1.0 / numbers[0]
        elif name == "batch_norm":
            scale = _batch_norm_scale(func, args, kwargs)
            if any(len(self.layers[index].weight) != len(scale) for index in pending):
                raise InputError("model: expected batch normalization by the channels of the layer before it")
        if scale is None or not isinstance(result, Tensor):
            labels = ", ".join(self._name(self.layers[index]) for index in pending)
            raise InputError(
                f"model: {labels} is followed by {name}, which is no elementwise activation known here; make "
                "it an nn.Module of its own, without weights in it"
            )
        self._pending[id(result)] = result, {index: own * scale for index, own in pending.items()}

    def _follow_normalized(
        self, name: str, args: tuple[Any, ...], kwargs: Mapping[str, Any], result: Any
    ) -> None:
        """A softmax ends a network; where it weighs something else, it is attention."""
        given = list(_tensors([args, kwargs]))
        normalized = any(id(value) in self._normalized for value in given)
        if normalized and name in _COMBINES and len(given) > 1:
            raise InputError(
                "model: the output of a softmax goes into other layers or products (attention); what these "
                "multiply a layer-wise penalty cannot see"
            )
        if normalized or name in _ENDS:
            self._normalized |= {id(value): value for value in _tensors(result)}

    def _refuse_again(self, name: str, module: nn.Module, *_: Any) -> None:
        if module in self._called:
            raise InputError(
                f"model: {name}.weight is used twice; a layer-wise penalty cannot see shared weights"
            )
        self._called.add(module)

    def _pause(self, *_: Any) -> None:
        self._paused = True

    def _resume(self, *_: Any) -> None:
        self._paused = False

    def _pause_at_activation(self, module: nn.Module, args: tuple[Any, ...]) -> None:
        if not self._paused and self._pending_among(args):
            self._paused = True
            # the module may work in place
            self._entered = module, tuple(v.clone() if isinstance(v, Tensor) else v for v in args)

    def _close_module(self, module: nn.Module, args: tuple[Any, ...], output: Any) -> None:
        if self._entered is None or self._entered[0] is not module:
            return
        inputs, pending = self._entered[1], self._pending_among(args)
        if output is not None:
            index = next(iter(pending))
            slope = slope_of_module(module, inputs, f"what follows {self._name(self.layers[index])}")
            self._pending.pop(id(output), None)
            scale = self.layers[index].constant_by_channel(slope) if len(pending) == 1 else None
            if scale is None:
                self._close(pending, slope)
            else:  # it only scales, so the activation is still to come
                self._pending[id(output)] = output, {index: pending[index] * scale}
        self._paused, self._entered = False, None


def _tensors(values: Any) -> Iterator[Tensor]:
    """The tensors in nested arguments or results."""
    if isinstance(values, Tensor):
        yield values
    elif isinstance(values, Mapping):
        yield from _tensors(list(values.values()))
    elif isinstance(values, list | tuple):
        for value in values:
            yield from _tensors(value)


def _extent(weight: Tensor) -> tuple[int, int]:
    """Where a weight lies in memory: views and transposes of a parameter share its place."""
    last = sum((size - 1) * stride for size, stride in zip(weight.shape, weight.stride(), strict=True))
    begin = weight.data_ptr()
    return begin, begin + (last + 1) * weight.element_size()


def _may_be_activation(module: nn.Module) -> bool:
    """A module that somebody wrote, with nothing inside that could be a layer."""
    ours_to_read = type(module).__module__.startswith("torch.nn.")
    holds_weights = any(parameter.ndim > 1 for parameter in module.parameters())
    return not ours_to_read and not holds_weights and not any(module.children())


def _batch_norm_scale(
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
