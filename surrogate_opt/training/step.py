"""The gradient of the penalized loss in closed form, for a whole stack at once.

loss = error + sum of strength * penalty, through spectrally bounded weights where a bound is set and dropped
units where there is dropout; of several outputs the squared error is the mean, the penalties are sums. Each
penalty leaves its part at the outputs, at the weights and at the slopes phi'(z); one backward pass then
carries the error (through phi') and the slopes' adjoints (through phi'') down together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from surrogate_opt.errors import InputError
from surrogate_opt.networks import ForwardPass, PowerIteration, StackedMLP
from surrogate_opt.penalties import InputGradientPass, Strength, add_dreg_gradient, differentiate_igp
from surrogate_opt.penalties.projections import (
    confidence_gradient,
    differentiate_jacreg,
    differentiate_projection,
    one_hot,
    random_basis,
    spectral_directions,
)
from surrogate_opt.training.losses import CROSS_ENTROPY, SQUARED_ERROR, Loss
from surrogate_opt.training.noise import MemberNoise, uniform

_INPUT_GRADIENTS: Final = ("igp", "datagrad", "spectreg", "onehot", "random_onehot", "jacreg")
_DEVICES: Final = ("dreg", *_INPUT_GRADIENTS, "confidence", "dropout", "spectral_bound", "spectral_exact")
_OF_LABELS: Final = ("onehot", "jacreg", "confidence")
_RANDOM: Final = {"spectreg": (1, spectral_directions), "random_onehot": (2, random_basis)}


@dataclass(frozen=True)
class Controls:
    """The strengths of a stack's members as tensors, of those devices that some member uses.

    Attributes:
        columns: ``(P, 1, 1)`` by the name in ``Strength``.
        seeds: of the members' dropout and random directions, P of them.
    """

    columns: dict[str, Tensor]
    seeds: tuple[int, ...]

    @classmethod
    def of(cls, strengths: Sequence[Strength], like: Tensor, seeds: Sequence[int] | None = None) -> Controls:
        """Collect the strengths, with the dtype and device of ``like``; seeds are 0 where none are."""
        neutral = Strength()
        columns = {}
        for name in _DEVICES:
            values = [getattr(strength, name) for strength in strengths]
            if any(value != getattr(neutral, name) for value in values):
                dtype = torch.bool if name == "spectral_exact" else like.dtype
                columns[name] = torch.tensor(values, dtype=dtype, device=like.device)[:, None, None]
        return cls(columns, tuple(seeds) if seeds is not None else (0,) * len(strengths))

    def get(self, name: str) -> Tensor | None:
        """The strengths of a device; None where no member uses it."""
        return self.columns.get(name)

    @property
    def penalizes_slopes(self) -> bool:
        """Whether phi'' is needed, where it is not zero."""
        return any(name in self.columns for name in ("dreg", *_INPUT_GRADIENTS))


class SpectralBound:
    """Keeps every layer's spectral norm at most c, or at c where that is exact, by power iteration."""

    def __init__(
        self,
        stack: StackedMLP,
        bound: Float[Tensor, "members 1 1"],
        exact: Bool[Tensor, "members 1 1"] | None = None,
    ) -> None:
        self._stack = stack
        self._bound = bound
        self._exact = exact
        self._states = [PowerIteration.start(weight) for weight in stack.weights]
        self._shrinkages: list[Tensor] = []

    def bounded_weights(self, iterations: int = 1) -> list[Tensor]:
        """Weights scaled down to the bound, after some rounds of power iteration."""
        self._shrinkages = []
        bounded = []
        for state, weight in zip(self._states, self._stack.weights, strict=True):
            state.iterate(weight, iterations)
            self._shrinkages.append(state.shrinkage(self._bound, self._exact))
            bounded.append(weight * self._shrinkages[-1])
        return bounded

    def estimated_weights(self) -> list[Tensor]:
        """Weights over the norms that the singular vectors of the last round see in them: c W / (u^T W v)."""
        return [
            weight * self._bound / (state.left @ weight @ state.right.transpose(1, 2))
            for state, weight in zip(self._states, self._stack.weights, strict=True)
        ]

    def pull_back(self, weight_gradients: list[Tensor]) -> None:
        """Turn gradients at the bounded weights into gradients at the raw ones, in place."""
        parts = zip(weight_gradients, self._states, self._stack.weights, self._shrinkages, strict=True)
        for gradient, state, weight, shrinkage in parts:
            state.pull_back(gradient, weight, shrinkage, self._exact)


