"""Quick fitters with known behavior, for the tests of the Bayesian loop."""

from __future__ import annotations

import torch
from botorch.models import SingleTaskGP
from botorch.models.ensemble import EnsembleModel
from botorch.models.transforms import Standardize
from torch import Tensor

from surrogate_opt.adapters.botorch.fitter import FitterState
from surrogate_opt.errors import TrainingError
from surrogate_opt.loops.bayesian import AcquisitionBudget

SMALL = AcquisitionBudget(
    num_restarts=4, raw_samples=32, max_iterations=20, num_samples=16, num_fantasies=2, num_candidates=100
)


class FixedProcess:
    """A Gaussian process of a fixed length scale, which each fit that its state has seen makes shorter.

    So a loop that loses or repeats a state proposes other points.
    """

    length_scale = 0.6

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.fits: list[tuple[Tensor, Tensor, bool]] = []
        self._state = FitterState()

    def fit(self, x: Tensor, y: Tensor, *, choose_strength: bool) -> SingleTaskGP:
        self.fits.append((x.clone(), y.clone(), choose_strength))
        num_fits = len(self._state.about.get("chosen", [])) + 1
        scale = self.length_scale * (0.7 + 0.3 / num_fits)
        model = SingleTaskGP(x, y[:, None], outcome_transform=Standardize(1))
        model.covar_module.lengthscale = scale
        model.likelihood.noise = 1e-4
        model.eval()
        self._state = FitterState(
            tensors={"scale": torch.tensor([scale])},
            about={
                "chosen": [*self._state.about.get("chosen", []), choose_strength],
                "level": 0.01 * num_fits,
            },
        )
        return model

    def state(self) -> FitterState:
        return self._state

    def restore(self, state: FitterState) -> None:
        self._state = state


class RoughProcess(FixedProcess):
    """A length scale so short that every acquisition has values of a usual size."""

    length_scale = 0.3


class Recorder:
    """A factory of fitters that remembers those it made."""

    def __init__(self) -> None:
        self.made: list[FixedProcess] = []

    def __call__(self, seed: int) -> FixedProcess:
        self.made.append(FixedProcess(seed))
        return self.made[-1]

    @property
    def fits(self) -> list[tuple[Tensor, Tensor, bool]]:
        return [fit for fitter in self.made for fit in fitter.fits]


class Planes(EnsembleModel):
    """Members that are planes of different slopes, scaled by a factor."""

    def __init__(self, dim: int, factor: float = 1.0) -> None:
        super().__init__()
        slopes = torch.randn(4, dim, generator=torch.Generator().manual_seed(0))
        self.slopes = factor * slopes.double()
        self._num_outputs = 1

    def forward(self, X: Tensor) -> Tensor:
        return (X.unsqueeze(-3) * self.slopes[:, None]).sum(-1, keepdim=True)


class PlanesFitter(FixedProcess):
    """An ensemble that learns nothing."""

    factor = 1.0

    def fit(self, x: Tensor, y: Tensor, *, choose_strength: bool) -> Planes:
        return Planes(x.shape[1], self.factor)


class NanFitter(PlanesFitter):
    """A model that predicts NaN."""

    factor = float("nan")


class BrokenFitter(FixedProcess):
    """A fit that never succeeds."""

    def fit(self, x: Tensor, y: Tensor, *, choose_strength: bool) -> SingleTaskGP:
        raise TrainingError("every member failed\nwith a second line")
