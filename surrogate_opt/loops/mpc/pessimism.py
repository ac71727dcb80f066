"""Planning against an ensemble's disagreement: every member carries its own copy of the state."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, get_args

import torch
from jaxtyping import Float, Int
from torch import Tensor

from surrogate_opt.data.checks import check_count, refuse_unknown
from surrogate_opt.errors import InputError
from surrogate_opt.loops.mpc.model import DynamicsModel, single_of
from surrogate_opt.loops.mpc.problem import ControlProblem, TrackingCost

Aggregate = Literal["std", "max"]


class MemberCopies:
    """Members as one model whose state is a copy of the state for each member, side by side.

    Args:
        members: the members as M K models of their own, those of one ensemble next to each other.
        num_members: K.
    """

    def __init__(self, members: DynamicsModel, num_members: int) -> None:
        check_count("num_members", num_members, 1)
        if members.num_models % num_members:
            raise InputError(
                f"num_members: expected a divisor of the {members.num_models} models; came {num_members}"
            )
        self._members = members
        self._num_members = num_members
        self.num_models = members.num_models // num_members
        self.num_states = num_members * members.num_states
        self.num_actions = members.num_actions

    @property
    def single(self) -> MemberCopies | None:
        """In float32, where the members have it."""
        members = single_of(self._members)
        return None if members is None else MemberCopies(members, self._num_members)

    def step(
        self, x: Float[Tensor, "models s Kn"], u: Float[Tensor, "models s m"]
    ) -> Float[Tensor, "models s Kn"]:
        """Next states; each copy by its member."""
        after = self._members.step(*self._split(x, u))
        return self._side_by_side(after).flatten(2)

    def linearize(
        self, x: Float[Tensor, "models s Kn"], u: Float[Tensor, "models s m"]
    ) -> tuple[Float[Tensor, "models s Kn"], Float[Tensor, "models s Kn Kn"], Float[Tensor, "models s Kn m"]]:
        """Next states and derivatives; those by the state are block diagonal."""
        after, A, B = (self._side_by_side(part) for part in self._members.linearize(*self._split(x, u)))
        *batch, num_members, n, _ = A.shape
        blocks = A.new_zeros((*batch, num_members, n, num_members, n))
        member = torch.arange(num_members)
        blocks[..., member, :, member, :] = A.movedim(2, 0)
        return after.flatten(2), blocks.flatten(2, 3).flatten(3), B.flatten(2, 3)

    def _side_by_side(self, values: Tensor) -> Tensor:
        """``(M K, s, ...)`` to ``(M, s, K, ...)``."""
        return values.reshape(-1, self._num_members, *values.shape[1:]).transpose(1, 2)

    def _split(self, x: Tensor, u: Tensor) -> tuple[Tensor, Tensor]:
        copies = x.reshape(*x.shape[:-1], self._num_members, -1).transpose(1, 2)
        actions = u.unsqueeze(1).expand(-1, self._num_members, -1, -1)
        return copies.flatten(0, 1), actions.flatten(0, 1)


@dataclass(frozen=True, kw_only=True)
class PessimisticCost:
    """A cost over copies of the state: in every step the mean plus kappa standard deviations, or the worst.

    Derivatives weigh each copy by its share in the sum, d(sum)/d(cost of a copy); the Hessian's diagonal
    leaves out how these shares change.

    Attributes:
        cost: of one copy.
        num_members: K.
        aggregate: ``"std"`` or ``"max"``.
        kappa: of ``"std"``, 0 or more.
    """

    cost: TrackingCost
    num_members: int
    aggregate: Aggregate = "std"
    kappa: float = 1.0

    def __post_init__(self) -> None:
        if self.aggregate not in get_args(Aggregate):
            refuse_unknown("aggregate", self.aggregate, get_args(Aggregate))
        if not 0.0 <= self.kappa < float("inf"):
            raise InputError(f"kappa: expected 0 or more; came {self.kappa}")

    def stage(
        self, x: Float[Tensor, "*batch Kn"], u: Float[Tensor, "*batch m"], k: int | Int[Tensor, "*batch"]
    ) -> Float[Tensor, "*batch"]:
        """See ``TrackingCost``."""
        return self._aggregated(self.cost.stage(self._copies(x), self._each(u), self._steps(k)))

    def terminal(
        self, x: Float[Tensor, "*batch Kn"], k: int | Int[Tensor, "*batch"]
    ) -> Float[Tensor, "*batch"]:
        """See ``TrackingCost``."""
        return self._aggregated(self.cost.terminal(self._copies(x), self._steps(k)))

    def stage_derivatives(
        self, x: Float[Tensor, "*batch Kn"], u: Float[Tensor, "*batch m"], k: int | Int[Tensor, "*batch"]
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """See ``TrackingCost``."""
        copies, actions, steps = self._copies(x), self._each(u), self._steps(k)
        share = self._shares(self.cost.stage(copies, actions, steps)).unsqueeze(-1)
        gx, gu, hx, hu = self.cost.stage_derivatives(copies, actions, steps)
        return (share * gx).flatten(-2), (share * gu).sum(-2), (share * hx).flatten(-2), (share * hu).sum(-2)

    def terminal_derivatives(
        self, x: Float[Tensor, "*batch Kn"], k: int | Int[Tensor, "*batch"]
    ) -> tuple[Tensor, Tensor]:
        """See ``TrackingCost``."""
        copies, steps = self._copies(x), self._steps(k)
        share = self._shares(self.cost.terminal(copies, steps)).unsqueeze(-1)
        gx, hx = self.cost.terminal_derivatives(copies, steps)
        return (share * gx).flatten(-2), (share * hx).flatten(-2)

    def _copies(self, x: Tensor) -> Tensor:
        return x.reshape(*x.shape[:-1], self.num_members, -1)

    def _each(self, u: Tensor) -> Tensor:
        return u.unsqueeze(-2).expand(*u.shape[:-1], self.num_members, -1)

    def _steps(self, k: int | Tensor) -> int | Tensor:
        return k if isinstance(k, int) else k.unsqueeze(-1).expand(*k.shape, self.num_members)

    def _aggregated(self, cost: Float[Tensor, "*batch K"]) -> Float[Tensor, "*batch"]:
        if self.aggregate == "max":
            return cost.amax(-1)
        return cost.mean(-1) + self.kappa * cost.std(-1, correction=0)

    def _shares(self, cost: Float[Tensor, "*batch K"]) -> Float[Tensor, "*batch K"]:
        """Derivative of ``_aggregated`` by each copy's cost; equal shares where all cost the same."""
        if self.aggregate == "max":
            return torch.nn.functional.one_hot(cost.argmax(-1), self.num_members).double()
        std = cost.std(-1, correction=0, keepdim=True)
        unit = (cost - cost.mean(-1, keepdim=True)) / torch.where(std > 0, std, 1.0)
        return (1.0 + self.kappa * unit) / self.num_members


def pessimistic(
    members: DynamicsModel,
    problem: ControlProblem,
    num_members: int,
    *,
    aggregate: Aggregate = "std",
    kappa: float = 1.0,
) -> tuple[MemberCopies, ControlProblem]:
    """Model and problem of a controller that plans for all members at once.

    Every member must keep the state bounds.

    Args:
        members: the members as models of their own, those of one ensemble next to each other.
        problem: of one state.
        num_members: K.
        aggregate: ``"std"`` for the mean plus kappa standard deviations in every step, ``"max"`` for the
            worst member.
        kappa: see there.
    """
    cost = PessimisticCost(cost=problem.cost, num_members=num_members, aggregate=aggregate, kappa=kappa)
    copied = replace(
        problem,
        cost=cost,
        state_bounds=problem.state_bounds.repeat(1, num_members),
        data_bounds=problem.data_bounds.repeat(1, num_members),
        copies=num_members,
    )
    return MemberCopies(members, num_members), copied
