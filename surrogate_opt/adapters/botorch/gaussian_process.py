"""The reference of Bayesian optimization: BoTorch's SingleTaskGP with its default priors."""

from __future__ import annotations

from botorch.exceptions.errors import ModelFittingError
from botorch.fit import fit_gpytorch_mll
from botorch.models import SingleTaskGP
from botorch.models.transforms import Normalize, Standardize
from botorch.utils.sampling import manual_seed
from gpytorch.mlls import ExactMarginalLogLikelihood  # type: ignore[import-untyped]  # has no types
from jaxtyping import Float
from linear_operator.utils.errors import (  # type: ignore[import-untyped]  # has no types
    NanError,
    NotPSDError,
)
from torch import Tensor

from surrogate_opt.adapters.botorch.fitter import FitterState
from surrogate_opt.errors import TrainingError


class GaussianProcessFitter:
    """Fits a SingleTaskGP from scratch every time, as BoTorch's users do.

    Args:
        seed: of restarts of a fit that did not succeed.
        bounds: the box of the inputs, ``(2, d)``; the unit box where none is given.
    """

    def __init__(self, *, seed: int = 0, bounds: Float[Tensor, "2 d"] | None = None) -> None:
        self._seed, self._bounds = seed, bounds

    def fit(self, x: Float[Tensor, "n d"], y: Float[Tensor, " n"], *, choose_strength: bool) -> SingleTaskGP:
        """See ``ModelFitter``."""
        normalize = None if self._bounds is None else Normalize(x.shape[1], bounds=self._bounds)
        model = SingleTaskGP(x, y[:, None], outcome_transform=Standardize(1), input_transform=normalize)
        try:
            with manual_seed(self._seed):
                fit_gpytorch_mll(ExactMarginalLogLikelihood(model.likelihood, model))
        except (ModelFittingError, NanError, NotPSDError) as error:
            raise TrainingError(f"Gaussian process: the fit failed ({error})") from None
        return model

    def state(self) -> FitterState:
        """Nothing: every fit starts afresh."""
        return FitterState()

    def restore(self, state: FitterState) -> None:
        """Nothing to restore."""
