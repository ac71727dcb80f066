"""A dynamics model seen from the closed loops it serves: one row a loop, actions in unit coordinates."""

from __future__ import annotations

from functools import cached_property

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from surrogate_opt.loops.mpc.model import DynamicsModel, NumpyStep, numpy_step_of, single_of
from surrogate_opt.loops.mpc.problem import ControlProblem

_FEW_POINTS = 16


class LoopModel:
    """Rows of points, each row stepped by the model of its loop, all in one call.

    Args:
        model: M models.
        problem: gives the action bounds.
        owner: the model of each row, not falling, ``(R,)``.
    """

    def __init__(self, model: DynamicsModel, problem: ControlProblem, owner: Int[Tensor, " R"]) -> None:
        self._model = model
        self._problem = problem
        self._owner = owner
        self._table, self._place = _padding(owner, model.num_models)

    @classmethod
    def of_loops(cls, model: DynamicsModel, problem: ControlProblem, num_loops: int) -> LoopModel:
        """One row for each of the loops, of which every model serves as many in turn."""
        each = num_loops // model.num_models
        return cls(model, problem, torch.arange(model.num_models).repeat_interleave(each))

    def select(self, rows: Int[Tensor, " R"]) -> LoopModel:
        """The rows with these indices, which must not fall; a row may come several times."""
        return LoopModel(self._model, self._problem, self._owner[rows])

    def step(self, x: Float[Tensor, "R a n"], u: Float[Tensor, "R a m"]) -> Float[Tensor, "R a n"]:
        """Next states.

        Args:
            x: a points in each row, raw units.
            u: unit coordinates.
        """
        return self._rows(
            self._model.step(self._models(x), self._models(self._problem.raw_actions(u))), x.shape[1]
        )

    def step_arrays(
        self, x: Float[np.ndarray, "R a n"], u: Float[np.ndarray, "R a m"]
    ) -> Float[np.ndarray, "R a n"]:
        """As ``step``, for arrays; few points at a time do without torch where the model can."""
        if self._numpy_step is None or x.shape[0] * x.shape[1] > _FEW_POINTS:
            return self.step(torch.from_numpy(x), torch.from_numpy(u)).numpy()
        center, half_width = self._action_arrays
        points, raw = x.reshape(-1, x.shape[-1]), (center + half_width * u).reshape(-1, u.shape[-1])
        return self._numpy_step(points, raw).reshape(x.shape)

    def linearize(
        self, x: Float[Tensor, "R a n"], u: Float[Tensor, "R a m"]
    ) -> tuple[Float[Tensor, "R a n n"], Float[Tensor, "R a n m"]]:
        """Derivatives of ``step`` by states and by actions in unit coordinates.

        To float32's seven digits where the model has a twin in it: planners that follow them compare costs in
        float64, and so end where they would with more.
        """
        raw, single = self._problem.raw_actions(u), self._single
        model, dtype = (self._model, x.dtype) if single is None else (single, torch.float32)
        _, A, B = model.linearize(self._models(x).to(dtype), self._models(raw).to(dtype))
        num_points = x.shape[1]
        by_action = self._rows(B, num_points).double() * self._problem.action_half_width
        return self._rows(A, num_points).double(), by_action

    def rollout(self, x: Float[Tensor, "R n"], u: Float[Tensor, "R a H m"]) -> Float[Tensor, "R a Hplus1 n"]:
        """States under action sequences, the initial states first.

        Args:
            x: initial states, raw units.
            u: a sequences in each row, unit coordinates.
        """
        return self._rollout(self._model, x, u)

    def screen(self, x: Float[Tensor, "R n"], u: Float[Tensor, "R a H m"]) -> Float[Tensor, "R a Hplus1 n"]:
        """As ``rollout``, in float32 where the model has a twin in it: enough to rank many sequences."""
        if self._single is None:
            return self.rollout(x, u)
        return self._rollout(self._single, x.float(), u).double()

    def _rollout(self, model: DynamicsModel, x: Tensor, u: Tensor) -> Tensor:
        raw = self._problem.raw_actions(u).to(x.dtype)
        states = [self._models(x.unsqueeze(1).expand(-1, u.shape[1], -1))]
        for actions in raw.unbind(2):
            states.append(model.step(states[-1], self._models(actions)))
        return self._rows(torch.stack(states, 2), u.shape[1])

    @cached_property
    def _single(self) -> DynamicsModel | None:
        return single_of(self._model)

    @cached_property
    def _numpy_step(self) -> NumpyStep | None:
        return numpy_step_of(self._model)

    @cached_property
    def _action_arrays(self) -> tuple[np.ndarray, np.ndarray]:
        return self._problem.action_center.numpy(), self._problem.action_half_width.numpy()

    def _models(self, points: Tensor) -> Tensor:
        """Rows to what the model takes: models first, then points."""
        points = points if self._table is None else points[self._table]
        return points.reshape(self._model.num_models, -1, points.shape[-1])

    def _rows(self, values: Tensor, num_points: int) -> Tensor:
        """What the model gives back to rows."""
        values = values.reshape(-1, num_points, *values.shape[2:])
        return values if self._place is None else values[self._place]


def _padding(owner: Tensor, num_models: int) -> tuple[Tensor | None, Tensor | None]:
    """Which rows to hand to the models, and where each row then is; None where every model has as many.

    Models in one stack want as many points each: shorter ones are filled up with the first row.
    """
    if num_models == 1:
        return None, None
    counts = torch.bincount(owner, minlength=num_models)
    longest = int(counts.max())
    if bool((counts == longest).all()):
        return None, None
    first = torch.cumsum(counts, 0) - counts
    place = owner * longest + torch.arange(len(owner)) - first[owner]
    table = torch.zeros(num_models * longest, dtype=torch.int64)
    table[place] = torch.arange(len(owner))
    return table, place
