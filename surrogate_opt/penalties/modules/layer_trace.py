"""What a torch module does on its way from input to output: its layers, and the slopes behind each of them.

A trace watches every torch function the module calls. A linear or convolutional layer leaves its output z
pending; what follows either leaves the slope alone (reshaping, pooling, dropout, a sum with something else),
scales it (batch normalization), or is the layer's activation, whose slope phi'(z) then closes the layer. A
number that multiplies the activation multiplies its slope; a second elementwise function in a row would be
part of it, and is refused. A layer that meets the next one, or the end, is linear; one whose outputs were
regrouped (slices, sums) can be nothing else. Anything more is refused: to guess would be to penalize
something that the network is not.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from surrogate_opt.errors import InputError
from surrogate_opt.penalties.modules.functions import (
    COMBINE,
    ELEMENTWISE_AT_ALL,
    ENDS,
    LAYERS,
    MINUS,
    OVER,
    POOLS,
    REGROUP,
    SCALE,
    UNRELATED,
    UNSEEN,
    batch_norm_scale,
    factor_of,
)
from surrogate_opt.penalties.modules.slopes import ELEMENTWISE, slope_of_call, slope_of_module
from surrogate_opt.penalties.modules.traced_layer import Scale, TracedLayer

_PROBES = 16  # rows that tell a scale from an activation
_OWN_MODULE = "make what follows it an nn.Module of its own, without weights in it"


@dataclass(frozen=True)
class _Regrouped:
    """Takes the place of a scale where channels were regrouped.

    Attributes:
        function: that did so.
    """

    function: str


_Passed = Scale | _Regrouped
"""What has happened to a layer's output so far."""


