"""A second device with the CPU's arithmetic: code that mixes devices, or their chance, fails on it.

Tensors there wrap a tensor here and say that they are elsewhere; operations unwrap, compute and wrap. Torch
lets Python play a device of its own ("PrivateUse1"), so autograd, optimizers and modules need no change.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode, return_and_correct_aliasing
from torch.utils._pytree import tree_leaves, tree_map_only
from torch.utils.backend_registration import _DummyBackendModule, _setup_privateuseone_for_python_backend

ELSEWHERE = "elsewhere"


class _Device(_DummyBackendModule):
    """What torch asks of a device."""

    def get_amp_supported_dtype(self):
        return [torch.bfloat16]

    def get_rng_state(self, device=0):
        return torch.get_rng_state()

    def set_rng_state(self, state, device=0):
        """It has no chance of its own."""


_setup_privateuseone_for_python_backend(ELSEWHERE, _Device())


@contextmanager
def other_device() -> Iterator[None]:
    """Where tensors can be on the device ``ELSEWHERE``."""
    with _Operations(), _Constructors():
        yield


class _There(torch.Tensor):
    """A tensor that says it is elsewhere."""

    @staticmethod
    def __new__(cls, here):
        there = torch.Tensor._make_wrapper_subclass(
            cls,
            here.shape,
            strides=here.stride(),
            storage_offset=here.storage_offset(),
            dtype=here.dtype,
            device=torch.device(ELSEWHERE, 0),
        )
        there.here = here
        return there

    def __repr__(self):
        return f"_There({self.here!r})"

    @classmethod
    def __torch_dispatch__(cls, operation, types, args=(), kwargs=None):
        return _compute(operation, args, kwargs or {})


class _Operations(TorchDispatchMode):
    """Everything that computes, with tensors elsewhere or about to be."""

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        return _compute(operation, args, kwargs or {})


class _Constructors(TorchFunctionMode):
    """Tensors from Python's numbers, which torch copies to a device without asking a mode."""

    def __torch_function__(self, function, types, args=(), kwargs=None):
        kwargs = dict(kwargs or {})
        if function in (torch.tensor, torch.as_tensor) and _is_elsewhere(kwargs.get("device")):
            device = kwargs.pop("device")
            return function(*args, **kwargs).to(device)
        return function(*args, **kwargs)


def _compute(operation, args, kwargs):
    leaves = tree_leaves((args, kwargs))
    tensors = [leaf for leaf in leaves if isinstance(leaf, torch.Tensor)]
    there = [tensor for tensor in tensors if isinstance(tensor, _There)]
    copies = operation is torch.ops.aten.copy_.default
    if there and not copies:
        _refuse_here(operation, args, tensors)
    unwrapped, named = tree_map_only(_There, lambda tensor: tensor.here, (args, kwargs))
    goes_there = isinstance(args[0], _There) if copies else bool(there)
    if kwargs.get("device") is not None:
        goes_there = _is_elsewhere(kwargs["device"])
        named["device"] = torch.device("cpu") if goes_there else kwargs["device"]
    if goes_there and any(isinstance(leaf, torch.Generator) for leaf in leaves):
        raise RuntimeError(f"{operation}: a generator of the CPU for a tensor elsewhere")
    result = operation(*unwrapped, **named)
    if not goes_there:
        return result
    result = tree_map_only(torch.Tensor, _There, result)
    return return_and_correct_aliasing(operation, args, kwargs, result) if there else result


def _refuse_here(operation, args, tensors):
    """Numbers without an axis may come from the CPU, but to be written into or joined; so may indices."""
    name = operation.overloadpacket.__name__
    if name in ("index", "index_put", "index_put_"):
        tensors = [args[0]]
    joins = name in ("stack", "cat")
    here = [
        tensor
        for tensor in tensors
        if not isinstance(tensor, _There)
        and (tensor.ndim > 0 or joins or (tensor is args[0] and name.endswith("_")))
    ]
    if here:
        shapes = ", ".join(str(tuple(tensor.shape)) for tensor in here)
        raise RuntimeError(f"{operation}: tensors on two devices; on the CPU are those of shape {shapes}")


def _is_elsewhere(device):
    return device is not None and torch.device(device).type == ELSEWHERE
