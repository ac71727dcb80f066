"""A controller in closed loop with a plant, from many starts at once."""

from __future__ import annotations

from dataclasses import dataclass
from time import perf_counter
from typing import Protocol

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from surrogate_opt.data.checks import check_count, check_seed
from surrogate_opt.errors import InputError
from surrogate_opt.loops.mpc.controller import Controller, Plan
from surrogate_opt.loops.mpc.problem import HasControlProblem
from surrogate_opt.loops.mpc.seeds import Purpose, start_seeds


class ControlledPlant(HasControlProblem, Protocol):
    """A plant that a loop can be closed with; see ``surrogate_problems.plants``."""

    @property
    def process_std(self) -> Float[Tensor, " n"]: ...  # noqa: D102

    @property
    def measurement_std(self) -> Float[Tensor, " n"]: ...  # noqa: D102

    def step(self, x: Float[Tensor, "*batch n"], u: Float[Tensor, "*batch m"]) -> Float[Tensor, "*batch n"]:
        """Next states."""
        ...

    def starts(self, num: int, seed: int) -> Float[Tensor, "num n"]:
        """Initial states."""
        ...


@dataclass(frozen=True, kw_only=True)
class ClosedLoop:
    """What happened in L = M S closed loops: model m from start s is loop m S + s.

    Attributes:
        states: of the plant, ``(L, T + 1, n)``, raw units.
        measured: what the controller saw, ``(L, T, n)``.
        actions: as applied, ``(L, T, m)``.
        costs: of each step, by the true state and the action, ``(L, T)``.
        plans: predicted states, the measured one first, ``(L, T, H + 1, n)``; None where they were not kept.
        planned_actions: ``(L, T, H, m)``; None where they were not kept.
        planned_costs: what each plan promised, ``(L, T)``.
        diverged: steps on which the plan was not finite or blew up and a safe action was applied, ``(L, T)``.
        seconds: of each control step, all loops together, ``(T,)``.
        num_models: M.
    """

    states: Float[Tensor, "L Tplus1 n"]
    measured: Float[Tensor, "L T n"]
    actions: Float[Tensor, "L T m"]
    costs: Float[Tensor, "L T"]
    plans: Float[Tensor, "L T Hplus1 n"] | None
    planned_actions: Float[Tensor, "L T H m"] | None
    planned_costs: Float[Tensor, "L T"]
    diverged: Bool[Tensor, "L T"]
    seconds: Float[Tensor, " T"]
    num_models: int

    @property
    def cost(self) -> Float[Tensor, " L"]:
        """Closed-loop cost: the sum over the steps."""
        return self.costs.sum(1)

    @property
    def chatter(self) -> Float[Tensor, " L"]:
        """Mean |u_t - u_{t-1}|, summed over the actions, raw units."""
        return self.actions.diff(dim=1).abs().sum(-1).mean(1)


def run_closed_loop(
    plant: ControlledPlant,
    controller: Controller,
    steps: int | None = None,
    *,
    seed: int = 0,
    starts: int | Float[Tensor, "S n"] = 20,
    noise: float = 1.0,
    keep_plans: bool = True,
) -> ClosedLoop:
    """Run a controller on a plant.

    The same seed gives the same starts and noise to every controller and model, and start s is the same
    however many starts there are.

    Args:
        plant: the truth.
        controller: what acts; the plans of M models are run from every start.
        steps: how many; None for the whole episode.
        seed: of starts, noise and the controller's own draws.
        starts: how many initial states to draw, or the states, raw units.
        noise: factor on the plant's process and measurement noise; 0 for none.
        keep_plans: whether to keep every plan, which takes T H (n + m) numbers a loop.

    Raises:
        InputError: an argument out of range, or starts of a wrong shape.
    """
    num_steps = controller.problem.num_steps if steps is None else steps
    check_count("steps", num_steps, 1)
    check_seed(seed)
    if not 0.0 <= noise < float("inf"):
        raise InputError(f"noise: expected 0 or more; came {noise}")
    initial = _initial(plant, starts, seed)
    num_starts, num_models = len(initial), controller.model.num_models
    process = noise * plant.process_std * _normal(seed, Purpose.PROCESS_NOISE, initial, num_steps)
    sensor = noise * plant.measurement_std * _normal(seed, Purpose.MEASUREMENT_NOISE, initial, num_steps)

    x = initial.repeat(num_models, 1)
    state = controller.start(x, start_seeds(seed, Purpose.PLANNING, num_starts) * num_models)
    states, measured, plans, costs, seconds = [x], [], [], [], []
    for time in range(num_steps):
        seen = x + sensor[:, time].repeat(num_models, 1)
        began = perf_counter()
        plan, state = controller.plan(seen, time, state)
        seconds.append(perf_counter() - began)
        action = plan.actions[:, 0]
        with torch.no_grad():
            costs.append(plant.cost.stage(x, action, time))
            x = plant.step(x, action) + process[:, time].repeat(num_models, 1)
        states.append(x)
        measured.append(seen)
        plans.append(plan)
    return _collected(states, measured, plans, costs, seconds, num_models, keep_plans=keep_plans)


