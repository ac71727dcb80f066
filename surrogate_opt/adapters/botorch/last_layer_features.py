"""What a Bayesian last layer is linear in: hidden activations of trained networks, random cosines, a trend.

A few rows leave the trained networks few directions that the rows do not decide, so a head on their features
alone is sure of itself in the wrong places. The cosines, which have seen nothing, know what is far from all
rows and what is close to one. Measured on Hartmann6, 4 instances, 30 evaluations: mean regret 3.8 standard
deviations without them, 0.3 with them (Sobol points: 4.3).
"""

from __future__ import annotations

import math
from typing import Any, Self

import torch
from jaxtyping import Float
from torch import Tensor, nn

from surrogate_opt.adapters.botorch.fourier_features import FourierFeatures
from surrogate_opt.adapters.botorch.last_layer_head import Head
from surrogate_opt.adapters.botorch.trend import trend_features
from surrogate_opt.data import Scaling
from surrogate_opt.errors import InputError
from surrogate_opt.networks import StackedMLP


def hidden_features(stack: StackedMLP, u: Float[Tensor, "n d"]) -> Float[Tensor, "n k"]:
    """Last hidden activations of all members, over the square root of their number, side by side."""
    members = torch.cat([stack.run(chunk).inputs[-1] for chunk in stack.chunks(u[None])], 1)
    features = members.transpose(0, 1).reshape(len(u), -1)
    return features / math.sqrt(features.shape[1])


def uncentered_features(
    stack: StackedMLP, waves: FourierFeatures, u: Float[Tensor, "n d"]
) -> Float[Tensor, "n k"]:
    """Hidden features of all members, then the cosines."""
    return torch.cat([hidden_features(stack, u), waves(u)], 1)


class FeatureRegression(nn.Module):
    """A head on features of trained networks and cosines: the posterior before any further observation.

    Args:
        stack: the networks, in network coordinates; copied.
        scaling: between raw units and network coordinates.
        waves: the cosines.
        center: what is subtracted from hidden features and cosines, ``(k,)``.
        head: posterior of the weights.

    Raises:
        InputError: shapes that do not belong together, or numbers that are not finite.
    """

    weights: Tensor
    lower: Tensor
    upper: Tensor
    y_mean: Tensor
    y_std: Tensor
    frequencies: Tensor
    phases: Tensor
    center: Tensor
    head_mean: Tensor
    head_root: Tensor
    noise: Tensor

    def __init__(
        self,
        stack: StackedMLP,
        scaling: Scaling,
        waves: FourierFeatures,
        center: Float[Tensor, " k"],
        head: Head,
    ) -> None:
        super().__init__()
        _check_parts(stack, scaling, waves, center, head)
        self._stack = stack.to(torch.float64)
        tensors = {
            "weights": self._stack.flat,
            "lower": scaling.lower,
            "upper": scaling.upper,
            "frequencies": waves.frequencies,
            "phases": waves.phases,
            "center": center,
            "head_mean": head.mean,
            "head_root": head.root,
        }
        for name, tensor in tensors.items():
            # contiguous, as a file gives them back: how products round depends on the layout
            self.register_buffer(name, tensor.double().clone(memory_format=torch.contiguous_format))
        for name, number in (("y_mean", scaling.y_mean), ("y_std", scaling.y_std), ("noise", head.noise)):
            self.register_buffer(name, torch.tensor(number, dtype=torch.float64))

    @property
    def num_inputs(self) -> int:
        """The number d of inputs."""
        return self._stack.sizes[0]

    def forward(
        self, x: Float[Tensor, "*batch q d"]
    ) -> tuple[Float[Tensor, "*batch q"], Float[Tensor, "*batch q p"]]:
        """Mean at raw points, and a root of their covariance (root root^T), both in standardized units."""
        scaling = Scaling(self.lower, self.upper, float(self.y_mean), float(self.y_std))
        u = scaling.unit(x.double()).reshape(-1, self.num_inputs)
        waves = FourierFeatures(frequencies=self.frequencies, phases=self.phases)
        features = uncentered_features(self._stack.with_parameters(self.weights), waves, u) - self.center
        columns = torch.cat([features, trend_features(u)], 1)
        mean, root = columns @ self.head_mean, columns @ self.head_root.T
        return mean.view(x.shape[:-1]), root.view(*x.shape[:-1], -1)

    def architecture(self) -> dict[str, Any]:
        """What ``from_tensors`` has to know beside the tensors."""
        return {
            "sizes": list(self._stack.sizes),
            "num_members": self._stack.num_members,
            "activation": self._stack.activation.name,
        }

    @classmethod
    def from_tensors(cls, tensors: dict[str, Tensor], architecture: dict[str, Any]) -> Self:
        """The inverse of ``state_dict`` and ``architecture``.

        Raises:
            ValueError, KeyError, RuntimeError: they do not belong together.
        """
        stack = StackedMLP(
            tuple(architecture["sizes"]),
            architecture["num_members"],
            architecture["activation"],
            dtype=torch.float64,
        )
        stack.flat.copy_(tensors["weights"])
        scaling = Scaling(
            tensors["lower"], tensors["upper"], tensors["y_mean"].item(), tensors["y_std"].item()
        )
        waves = FourierFeatures(frequencies=tensors["frequencies"], phases=tensors["phases"])
        head = Head(mean=tensors["head_mean"], root=tensors["head_root"], noise=tensors["noise"].item())
        return cls(stack, scaling, waves, tensors["center"], head)


def _check_parts(
    stack: StackedMLP, scaling: Scaling, waves: FourierFeatures, center: Tensor, head: Head
) -> None:
    d, m = stack.sizes[0], waves.phases.numel()
    k = stack.num_members * stack.sizes[-2] + m
    if stack.num_layers < 2:
        raise InputError(f"stack: expected networks with a hidden layer, got the sizes {stack.sizes}")
    for label, tensor, shape in (
        ("scaling.lower", scaling.lower, (d,)),
        ("scaling.upper", scaling.upper, (d,)),
        ("waves.frequencies", waves.frequencies, (d, m)),
        ("center", center, (k,)),
        ("head.mean", head.mean, (k + d + 2,)),
        ("head.root", head.root, (k + d + 2, k + d + 2)),
        ("stack", stack.flat, tuple(stack.flat.shape)),
    ):
        if tuple(tensor.shape) != shape:
            raise InputError(f"{label}: expected the shape {shape}, got {tuple(tensor.shape)}")
        if not bool(tensor.isfinite().all()):
            raise InputError(f"{label}: expected finite numbers, got nan or inf")
    if not bool((scaling.lower < scaling.upper).all()):
        raise InputError("scaling: expected lower < upper in every input")
    for label, number in (("scaling.y_std", scaling.y_std), ("head.noise", head.noise)):
        if not 0.0 < number < math.inf:
            raise InputError(f"{label}: expected a finite number above 0, got {number}")
