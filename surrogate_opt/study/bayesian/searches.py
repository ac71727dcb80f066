"""How one model proposes points: a loop that follows it, or the Sobol sequence that needs none."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import torch
from jaxtyping import Float
from surrogate_problems.problem import Problem
from torch import Tensor

from surrogate_opt.diagnostics import sobol_points
from surrogate_opt.errors import TrainingError
from surrogate_opt.loops.bayesian import BayesianLoop
from surrogate_opt.study.bayesian.spec import BayesianCell

ACQUISITION = "log_ei"
DEFAULT_PENALTY = "dreg"
"""Of models whose name tells none: the loop's own default."""


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """What a search knew of a proposal when it made it.

    Attributes:
        mean: predicted value, raw units; NaN without a model.
        std: its standard deviation.
        fallback: whether the model could not be used and the point is a Sobol point instead.
        seconds_fit: what the refit took; NaN without a model.
        seconds_acquisition: what optimizing the acquisition took.
    """

    mean: float
    std: float
    fallback: bool
    seconds_fit: float
    seconds_acquisition: float


NO_PREDICTION = Prediction(
    mean=math.nan, std=math.nan, fallback=False, seconds_fit=math.nan, seconds_acquisition=math.nan
)


class Search(Protocol):
    """Proposes one point after the other; points are in raw units, smaller values are better."""

    def tell(self, x: Float[Tensor, "n d"], y: Float[Tensor, " n"]) -> None:
        """Take in evaluations."""
        ...

    def ask(self) -> Float[Tensor, " d"]:
        """The next point to evaluate."""
        ...

    def prediction(self) -> Prediction:
        """Of the proposal whose evaluation was told last."""
        ...

    def recommend(self) -> Float[Tensor, " d"]:
        """The point to take if this were the end."""
        ...

    def posterior(self, x: Float[Tensor, "n d"]) -> tuple[Float[Tensor, " n"], Float[Tensor, " n"]] | None:
        """Mean and standard deviation of the value at points; None where there is no model."""
        ...


def make_search(cell: BayesianCell, problem: Problem) -> Search:
    """The search of a cell's model, with nothing told yet."""
    if cell.model == "sobol":
        return SobolSearch(problem.bounds, cell.seed)
    kind, _, penalty = cell.model.partition(":")
    loop = BayesianLoop(
        problem.bounds,
        model=kind,
        acquisition=ACQUISITION,
        penalty=penalty or DEFAULT_PENALTY,
        num_initial=cell.num_initial,
        seed=cell.seed,
    )
    return LoopSearch(loop)


class LoopSearch:
    """Follows a model by its acquisition.

    Args:
        loop: with nothing told yet.
    """

    def __init__(self, loop: BayesianLoop) -> None:
        self._loop = loop

    def tell(self, x: Float[Tensor, "n d"], y: Float[Tensor, " n"]) -> None:
        """See `Search`."""
        self._loop.tell(x.numpy(), y.numpy())

    def ask(self) -> Float[Tensor, " d"]:
        """See `Search`."""
        return torch.from_numpy(self._loop.ask()[0])

    def prediction(self) -> Prediction:
        """See `Search`."""
        row = self._loop.history.iloc[-1]
        return Prediction(
            mean=float(row["predicted_mean"]),
            std=float(row["predicted_std"]),
            fallback=bool(row["kind"] != "model"),
            seconds_fit=float(row["seconds_fit"]),
            seconds_acquisition=float(row["seconds_acquisition"]),
        )

    def recommend(self) -> Float[Tensor, " d"]:
        """See `Search`."""
        return torch.from_numpy(self._loop.recommend())

    def posterior(self, x: Float[Tensor, "n d"]) -> tuple[Float[Tensor, " n"], Float[Tensor, " n"]] | None:
        """See `Search`."""
        try:
            mean, std = self._loop.predict(x.numpy())
        except TrainingError:
            return None
        return torch.from_numpy(mean), torch.from_numpy(std)


class SobolSearch:
    """Goes through a scrambled Sobol sequence and recommends the best point evaluated.

    Args:
        bounds: ``(2, d)``, raw units.
        seed: of the scramble; with the cell's, the sequence begins with the first points of every model.
    """

    def __init__(self, bounds: Float[Tensor, "2 d"], seed: int) -> None:
        self._bounds, self._seed = bounds, seed
        self._x = torch.empty(0, bounds.shape[1], dtype=torch.float64)
        self._y = torch.empty(0, dtype=torch.float64)

    def tell(self, x: Float[Tensor, "n d"], y: Float[Tensor, " n"]) -> None:
        """See `Search`."""
        self._x, self._y = torch.cat([self._x, x]), torch.cat([self._y, y])

    def ask(self) -> Float[Tensor, " d"]:
        """See `Search`."""
        return sobol_points(self._bounds, len(self._x) + 1, self._seed)[-1]

    def prediction(self) -> Prediction:
        """None: there is no model."""
        return NO_PREDICTION

    def recommend(self) -> Float[Tensor, " d"]:
        """See `Search`."""
        return self._x[self._y.argmin()]

    def posterior(self, x: Float[Tensor, "n d"]) -> None:
        """None: there is no model."""
        return
