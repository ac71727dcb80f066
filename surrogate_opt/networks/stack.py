"""Many networks of one architecture as one: a stack of multilayer perceptrons.

All parameters of all members lie in one flat tensor; the layers' weights, biases and activation coefficients
are contiguous views of it. The optimizer then updates the whole stack in one sweep, and every product is one
batched matrix product.
"""

from __future__ import annotations

import math
from copy import copy
from dataclasses import dataclass, field
from typing import Self

import torch
from jaxtyping import Float
from torch import Tensor

from surrogate_opt.errors import InputError
from surrogate_opt.networks.activations import Activation, get_activation
from surrogate_opt.networks.memory import hold_freed_memory

_CACHED_NUMBERS = 2**18  # of one layer of all members: 2 MiB in float64


@dataclass
class ForwardPass:
    """What one forward pass leaves behind, layer by layer; slopes and curvatures only of hidden layers.

    Attributes:
        inputs: what enters each layer, ``(members, n, width)``; the first is x.
        slopes: phi'(z) of each hidden layer, empty where not asked for.
        curvatures: phi''(z) of each hidden layer, empty where not asked for or piecewise linear.
        preactivations: z of each hidden layer, kept only where the activation has coefficients to learn.
        output: ``(members, n, num_outputs)``.
        masks: what each hidden layer's h, slopes and curvatures have been multiplied with; empty for nothing.
    """

    inputs: list[Tensor]
    slopes: list[Tensor]
    curvatures: list[Tensor]
    preactivations: list[Tensor]
    output: Tensor
    masks: list[Tensor] = field(default_factory=list)


