"""A Gaussian process on features that a compact network makes, as a BoTorch model."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Self

import torch
from botorch.models import SingleTaskGP
from botorch.models.transforms import Normalize, Standardize
from botorch.posteriors.gpytorch import GPyTorchPosterior
from botorch.posteriors.transformed import TransformedPosterior
from gpytorch.constraints import Positive  # type: ignore[import-untyped]  # has no types
from gpytorch.kernels import Kernel  # type: ignore[import-untyped]  # has no types
from gpytorch.likelihoods import GaussianLikelihood  # type: ignore[import-untyped]  # has no types
from gpytorch.means import ConstantMean  # type: ignore[import-untyped]  # has no types
from gpytorch.settings import max_cholesky_size  # type: ignore[import-untyped]  # has no types
from jaxtyping import Float
from torch import Tensor

from surrogate_opt.adapters.botorch.deep_kernel_training import DeepKernel
from surrogate_opt.adapters.botorch.marginal_likelihood import kernel_matrix
from surrogate_opt.errors import InputError
from surrogate_opt.networks import StackedMLP
from surrogate_opt.penalties import Strength

_EXACT_UP_TO = 20_000  # rows; beyond its own limit gpytorch turns to conjugate gradients, which are not exact


class WarpedKernel(Kernel):  # type: ignore[misc]  # gpytorch has no types
    """A trained deep kernel on points of the unit box.

    Args:
        kernel: what was trained; its numbers are copied into buffers.
        calibration: what predictive deviations are multiplied with.
    """

    network: Tensor
    scales: Tensor
    calibration: Tensor

    def __init__(self, kernel: DeepKernel, calibration: float) -> None:
        super().__init__()
        self._trained = kernel
        self.register_buffer("network", kernel.stack.flat.clone())
        self.register_buffer("scales", kernel.hyperparameters.clone())
        self.register_buffer("calibration", torch.tensor(calibration, dtype=torch.float64))

    @property
    def trained(self) -> DeepKernel:
        """The deep kernel, on the numbers that the buffers hold now."""
        return DeepKernel(
            stack=self._trained.stack.with_parameters(self.network),
            strength=self._trained.strength,
            hyperparameters=self.scales,
        )

    def forward(self, x1: Tensor, x2: Tensor, diag: bool = False, **params: Any) -> Tensor:
        """Prior covariance between points of the unit box, in units of the standardized target."""
        kernel = self.trained
        z1, t1 = kernel.features(2.0 * x1 - 1.0)
        scale = self.calibration.square()
        if diag:
            return scale * (1.0 + t1.square().sum(-1))
        z2, t2 = kernel.features(2.0 * x2 - 1.0)
        return scale * kernel_matrix(z1, t1, z2, t2)


class DeepKernelGP(SingleTaskGP):
    """An exact Gaussian process with a trained deep kernel: conditioning, fantasies and all of BoTorch.

    Args:
        train_X: inputs ``(n, d)``, raw units.
        train_Y: targets ``(n, 1)``, raw units.
        bounds: the box that becomes the unit box, ``(2, d)``.
        kernel: the trained extractor and hyperparameters.
        calibration: what predictive deviations are multiplied with; the mean stays.
    """

    def __init__(
        self,
        train_X: Float[Tensor, "n d"],
        train_Y: Float[Tensor, "n 1"],
        *,
        bounds: Float[Tensor, "2 d"],
        kernel: DeepKernel,
        calibration: float = 1.0,
    ) -> None:
        mean = ConstantMean()
        mean.constant.data = kernel.mean.detach().clone()
        likelihood = GaussianLikelihood(noise_constraint=Positive()).double()
        likelihood.noise = calibration**2 * kernel.noise.detach()
        super().__init__(
            train_X.double(),
            train_Y.double(),
            likelihood=likelihood,
            covar_module=WarpedKernel(kernel, calibration),
            mean_module=mean,
            input_transform=Normalize(train_X.shape[-1], bounds=bounds.double()),
            outcome_transform=Standardize(1),
        )
        self._raw = (train_X.double(), train_Y.double(), bounds.double())
        self.requires_grad_(False)  # trained already
        self.eval()

    def posterior(self, X: Tensor, *args: Any, **kwargs: Any) -> GPyTorchPosterior | TransformedPosterior:
        """See BoTorch; exact also for thousands of rows, float64 whatever X is."""
        with max_cholesky_size(_EXACT_UP_TO):
            return super().posterior(X.double(), *args, **kwargs)

    def subset_output(self, idcs: list[int]) -> DeepKernelGP:
        """This model, for [0] is all there is.

        Raises:
            InputError: an output that is not there.
        """
        if idcs not in ([0], [-1]):
            raise InputError(f"outputs: expected [0], all that a deep kernel has, got {idcs}")
        return self

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        """Follow a move to another device, never to another precision: acquisitions call ``.to(X)``."""
        return super()._apply(lambda tensor: tensor.to(fn(tensor).device))  # type: ignore[no-any-return, no-untyped-call]

    def to_tensors(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """What ``from_tensors`` rebuilds the model from.

        Raises:
            InputError: the model was conditioned on further observations, which would be lost.
        """
        num_rows, num_made_with = self.train_inputs[0].shape[-2], len(self._raw[0])
        if num_rows != num_made_with:
            raise InputError(
                f"model: expected the {num_made_with} rows that it was fitted to, got one conditioned on "
                f"{num_rows}; save it before it is conditioned"
            )
        covariance = self.covar_module
        assert isinstance(covariance, WarpedKernel)
        kernel = covariance.trained
        train_x, train_y, bounds = self._raw
        tensors = {
            "train_x": train_x,
            "train_y": train_y,
            "bounds": bounds,
            "parameters": kernel.stack.flat,
            "hyperparameters": kernel.hyperparameters,
        }
        return tensors, {
            "sizes": list(kernel.stack.sizes),
            "activation": kernel.stack.activation.name,
            "strength": kernel.strength.to_dict(),
            "calibration": float(covariance.calibration),
        }

    @classmethod
    def from_tensors(cls, tensors: dict[str, Tensor], about: dict[str, Any]) -> DeepKernelGP:
        """The inverse of ``to_tensors``.

        Raises:
            ValueError, KeyError, RuntimeError: the two do not belong together.
        """
        stack = StackedMLP(tuple(about["sizes"]), 1, about["activation"], dtype=torch.float64)
        stack.flat.copy_(tensors["parameters"])
        kernel = DeepKernel(
            stack=stack,
            strength=Strength(**about["strength"]),
            hyperparameters=tensors["hyperparameters"],
        )
        return cls(
            tensors["train_x"],
            tensors["train_y"],
            bounds=tensors["bounds"],
            kernel=kernel,
            calibration=about["calibration"],
        )