class ClosedFormGradient:
    """Computes the gradient of the penalized loss of a stack into one flat buffer.

    Args:
        stack: the networks.
        controls: their strengths.
        loss: of the outputs, averaged over the batch.

    Raises:
        InputError: a penalty of classifiers and another loss than theirs.

    Attributes:
        flat: the gradient, laid out like ``stack.flat``; overwritten by every call.
    """

    def __init__(self, stack: StackedMLP, controls: Controls, loss: Loss = SQUARED_ERROR) -> None:
        if loss is not CROSS_ENTROPY and any(name in controls.columns for name in _OF_LABELS):
            raise InputError(f"strengths: {', '.join(_OF_LABELS)} are penalties of classifiers alone")
        self._stack = stack
        self._controls = controls
        self._loss = loss
        self.flat = torch.zeros_like(stack.flat)
        self._weights, self._biases, self._coefficients = stack.views(self.flat)
        self._order = 2 if controls.penalizes_slopes and not stack.activation.piecewise_linear else 1
        bound = controls.get("spectral_bound")
        self.bound = None if bound is None else SpectralBound(stack, bound, controls.get("spectral_exact"))
        self._dropout = MemberNoise(controls.seeds, 0) if "dropout" in controls.columns else None
        self._directions = {
            name: (MemberNoise(controls.seeds, purpose), draw)
            for name, (purpose, draw) in _RANDOM.items()
            if name in controls.columns
        }

    @torch.no_grad()
    def __call__(self, x: Float[Tensor, "members n d"], y: Tensor) -> None:
        """Write the gradient over the batch into ``flat``; targets are what the loss takes."""
        stack = self._stack
        weights = stack.weights if self.bound is None else self.bound.bounded_weights()
        passed = stack.run(x, self._order, weights, self._masks(x.shape[1]))
        self._backward(passed, weights, y)
        if self.bound is not None:
            self.bound.pull_back(self._weights)

    def _masks(self, num_rows: int) -> list[Tensor] | None:
        """Inverted dropout of every hidden layer; members without it have ones."""
        if self._dropout is None:
            return None
        keep = 1.0 - self._controls.columns["dropout"]
        drawn = [
            self._dropout.draw(uniform, (num_rows, width), self.flat) for width in self._stack.sizes[1:-1]
        ]
        return [(numbers < keep).to(self.flat.dtype).div_(keep) for numbers in drawn]

    def _backward(self, passed: ForwardPass, weights: list[Tensor], target: Tensor) -> None:
        controls, output = self._controls, passed.output
        merged: InputGradientPass | None = None
        error = self._loss.gradient(output, target, output.shape[1])
        found = self._project(passed, weights, target, error)
        confidence, dreg, igp = (controls.get(name) for name in ("confidence", "dreg", "igp"))
        if confidence is not None:
            error += confidence_gradient(output, confidence)
        self._begin(passed, error)
        factors: list[Tensor] = []
        if dreg is not None:
            factors = add_dreg_gradient(self._stack, passed, weights, dreg, self._weights)
        if igp is not None:
            found.append(differentiate_igp(self._stack, passed, weights, igp))
            if self._stack.activation.piecewise_linear and error.shape[-1] == 1 and passed.slopes:
                merged = found[-1]
        for part in found:
            self._weights[-1].add_(part.output_gradient)
            if part is not merged:
                for gradient, u_bar, v in zip(self._weights, part.u_bars, part.v, strict=False):
                    gradient.baddbmm_(u_bar.transpose(1, 2), v)
        if merged is not None:
            self._combine(passed, error, merged)
        else:
            adjoints = zip(*(part.slope_adjoints for part in found), strict=True)
            self._descend(passed, weights, error, factors, [sum(rest, one) for one, *rest in adjoints])

    def _project(
        self, passed: ForwardPass, weights: list[Tensor], target: Tensor, error: Tensor
    ) -> list[InputGradientPass]:
        """The passes of all penalties on J seen along directions; what goes through w joins the error."""
        controls, output, stack = self._controls, passed.output, self._stack
        found = []
        datagrad, onehot, jacreg = (controls.get(name) for name in ("datagrad", "onehot", "jacreg"))
        if datagrad is not None:
            own = self._loss.gradient(output, target)
            part, adjoint = differentiate_projection(stack, passed, weights, datagrad, own)
            error += self._loss.curvature_product(output, adjoint)
            found.append(part)
        if jacreg is not None:
            part, adjoint = differentiate_jacreg(stack, passed, weights, jacreg)
            error += adjoint
            found.append(part)
        directions = {
            name: noise.draw(draw, (output.shape[1], output.shape[2]), output)
            for name, (noise, draw) in self._directions.items()
        }
        if onehot is not None:
            labels = target.expand(output.shape[:2])
            directions["onehot"] = one_hot(labels, output.shape[2], output)
        for name, w in directions.items():
            found.append(differentiate_projection(stack, passed, weights, controls.columns[name], w)[0])
        return found

    def _begin(self, passed: ForwardPass, error: Tensor) -> None:
        """Zero what is added to; write the output layer, whose gradient is known already."""
        for gradient in self._weights[:-1]:
            gradient.zero_()
        if error.shape[-1] == 1:
            self._weights[-1].copy_(torch.bmm(error.transpose(1, 2), passed.inputs[-1]).transpose(1, 2))
        else:
            torch.bmm(passed.inputs[-1].transpose(1, 2), error, out=self._weights[-1])
        torch.sum(error, 1, keepdim=True, out=self._biases[-1])

    def _descend(
        self,
        passed: ForwardPass,
        weights: list[Tensor],
        error: Tensor,
        factors: list[Tensor],
        slope_adjoints: list[Tensor],
    ) -> None:
        """Carry the error (through phi') and the slopes' adjoints (through phi'') down the layers.

        An adjoint factor * phi' at the slope is, at z, phi' * (factor * phi''): it joins the error.
        """
        delta = error
        for layer in range(self._stack.num_layers - 2, -1, -1):
            above = weights[layer + 1].transpose(1, 2)
            h_bar = delta * above if above.shape[1] == 1 else torch.bmm(delta, above)
            if self._coefficients:
                self._add_coefficient_gradient(layer, passed, h_bar, factors, slope_adjoints)
            if factors:
                h_bar.addcmul_(factors[layer], passed.curvatures[layer])
            delta = h_bar.mul_(passed.slopes[layer])
            if slope_adjoints:
                delta.addcmul_(slope_adjoints[layer], passed.curvatures[layer])
            self._weights[layer].baddbmm_(passed.inputs[layer].transpose(1, 2), delta)
            torch.sum(delta, 1, keepdim=True, out=self._biases[layer])

    def _combine(self, passed: ForwardPass, error: Tensor, found: InputGradientPass) -> None:
        """Where phi'' is zero, the loss's delta_l is the error times v_l, so both terms share one product.

        For several outputs the product would have m times the rows; apart they are cheaper.
        """
        for layer, (v, u_bar) in enumerate(zip(found.v, found.u_bars, strict=True)):
            left = torch.addcmul(u_bar, passed.inputs[layer], error)
            self._weights[layer].baddbmm_(left.transpose(1, 2), v)
            torch.bmm(error.transpose(1, 2), v, out=self._biases[layer])

    def _add_coefficient_gradient(
        self,
        layer: int,
        passed: ForwardPass,
        h_bar: Tensor,
        factors: list[Tensor],
        slope_adjoints: list[Tensor],
    ) -> None:
        """Gradient of h = a_0 + a_1 z + a_2 z^2 and phi' = a_1 + 2 a_2 z by the coefficients a."""
        z = passed.preactivations[layer]
        slope_parts = [factor * passed.slopes[layer] for factor in factors[layer : layer + 1]]
        slope_parts += slope_adjoints[layer : layer + 1]
        if passed.masks:
            h_bar, *slope_parts = (part * passed.masks[layer] for part in (h_bar, *slope_parts))
        powers = torch.stack([h_bar.sum((1, 2)), (h_bar * z).sum((1, 2)), (h_bar * z * z).sum((1, 2))], -1)
        for adjoint in slope_parts:
            powers[:, 1] += adjoint.sum((1, 2))
            powers[:, 2] += 2.0 * (adjoint * z).sum((1, 2))
        self._coefficients[layer].copy_(powers)