class LayerTrace(TorchFunctionMode):
    """Records layers while a module runs; see the module's docstring. One thread at a time.

    Args:
        module: whose parameters give the layers their names.

    Attributes:
        layers: in the order of their calls.
    """

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.layers: list[TracedLayer] = []
        self._module = module
        self._builds_graph = torch.is_grad_enabled()
        self._pending: dict[int, tuple[Tensor, dict[int, _Passed]]] = {}
        self._activated: dict[int, tuple[Tensor, tuple[int, ...]]] = {}
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
                if inner._forward_pre_hooks:  # they make the weight anew, as torch's older spectral_norm does
                    handles.append(inner.register_forward_pre_hook(self._pause, prepend=True))
                    handles.append(inner.register_forward_pre_hook(self._resume))
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
        self._close({index: own for index, own in arrived.items() if index not in self._closed}, None)
        for index in range(len(self.layers)):
            if index not in self._closed:
                raise InputError(
                    f"model: what follows {self._names([index])} cannot be seen (a compiled function, or an "
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
        if name in UNSEEN:
            raise InputError(
                f"model: {name} uses weights that a layer-wise penalty cannot see; expected layers of type "
                "Linear, Conv1d, Conv2d or Conv3d"
            )
        if self._is_aside(name, args, kwargs):
            return func(*args, **kwargs)
        result = self._follow(name, func, args, kwargs)
        if self._normalized or name in ENDS:
            self._follow_normalized(name, args, kwargs, result)
        return result

    def _is_aside(self, name: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> bool:
        """Whether a call takes the output of a layer that is trained where no gradients are kept."""
        if not self._builds_graph or torch.is_grad_enabled() or name in LAYERS:
            return False
        indices = set(self._pending_among([args, kwargs]))
        for value in _tensors([args, kwargs]):
            indices |= set(self._activated.get(id(value), (value, ()))[1])
        return any(self.layers[index].weight.requires_grad for index in indices)

    def _follow(
        self, name: str, func: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> Any:
        pending = self._pending_among([args, kwargs])
        if name in MINUS and len(args) > 1:
            pending = self._pending_among(args[0])
            for index, own in self._pending_among(args[1]).items():
                pending[index] = _sum(pending.get(index, 0.0), _times(own, -1.0))
        if name in LAYERS:
            self._close(pending, None)
            return self._add(name, func, args, kwargs)
        if pending and name in ELEMENTWISE:
            z = args[0] if args else kwargs["input"]
            if pending.keys() != self._pending_among(z).keys():
                self._refuse(pending, name)
            self._close(pending, slope_of_call(name, func, args, kwargs))
            result = func(*args, **kwargs)
            self._pending.pop(id(result), None)  # in place, the layer's output is the activation's now
            self._activated[id(result)] = result, tuple(pending)
            return result
        result = func(*args, **kwargs)
        if pending and any(value.is_floating_point() for value in _tensors(result)):
            self._pass_on(name, func, args, kwargs, pending, result)
        elif self._activated:
            self._follow_activated(name, args, kwargs, result)
        return result

    def _add(
        self, name: str, func: Callable[..., Tensor], args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> Tensor:
        weight = args[1] if len(args) > 1 else kwargs["weight"]
        begin, end = _extent(weight)
        z = func(*args, **kwargs)
        self.layers.append(TracedLayer(name, weight, z.shape))
        index = len(self.layers) - 1
        if any(begin < other_end and other_begin < end for other_begin, other_end in self._used):
            raise InputError(
                f"model: {self._names([index])} is used twice; a layer-wise penalty cannot see shared weights"
            )
        if self._builds_graph and weight.requires_grad and not torch.is_grad_enabled():
            raise InputError(
                f"model: {self._names([index])} is used without gradients inside the model (no_grad, a "
                "reentrant checkpoint, an autograd function), where the penalty's would be wrong; freeze it "
                "with requires_grad_(False), or leave that out"
            )
        self._used.append((begin, end))
        self._pending[id(z)] = z, {index: 1.0}
        return z

    def _names(self, indices: Iterable[int]) -> str:
        """What messages call layers: the names of their weights, or else the functions that used them."""
        names = {id(parameter): name for name, parameter in self._module.named_parameters()}
        layers = [self.layers[index] for index in indices]
        return ", ".join(names.get(id(layer.weight), layer.function) for layer in layers)

    def _refuse(self, indices: Iterable[int], name: str) -> None:
        raise InputError(
            f"model: {self._names(indices)} is followed by {name}, which is no elementwise activation known "
            "here; make it an nn.Module of its own, without weights in it"
        )

    def _pending_among(self, values: Any) -> dict[int, _Passed]:
        """Layers whose outputs, still without an activation, are among the values; sums add their scales."""
        found: dict[int, _Passed] = {}
        for value in _tensors(values):
            for index, own in self._pending.get(id(value), (value, {}))[1].items():
                found[index] = _sum(found[index], own) if index in found else own
        return found

    def _close(self, pending: Mapping[int, _Passed], slope: Tensor | None) -> None:
        for index, passed in pending.items():
            layer = self.layers[index]
            if index in self._closed and not (slope is None and layer.slope is None):
                raise InputError(
                    f"model: the output of {self._names([index])} goes into two activations, or into one and "
                    f"past it; {_OWN_MODULE}"
                )
            if slope is not None and isinstance(passed, _Regrouped):
                self._refuse([index], passed.function)
            if slope is not None and not layer.fits(slope):
                raise InputError(
                    f"model: what follows {self._names([index])} changes the shape of its output before the "
                    "activation; expected one number a channel and position"
                )
            self._closed.add(index)
            layer.slope, layer.scale = slope, 1.0 if isinstance(passed, _Regrouped) else passed

    def _pass_on(
        self,
        name: str,
        func: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
        pending: dict[int, _Passed],
        result: Any,
    ) -> None:
        """What a function that is no activation makes of the layers whose outputs it was given."""
        if name in ENDS:
            self._close(pending, None)
            return
        if name in UNRELATED:
            return
        scale: _Passed | None = factor_of(name, args, kwargs)
        if name in POOLS and not all(self.layers[index].is_convolution for index in pending):
            self._refuse(pending, name)
        if name in REGROUP or (scale is None and self._is_rescaling(name, args)):
            scale = _Regrouped(name)
        elif name == "batch_norm":
            scale = batch_norm_scale(func, args, kwargs)
            if not all(self._normalizes(index, args[0], len(scale)) for index in pending):
                raise InputError("model: expected batch normalization by the channels of the layer before it")
        if scale is None:
            self._refuse(pending, name)
        else:
            passed = {index: _times(own, scale) for index, own in pending.items()}
            self._pending |= {id(value): (value, passed) for value in _tensors(result)}

    def _is_rescaling(self, name: str, args: tuple[Any, ...]) -> bool:
        """Whether outputs are multiplied or divided by buffers of the module, as to put units back."""
        if name not in SCALE or (name in OVER and not self._pending_among(args[:1])):
            return False
        buffers = {id(buffer) for buffer in self._module.buffers()}
        return all(self._pending_among(value) or id(value) in buffers for value in _tensors(args))

    def _normalizes(self, index: int, z: Tensor, num_channels: int) -> bool:
        """Whether batch normalization of z, which has its channels second, has this layer's."""
        layer = self.layers[index]
        return len(layer.weight) == num_channels and (layer.is_convolution or z.ndim == 2)

    def _follow_activated(
        self, name: str, args: tuple[Any, ...], kwargs: Mapping[str, Any], result: Any
    ) -> None:
        """A number may scale an activation; a second one in a row, or else a new tensor, is another thing."""
        given = list(_tensors(args[:1] if name == "batch_norm" else [args, kwargs]))
        marks = [self._activated[id(value)][1] for value in given if id(value) in self._activated]
        if not marks:
            return
        if name in ELEMENTWISE_AT_ALL:
            raise InputError(
                f"model: {self._names(marks[0])} is followed by two elementwise functions in a row, {name} "
                f"the second one; {_OWN_MODULE}"
            )
        factor = 1.0 if name == "batch_norm" else factor_of(name, args, kwargs)
        if factor is None or len(given) > 1 or not isinstance(result, Tensor):
            return
        for index in marks[0] if factor != 1.0 else ():
            slope = self.layers[index].slope
            self.layers[index].slope = None if slope is None else slope * factor
        self._activated[id(result)] = result, marks[0]

    def _follow_normalized(
        self, name: str, args: tuple[Any, ...], kwargs: Mapping[str, Any], result: Any
    ) -> None:
        """A softmax ends a network; where it weighs something else, it is attention."""
        given = list(_tensors([args, kwargs]))
        normalized = any(id(value) in self._normalized for value in given)
        if normalized and name in COMBINE and len(given) > 1:
            raise InputError(
                "model: the output of a softmax goes into other layers or products (attention); what these "
                "multiply a layer-wise penalty cannot see"
            )
        if normalized or name in ENDS:
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
            place = f"what follows {self._names([index])}"
            slope = slope_of_module(module, inputs, place)
            self._pending.pop(id(output), None)
            scale = self._only_scales(module, slope, index, place) if len(pending) == 1 else None
            if scale is None:
                self._close(pending, slope)
                self._activated[id(output)] = output, tuple(pending)
            else:  # the activation is still to come
                self._pending[id(output)] = output, {index: _times(pending[index], scale)}
        self._paused, self._entered = False, None

    def _only_scales(self, module: nn.Module, slope: Tensor, index: int, place: str) -> Tensor | None:
        """The factor of each channel where the slope is the same at this batch and anywhere else."""
        layer = self.layers[index]
        here = layer.by_channel(slope) if layer.fits(slope) else None
        if here is None or not bool((here == here[:, :1]).all()):
            return None
        shape = (_PROBES, *(slope.shape[1:] if layer.has_batch_axis else slope.shape))
        points = 10.0 * torch.arange(math.prod(shape), device=slope.device).cos().to(slope).reshape(shape)
        with torch.no_grad():
            there = layer.by_channel(slope_of_module(module, (points,), place), batch=_PROBES)
        return here[:, 0] if bool((there == here[:, :1]).all()) else None


def _times(passed: _Passed, factor: _Passed) -> _Passed:
    if isinstance(passed, _Regrouped):
        return passed
    return factor if isinstance(factor, _Regrouped) else passed * factor


def _sum(one: _Passed, other: _Passed) -> _Passed:
    if isinstance(one, _Regrouped):
        return one
    return other if isinstance(other, _Regrouped) else one + other


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
    try:
        begin = weight.data_ptr()
    except RuntimeError:  # under torch.func there is no memory to speak of
        begin = 0
    if begin == 0:
        return id(weight), id(weight) + 1
    last = sum((size - 1) * stride for size, stride in zip(weight.shape, weight.stride(), strict=True))
    return begin, begin + (last + 1) * weight.element_size()


def _may_be_activation(module: nn.Module) -> bool:
    """A module that somebody wrote, with nothing inside that could be a layer."""
    ours_to_read = type(module).__module__.startswith("torch.nn.")
    holds_weights = any(parameter.ndim > 1 for parameter in module.parameters())
    return not ours_to_read and not holds_weights and not any(module.children())