class StackedMLP:
    """P perceptrons with the same layer sizes and activation, evaluated together.

    Args:
        sizes: widths of input, hidden layers and output, e.g. ``(10, 32, 32, 1)``.
        num_members: P.
        activation: name of the activation of the hidden layers.
        dtype: of the parameters.
        device: of the parameters.

    Attributes:
        flat: every parameter, ``(P * num_parameters,)``.
        weights: per layer ``(P, n_in, n_out)``, views of ``flat``.
        biases: per layer ``(P, 1, n_out)``, views of ``flat``.
        coefficients: per hidden layer ``(P, num_coefficients)``, views of ``flat``; empty but for ``poly``.
    """

    def __init__(
        self,
        sizes: tuple[int, ...],
        num_members: int,
        activation: str = "silu",
        *,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
    ) -> None:
        if len(sizes) < 2 or min(sizes) < 1:
            raise InputError(f"sizes: expected at least two positive widths, got {sizes}")
        hold_freed_memory()
        self.sizes = tuple(sizes)
        self.activation: Activation = get_activation(activation)
        self.flat = torch.zeros(num_members * self.num_parameters, dtype=dtype, device=device)
        self._num_members = num_members
        self.weights, self.biases, self.coefficients = self.views(self.flat)

    @property
    def num_members(self) -> int:
        """P."""
        return self._num_members

    @property
    def num_layers(self) -> int:
        """Affine layers, the output layer included."""
        return len(self.sizes) - 1

    @property
    def num_parameters(self) -> int:
        """Parameters of one member."""
        affine = sum((n_in + 1) * n_out for n_in, n_out in zip(self.sizes, self.sizes[1:], strict=False))
        return affine + (len(self.sizes) - 2) * self.activation.num_coefficients

    def views(self, flat: Tensor) -> tuple[list[Tensor], list[Tensor], list[Tensor]]:
        """Cut a flat tensor like ``self.flat`` (a gradient, say) into weights, biases and coefficients."""
        p, position = self._num_members, 0

        def cut(*shape: int) -> Tensor:
            nonlocal position
            size = math.prod(shape)
            position += size
            return flat[position - size : position].view(shape)

        weights, biases = [], []
        for n_in, n_out in zip(self.sizes, self.sizes[1:], strict=False):
            weights.append(cut(p, n_in, n_out))
            biases.append(cut(p, 1, n_out))
        k = self.activation.num_coefficients
        coefficients = [cut(p, k) for _ in range(self.num_layers - 1)] if k else []
        return weights, biases, coefficients

    @torch.no_grad()
    def initialize(self, seeds: list[int]) -> Self:
        """Draw fresh parameters; members with the same seed get the same ones.

        Weights and biases are uniform on +-1/sqrt(n_in) (torch's default for Linear); polynomial coefficients
        begin at (0, 1, 0.1), a slightly bent identity.
        """
        if len(seeds) != self._num_members:
            raise InputError(f"seeds: expected one per member ({self._num_members}), got {len(seeds)}")
        drawn: dict[int, list[Tensor]] = {}
        for seed in dict.fromkeys(seeds):
            generator = torch.Generator().manual_seed(seed)
            drawn[seed] = [
                (2.0 * torch.rand(n_in + 1, n_out, generator=generator, dtype=torch.float64) - 1.0)
                / math.sqrt(n_in)
                for n_in, n_out in zip(self.sizes, self.sizes[1:], strict=False)
            ]
        for layer in range(self.num_layers):
            values = torch.stack([drawn[seed][layer] for seed in seeds])
            self.weights[layer].copy_(values[:, :-1])
            self.biases[layer].copy_(values[:, -1:])
        for coefficients in self.coefficients:
            coefficients.copy_(torch.tensor([0.0, 1.0, 0.1]))
        return self

    def with_parameters(self, flat: Float[Tensor, " parameters"]) -> StackedMLP:
        """A stack of this architecture whose parameters are the given tensor itself, graph and all."""
        other = copy(self)
        other.flat = flat
        other.weights, other.biases, other.coefficients = other.views(flat)
        return other

    def select(self, members: Tensor | list[int]) -> StackedMLP:
        """A new stack of the given members, in that order; the parameters are copied."""
        index = torch.as_tensor(members, device=self.flat.device)
        chosen = StackedMLP(
            self.sizes,
            len(index),
            self.activation.name,
            dtype=self.flat.dtype,
            device=self.flat.device,
        )
        for mine, theirs in zip(chosen.blocks(), self.blocks(), strict=True):
            mine.copy_(theirs[index])
        return chosen

    @classmethod
    def concatenate(cls, stacks: list[StackedMLP]) -> StackedMLP:
        """One stack of the members of several, in order."""
        first = stacks[0]
        joined = cls(
            first.sizes,
            sum(stack.num_members for stack in stacks),
            first.activation.name,
            dtype=first.flat.dtype,
            device=first.flat.device,
        )
        for parts in zip(joined.blocks(), *(stack.blocks() for stack in stacks), strict=True):
            torch.cat(parts[1:], out=parts[0])
        return joined

    def to(self, dtype: torch.dtype, device: torch.device | str | None = None) -> StackedMLP:
        """A copy in another precision (and on another device)."""
        copy = StackedMLP(
            self.sizes,
            self._num_members,
            self.activation.name,
            dtype=dtype,
            device=device or self.flat.device,
        )
        copy.flat.copy_(self.flat)
        return copy

    def blocks(self) -> list[Tensor]:
        """Weights, biases and coefficients of every layer, members first in each."""
        return [*self.weights, *self.biases, *self.coefficients]

    def run(
        self,
        x: Float[Tensor, "members n d"],
        order: int = 0,
        weights: list[Tensor] | None = None,
        masks: list[Tensor] | None = None,
    ) -> ForwardPass:
        """Forward pass that keeps what later passes need.

        Args:
            x: inputs in network coordinates; a leading axis of 1 shares them among the members.
            order: 1 keeps the slopes, 2 the curvatures as well.
            weights: used instead of the stack's own (spectrally bounded ones).
            masks: of each hidden layer, what its units are multiplied with (dropout), ``(P, n, width)``.
        """
        weights = self.weights if weights is None else weights
        keep_z = bool(self.coefficients)
        h = x.expand(self._num_members, -1, -1)
        inputs, slopes, curvatures, preactivations = [h], [], [], []
        for layer in range(self.num_layers - 1):
            z = torch.baddbmm(self.biases[layer], h, weights[layer])
            coefficients = self.coefficients[layer] if self.coefficients else None
            h, slope, curvature = self.activation.evaluate(z, order, coefficients)
            if masks is not None:
                h = h * masks[layer]
                slope, curvature = (
                    None if part is None else part * masks[layer] for part in (slope, curvature)
                )
            inputs.append(h)
            if slope is not None:
                slopes.append(slope)
            if curvature is not None:
                curvatures.append(curvature)
            if keep_z:
                preactivations.append(z)
        output = _affine(h, weights[-1], self.biases[-1])
        return ForwardPass(inputs, slopes, curvatures, preactivations, output, masks or [])

    def forward(self, x: Float[Tensor, "members n d"]) -> Float[Tensor, "members n m"]:
        """Outputs of every member; ``x`` may have a leading axis of 1 to be shared."""
        outputs = [self.run(chunk).output for chunk in self.chunks(x)]
        return outputs[0] if len(outputs) == 1 else torch.cat(outputs, 1)

    def value_and_gradient(
        self, x: Float[Tensor, "members n d"]
    ) -> tuple[Float[Tensor, "members n"], Float[Tensor, "members n d"]]:
        """Values and input gradients of single-output members, in network coordinates.

        Raises:
            InputError: the members have several outputs.
        """
        if self.sizes[-1] != 1:
            raise InputError(f"value_and_gradient: expected one output, got {self.sizes[-1]}")
        parts = [self._value_and_gradient(chunk) for chunk in self.chunks(x)]
        return torch.cat([value for value, _ in parts], 1), torch.cat([gradient for _, gradient in parts], 1)

    def _value_and_gradient(self, x: Tensor) -> tuple[Tensor, Tensor]:
        passed = self.run(x, order=1)
        if self.num_layers == 1:
            gradient = self.weights[0].transpose(1, 2).expand(-1, passed.output.shape[1], -1)
            return passed.output[..., 0], gradient
        first = self.output_slopes(passed, self.weights)[0]
        return passed.output[..., 0], torch.bmm(first, self.weights[0].transpose(1, 2))

    def value_and_jacobian(
        self, x: Float[Tensor, "members n d"]
    ) -> tuple[Float[Tensor, "members n m"], Float[Tensor, "members n m d"]]:
        """Outputs of every member and their derivatives by the inputs, in network coordinates."""
        parts = [self._value_and_jacobian(chunk) for chunk in self.chunks(x, rows_per_point=self.sizes[-1])]
        return torch.cat([value for value, _ in parts], 1), torch.cat([jacobian for _, jacobian in parts], 1)

    def _value_and_jacobian(self, x: Tensor) -> tuple[Tensor, Tensor]:
        passed = self.run(x, order=1)
        backwards = self.weights[-1].transpose(1, 2)[:, None]
        for slope, weight in zip(passed.slopes[::-1], self.weights[-2::-1], strict=True):
            rows = backwards * slope[:, :, None]
            backwards = torch.bmm(rows.flatten(1, 2), weight.transpose(1, 2)).view(*rows.shape[:3], -1)
        return passed.output, backwards.expand(-1, passed.output.shape[1], -1, -1)

    def chunks(self, x: Float[Tensor, "members n d"], rows_per_point: int = 1) -> tuple[Tensor, ...]:
        """Points in portions whose hidden layers fit the processor's caches, four to six times faster.

        Args:
            x: the points.
            rows_per_point: rows of a hidden layer that each point needs.
        """
        size = max(32, _CACHED_NUMBERS // (self._num_members * max(self.sizes) * rows_per_point))
        return torch.split(x, size, dim=1)

    def output_slopes(self, passed: ForwardPass, weights: list[Tensor]) -> list[Tensor]:
        """Derivative of the single output by each hidden preactivation, first layer first.

        v_l = phi'(z_l) * (W_{l+1} v_{l+1}), each ``(members, n, width)``.
        """
        slopes = passed.slopes
        v = [slopes[-1] * weights[-1].transpose(1, 2)]
        for layer in range(len(slopes) - 2, -1, -1):
            v.append(torch.bmm(v[-1], weights[layer + 1].transpose(1, 2)).mul_(slopes[layer]))
        return v[::-1]


def _affine(h: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """h W + b; batched products with a single column are slow, so those become sums."""
    if weight.shape[-1] == 1:
        return (h * weight.transpose(1, 2)).sum(-1, keepdim=True) + bias
    return torch.baddbmm(bias, h, weight)
