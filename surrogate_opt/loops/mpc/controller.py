"""Receding-horizon control of many loops: plan, guard the plan, act, shift it, plan again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from surrogate_opt.errors import InputError
from surrogate_opt.loops.mpc.loop_model import LoopModel
from surrogate_opt.loops.mpc.model import DynamicsModel
from surrogate_opt.loops.mpc.objective import PlanObjective, plain_cost
from surrogate_opt.loops.mpc.planning import Planner, PlanningTask, Solution, joined
from surrogate_opt.loops.mpc.problem import ControlProblem
from surrogate_opt.loops.mpc.state_constraints import AugmentedLagrangian, StateLimits


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What L closed loops intend to do.

    Attributes:
        actions: ``(L, H, m)``, raw units, within the bounds, always finite.
        states: predicted, the present one first, ``(L, H + 1, n)``, raw units; the mean over the copies of a
            pessimistic model.
        cost: predicted total cost, state constraints not counted, ``(L,)``.
        diverged: loops whose plan was not finite or blew up: their actions are those of the last safe plan,
            shifted, or rest where there was none, ``(L,)``. Their states and cost are the failed plan's.
    """

    actions: Float[Tensor, "L H m"]
    states: Float[Tensor, "L Hplus1 n"]
    cost: Float[Tensor, " L"]
    diverged: Bool[Tensor, " L"]


@dataclass(frozen=True, kw_only=True)
class ControllerState:
    """What the next control step needs of the past ones.

    Attributes:
        actions: the last safe plan, shifted by a step, ``(L, H, m)``, unit coordinates.
        states: of that plan, all copies, shifted likewise, ``(L, H + 1, n)``.
        fresh: loops without a plan worth following, ``(L,)``: at the beginning, and after a plan diverged.
        cost: what that plan promised before it was shifted, ``(L,)``.
        scale: a typical cost of one step, ``(L,)``: the unit of tolerances and constraint weights.
        multipliers: of the state constraints, shifted likewise, ``(L, H, c)``.
        generators: one for each loop, so that a loop draws what it would draw alone. They move on.
    """

    actions: Float[Tensor, "L H m"]
    states: Float[Tensor, "L Hplus1 n"]
    fresh: Bool[Tensor, " L"]
    cost: Float[Tensor, " L"]
    scale: Float[Tensor, " L"]
    multipliers: Float[Tensor, "L H c"]
    generators: tuple[torch.Generator, ...]


