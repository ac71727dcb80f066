"""The cost of action sequences and its gradient by the adjoint equation."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from surrogate_opt.loops.mpc.loop_model import LoopModel
from surrogate_opt.loops.mpc.objective import PlanObjective
from surrogate_opt.types import GradientSource


@dataclass(frozen=True, kw_only=True)
class SequenceCost:
    """Total cost as a function of flat action sequences in unit coordinates: a ``Differentiable``.

    Attributes:
        model: of the rows.
        objective: of the rows.
        initial: states the sequences begin from, ``(R, n)``, raw units, all copies.
    """

    model: LoopModel
    objective: PlanObjective
    initial: Float[Tensor, "R n"]

    @property
    def gradient_source(self) -> GradientSource:
        """The adjoint equation, through the model's own derivatives."""
        return "analytic"

    def value(self, x: Float[Tensor, "R a d"]) -> Float[Tensor, "R a"]:
        """Cost of a sequences in each row."""
        u = self._sequences(x)
        return self.objective.cost(self.model.rollout(self.initial, u), u)

    def value_and_gradient(
        self, x: Float[Tensor, "R a d"]
    ) -> tuple[Float[Tensor, "R a"], Float[Tensor, "R a d"]]:
        """Cost and gradient.

        Source:
            Bryson & Ho 1975, Section 2.2: lambda_k = l_x + A_k' lambda_{k+1}, dJ/du_k = l_u + B_k'
            lambda_{k+1}. The A_k and B_k of every step, sequence and row come from one call.
        """
        u = self._sequences(x)
        states = self.model.rollout(self.initial, u)
        cost = self.objective.cost(states, u)
        gx, _, gu, _ = self.objective.derivatives(states, u)
        _, num_sequences, horizon, _ = u.shape
        A, B = self.model.linearize(states[:, :, :-1].flatten(1, 2), u.flatten(1, 2))
        A = A.reshape(-1, num_sequences, horizon, *A.shape[2:]).movedim(2, 0).mT.contiguous()
        costates = torch.empty_like(gx[:, :, 1:].movedim(2, 0))
        costate = costates[-1] = gx[:, :, -1]
        for k in range(horizon - 1, 0, -1):
            costate = gx[:, :, k] + (A[k] @ costate.unsqueeze(-1)).squeeze(-1)
            costates[k - 1] = costate
        B = B.reshape(-1, num_sequences, horizon, *B.shape[2:])
        through = B.mT @ costates.movedim(0, 2).unsqueeze(-1)
        return cost, (gu + through.squeeze(-1)).flatten(2)

    def _sequences(self, x: Float[Tensor, "R a d"]) -> Float[Tensor, "R a H m"]:
        problem = self.objective.problem
        return x.reshape(*x.shape[:-1], problem.horizon, problem.num_actions)
