"""What has been asked and told: a record that grows by whole steps and is never changed in place."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from surrogate_opt.loops.bayesian.domain import Domain

Kind = Literal["initial", "model", "user", "fallback"]
EvaluationStatus = Literal["ok", "failed", "infeasible"]


@dataclass(frozen=True, kw_only=True)
class Proposal:
    """A point and where it came from.

    Attributes:
        x: d inputs, raw units.
        kind: "initial" (Sobol), "model" (an acquisition's optimum), "fallback" (Sobol, as no model or
            acquisition could be used) or "user" (never asked for).
        predicted_mean: the model's mean of y at x when it was proposed, raw units, the user's sense; NaN
            without a model.
        predicted_std: its standard deviation there.
        seconds_fit: what the refit took that this proposal was the first to use.
        seconds_acquisition: what optimizing the acquisition took.
        strength: the penalty's level that the model was fitted with; NaN where it has none.
        note: why this is a fallback, else empty.
    """

    x: tuple[float, ...]
    kind: Kind
    predicted_mean: float = math.nan
    predicted_std: float = math.nan
    seconds_fit: float = 0.0
    seconds_acquisition: float = 0.0
    strength: float = math.nan
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """What came of a point.

    Attributes:
        proposal: the point, with the inputs at which it was really evaluated.
        y: the value, raw units; anything but a finite number is a failure.
        constraints: values that are feasible up to 0.
    """

    proposal: Proposal
    y: float
    constraints: tuple[float, ...] = ()

    @property
    def status(self) -> EvaluationStatus:
        """ "failed" where any number is not finite, else "infeasible" where any constraint is over 0."""
        if not all(map(math.isfinite, (self.y, *self.constraints))):
            return "failed"
        return "ok" if all(value <= 0.0 for value in self.constraints) else "infeasible"


@dataclass(frozen=True, kw_only=True)
class BestEvaluation:
    """The best finite feasible observation.

    Attributes:
        x: its inputs, ``(d,)``, raw units.
        y: its value, the user's sense.
        evaluation: its number, the first evaluation's is 1.
    """

    x: Float[NDArray[np.float64], " d"]
    y: float
    evaluation: int


@dataclass(frozen=True, kw_only=True)
class Ledger:
    """All evaluations and all open proposals.

    Attributes:
        evaluations: in the order they were told.
        pending: asked for and not told yet.
        num_asked: how many points were ever asked for.
        num_sobol: how many points of the Sobol sequence were used or passed over.
    """

    evaluations: tuple[Evaluation, ...] = ()
    pending: tuple[Proposal, ...] = ()
    num_asked: int = 0
    num_sobol: int = 0

    def with_proposal(self, proposal: Proposal, *, num_sobol: int) -> Ledger:
        """The ledger after one more point was asked for."""
        return replace(
            self,
            pending=(*self.pending, proposal),
            num_asked=self.num_asked + 1,
            num_sobol=num_sobol,
        )

    def with_evaluations(
        self,
        domain: Domain,
        x: Float[NDArray[np.float64], "n d"],
        y: Float[NDArray[np.float64], " n"],
        constraints: Float[NDArray[np.float64], "n m"],
    ) -> Ledger:
        """The ledger after rows were told, raw units; a row answers the first proposal at the same point."""
        pending, evaluations = list(self.pending), list(self.evaluations)
        for point, value, limits in zip(x, y, constraints, strict=True):
            origin = _answered(domain, point, pending)
            if origin is None:
                origin = Proposal(x=tuple(point.tolist()), kind="user")
            else:
                pending.remove(origin)
            evaluations.append(
                Evaluation(
                    proposal=replace(origin, x=tuple(point.tolist())),
                    y=float(value),
                    constraints=tuple(limits.tolist()),
                )
            )
        return replace(self, evaluations=tuple(evaluations), pending=tuple(pending))

    def evaluated_points(self, domain: Domain) -> Float[Tensor, "n d"]:
        """Inputs of all evaluations, unit box."""
        return _unit_points(domain, [evaluation.proposal for evaluation in self.evaluations])

    def pending_points(self, domain: Domain) -> Float[Tensor, "p d"]:
        """Inputs of all open proposals, unit box."""
        return _unit_points(domain, self.pending)

    def best(self, *, maximize: bool) -> BestEvaluation | None:
        """The best finite feasible observation, the first of equals; None where there is none."""
        feasible = [
            (evaluation.y, number)
            for number, evaluation in enumerate(self.evaluations, start=1)
            if evaluation.status == "ok"
        ]
        if not feasible:
            return None
        sign = -1.0 if maximize else 1.0
        y, number = min(feasible, key=lambda found: sign * found[0])
        point = self.evaluations[number - 1].proposal.x
        return BestEvaluation(x=np.array(point), y=y, evaluation=number)


def _answered(
    domain: Domain, point: Float[NDArray[np.float64], " d"], pending: Sequence[Proposal]
) -> Proposal | None:
    """The proposal at the same point, if any."""
    if not pending:
        return None
    told = domain.to_unit(torch.from_numpy(point))[None]
    matches = domain.same(told, _unit_points(domain, pending))[0].nonzero().flatten().tolist()
    return pending[matches[0]] if matches else None


def _unit_points(domain: Domain, proposals: Sequence[Proposal]) -> Float[Tensor, "n d"]:
    rows = torch.tensor([proposal.x for proposal in proposals], dtype=torch.float64)
    return domain.to_unit(rows.reshape(-1, domain.dim))