class Controller:
    """Plans for L closed loops at once, again in every control step.

    Example:
        ``Controller(PlantModel(plant), ControlProblem.from_plant(plant), ILQR())`` is the oracle.

    Args:
        model: what to plan through; loop l is served by model l // (L / M).
        problem: what to minimize.
        planner: how.

    Raises:
        InputError: the model has other numbers of states or actions than the problem.
    """

    def __init__(self, model: DynamicsModel, problem: ControlProblem, planner: Planner) -> None:
        if (model.num_states, model.num_actions) != (problem.num_states, problem.num_actions):
            raise InputError(
                f"model: expected {problem.num_states} states and {problem.num_actions} actions; "
                f"came {model.num_states} and {model.num_actions}"
            )
        self.model = model
        self.problem = problem
        self.planner = planner
        self._limits = StateLimits(problem)

    @torch.no_grad()
    def start(self, x: Float[Tensor, "L n"], seeds: Sequence[int]) -> ControllerState:
        """Before the first control step.

        Args:
            x: initial states, raw units.
            seeds: of each loop's random draws.

        Raises:
            InputError: states or seeds that do not fit.
        """
        self._check(x, seeds)
        problem, num_loops = self.problem, len(x)
        actions = problem.rest.expand(num_loops, problem.horizon, -1).clone()
        states = self._loops(num_loops).rollout(problem.as_copies(x), actions.unsqueeze(1))
        cost = plain_cost(problem, states, actions.unsqueeze(1), 0)[:, 0]
        scale = cost / problem.horizon
        return ControllerState(
            actions=actions,
            states=states[:, 0],
            fresh=torch.ones(num_loops, dtype=torch.bool),
            cost=cost,
            scale=torch.where(scale.isfinite() & (scale > 0), scale, 1.0),
            multipliers=torch.zeros(num_loops, problem.horizon, self._limits.num, dtype=torch.float64),
            generators=tuple(torch.Generator().manual_seed(seed) for seed in seeds),
        )

    @torch.no_grad()
    def plan(
        self, x: Float[Tensor, "L n"], time: int, state: ControllerState
    ) -> tuple[Plan, ControllerState]:
        """One control step.

        Args:
            x: measured states, raw units.
            time: the time step, counted from the beginning of the episode.
            state: from ``start`` or from the last control step.
        """
        initial = self.problem.as_copies(x)
        parts = [
            (loops, self.planner.solve(self._task(initial, time, state, loops, fresh=fresh)))
            for loops, fresh in (
                ((~state.fresh).nonzero()[:, 0], False),
                (state.fresh.nonzero()[:, 0], True),
            )
            if len(loops)
        ]
        back = torch.cat([loops for loops, _ in parts]).argsort()
        return self._guarded(joined([part for _, part in parts]).select(back), time, state)

    def _task(
        self, initial: Tensor, time: int, state: ControllerState, loops: Tensor, *, fresh: bool
    ) -> PlanningTask:
        scale = state.scale[loops]
        return PlanningTask(
            model=self._loops(len(initial)).select(loops),
            objective=PlanObjective(
                problem=self.problem,
                time=time,
                constraints=AugmentedLagrangian.begin(self._limits, state.multipliers[loops], scale),
            ),
            initial=initial[loops],
            actions=state.actions[loops],
            states=state.states[loops],
            fresh=fresh,
            last_cost=state.cost[loops],
            scale=scale,
            generators=[state.generators[loop] for loop in loops.tolist()],
        )

    def _guarded(self, solution: Solution, time: int, state: ControllerState) -> tuple[Plan, ControllerState]:
        """Replace plans that diverged, and shift all for the next control step."""
        problem = self.problem
        cost = plain_cost(problem, solution.states.unsqueeze(1), solution.actions.unsqueeze(1), time)[:, 0]
        finite = solution.actions.isfinite().flatten(1).all(1) & cost.isfinite()
        diverged = ~finite | problem.blown_up(solution.states)
        replaced = diverged[:, None, None]
        actions = torch.where(replaced, state.actions, solution.actions).clamp(-1.0, 1.0)
        plan = Plan(
            actions=problem.raw_actions(actions),
            states=problem.mean_of_copies(solution.states),
            cost=cost,
            diverged=diverged,
        )
        last = self._loops(len(actions)).step(solution.states[:, -1:], actions[:, -1:])
        after = ControllerState(
            actions=_shifted(actions),
            states=torch.cat([solution.states[:, 1:], last], 1),
            fresh=diverged,
            cost=cost,
            scale=state.scale,
            multipliers=_shifted(torch.where(replaced, 0.0, solution.multipliers)),
            generators=state.generators,
        )
        return plan, after

    def _loops(self, num_loops: int) -> LoopModel:
        return LoopModel.of_loops(self.model, self.problem, num_loops)

    def _check(self, x: Tensor, seeds: Sequence[int]) -> None:
        num_states = self.problem.num_states // self.problem.copies
        if x.ndim != 2 or x.shape[1] != num_states:
            raise InputError(f"x: expected the shape (loops, {num_states}); came {tuple(x.shape)}")
        num_models = self.model.num_models
        if len(x) == 0 or len(x) % num_models:
            raise InputError(f"x: expected a multiple of {num_models} loops, one a model; came {len(x)}")
        if len(seeds) != len(x):
            raise InputError(f"seeds: expected one a loop, {len(x)}; came {len(seeds)}")


def _shifted(sequence: Float[Tensor, "L H c"]) -> Float[Tensor, "L H c"]:
    """One time step on; the last entry stays."""
    return torch.cat([sequence[:, 1:], sequence[:, -1:]], 1)