def true_plan_costs(plant: ControlledPlant, run: ClosedLoop) -> Float[Tensor, "L T"]:
    """What each plan costs if the plant itself is given its actions, from the state that was measured.

    The sum of these less ``planned_costs`` is the numerator of the plan gap.

    Raises:
        InputError: the run did not keep its plans.
    """
    if run.plans is None or run.planned_actions is None:
        raise InputError("run: expected one with its plans; came one that did not keep them")
    num_steps, horizon = run.planned_actions.shape[1:3]
    x, times = run.plans[:, :, 0], torch.arange(num_steps).expand(run.costs.shape)
    total = torch.zeros_like(run.costs)
    with torch.no_grad():
        for k in range(horizon):
            u = run.planned_actions[:, :, k]
            total += plant.cost.stage(x, u, times + k)
            x = plant.step(x, u)
        return total + plant.cost.terminal(x, times + horizon)


def _initial(plant: ControlledPlant, starts: int | Tensor, seed: int) -> Float[Tensor, "S n"]:
    num_states = plant.state_bounds.shape[1]
    if isinstance(starts, int):
        check_count("starts", starts, 1)
        return plant.starts(starts, seed).double()
    if starts.ndim != 2 or starts.shape[1] != num_states or len(starts) == 0:
        raise InputError(f"starts: expected the shape (starts, {num_states}); came {tuple(starts.shape)}")
    if not starts.isfinite().all():
        raise InputError("starts: expected finite numbers; came one that is infinite or NaN")
    return starts.detach().double()


def _normal(seed: int, purpose: Purpose, initial: Tensor, num_steps: int) -> Float[Tensor, "S T n"]:
    """Standard normal noise, each start's from a seed of its own."""
    num_starts, num_states = initial.shape
    draws = [
        torch.randn(num_steps, num_states, generator=torch.Generator().manual_seed(own), dtype=torch.float64)
        for own in start_seeds(seed, purpose, num_starts)
    ]
    return torch.stack(draws)


def _collected(
    states: list[Tensor],
    measured: list[Tensor],
    plans: list[Plan],
    costs: list[Tensor],
    seconds: list[float],
    num_models: int,
    *,
    keep_plans: bool,
) -> ClosedLoop:
    return ClosedLoop(
        states=torch.stack(states, 1),
        measured=torch.stack(measured, 1),
        actions=torch.stack([plan.actions[:, 0] for plan in plans], 1),
        costs=torch.stack(costs, 1),
        plans=torch.stack([plan.states for plan in plans], 1) if keep_plans else None,
        planned_actions=torch.stack([plan.actions for plan in plans], 1) if keep_plans else None,
        planned_costs=torch.stack([plan.cost for plan in plans], 1),
        diverged=torch.stack([plan.diverged for plan in plans], 1),
        seconds=torch.tensor(seconds, dtype=torch.float64),
        num_models=num_models,
    )
