"""Linear dynamics by least squares: what learned dynamics have to beat.

On lagged states this is the ARX model of system identification.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from surrogate_opt.data import fit_linear
from surrogate_opt.dynamics.encoding import Encoding
from surrogate_opt.dynamics.transitions import Transitions


@dataclass(frozen=True, kw_only=True, eq=False)
class LinearDynamics:
    """x_{t+1} = x_t + C (x_t, u_t) + c; copied states are copied.

    Attributes:
        coefficients: C, of the learned states' increments, ``(p, n + m)``.
        intercept: c, ``(p,)``.
        encoding: which states are copies; angles are plain numbers here.
    """

    coefficients: Float[Tensor, "p columns"]
    intercept: Float[Tensor, " p"]
    encoding: Encoding

    @classmethod
    def fit(cls, rows: Transitions, encoding: Encoding) -> LinearDynamics:
        """Ordinary least squares of each learned state's increment."""
        plain = Encoding(
            num_states=encoding.num_states, num_actions=encoding.num_actions, copies=encoding.copies
        )
        increments = plain.increments(rows.states, rows.next_states)
        fits = [fit_linear(rows.columns, column) for column in increments.unbind(1)]
        return cls(
            coefficients=torch.stack([fit.coefficients for fit in fits]),
            intercept=torch.stack([fit.intercept for fit in fits]),
            encoding=plain,
        )

    def step(self, x: Float[Tensor, "*batch n"], u: Float[Tensor, "*batch m"]) -> Float[Tensor, "*batch n"]:
        """Next states."""
        increments = torch.cat([x, u], -1) @ self.coefficients.T + self.intercept
        return self.encoding.advance(x, u, increments)
