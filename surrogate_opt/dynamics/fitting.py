"""fit_dynamics: from transitions to a learned plant whose strength was chosen out of fold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from numpy.typing import ArrayLike
from torch import Tensor

from surrogate_opt.data import check_bounds, data_bounds
from surrogate_opt.data.checks import check_count
from surrogate_opt.dynamics.dynamics import Dynamics, DynamicsRecord
from surrogate_opt.dynamics.encoding import Encoding
from surrogate_opt.dynamics.rollout_training import RolloutData, fine_tune
from surrogate_opt.dynamics.scaling import TransitionScaling
from surrogate_opt.dynamics.transitions import (
    Trajectory,
    Transitions,
    as_trajectories,
    from_rows,
    transitions,
)
from surrogate_opt.errors import InputError
from surrogate_opt.fitting import StrengthSearch, default_epochs, progress_bar
from surrogate_opt.networks import StackedMLP
from surrogate_opt.penalties import get_method
from surrogate_opt.training.crossvalidation import FoldPlan, out_of_fold, plan_folds
from surrogate_opt.training.selection import Rule, check_rule
from surrogate_opt.training.trainer import TrainingConfig

Arrays = ArrayLike | Tensor
Given = Transitions | Sequence[Trajectory] | Sequence[Arrays] | Arrays


def fit_dynamics(
    states: Given,
    actions: Sequence[Arrays] | Arrays | None = None,
    next_states: Arrays | None = None,
    *,
    penalty: str = "dreg",
    strength: str | float = "auto",
    rule: Rule = "plateau",
    members: int = 5,
    hidden: tuple[int, ...] = (64, 64),
    activation: str = "silu",
    epochs: int | None = None,
    batch_size: int = 32,
    learning_rate: float = 1e-2,
    weight_decay: float = 1e-2,
    rollout_steps: int = 1,
    angles: Sequence[int] = (),
    copies: Mapping[int, int] | None = None,
    bounds: Arrays | None = None,
    state_names: Sequence[str] | None = None,
    action_names: Sequence[str] | None = None,
    dt: float | None = None,
    seed: int = 0,
    progress: bool = False,
) -> Dynamics:
    """Learn x_{t+1} of (x_t, u_t) from transitions, by an ensemble of compact networks.

    The networks give the increment x_{t+1} - x_t of every state, in its standard deviations. Strengths are
    chosen as in ``fit``, by the mean error over the states; folds hold out whole trajectories, or blocks of
    long ones.

    Args:
        states: one of ``Transitions``; a list of ``Trajectory``; with ``actions`` alone, one array
            ``(steps + 1, n)`` for each trajectory; with ``next_states``, x_t of every row, ``(N, n)``.
        actions: one array ``(steps, m)`` for each trajectory, or u_t of every row, ``(N, m)``.
        next_states: x_{t+1} of every row, ``(N, n)``.
        penalty: "none", "dreg", "igp", "sn", "dreg+igp", "datagrad", "spectreg", "weight_decay" or
            "dropout".
        strength: "auto", or the method's one number.
        rule: "plateau", the strongest that is no worse than the best, or "best".
        members: a multiple of 5: five folds, repeated.
        hidden: widths of the hidden layers.
        activation: relu, tanh, silu, gelu, softplus or poly.
        epochs: passes over the data; None for about 5,000 steps.
        batch_size: rows per step.
        learning_rate: peak of the one-cycle schedule.
        weight_decay: AdamW's.
        rollout_steps: where over 1, the chosen members are fine-tuned on rollouts of so many steps, which
            helps against measurement noise.
        angles: state columns in radians; the networks see their cosine and sine.
        copies: states known to repeat another column one instant later, see ``Encoding``.
        bounds: the box of states and actions, ``(2, n + m)``; that of the data where none is given. Rows
            must lie inside but for the angles.
        state_names: n of them; x0, x1, ... where none are given.
        action_names: m of them; u0, u1, ...
        dt: the time step of the data, kept for the record.
        seed: of folds, initial weights and minibatch order.
        progress: show a progress bar.

    Raises:
        InputError: an argument that cannot be used.
        TrainingError: every strength failed.

    Example:
        >>> dynamics = fit_dynamics(states, actions, next_states, angles=(0,))
        >>> following, by_state, by_action = dynamics.linearize(x, u)
    """
    check_rule(rule)
    check_count("rollout_steps", rollout_steps, 1)
    method = get_method(penalty)
    rows = _rows(states, actions, next_states)
    encoding = Encoding(
        num_states=rows.states.shape[1],
        num_actions=rows.actions.shape[1],
        angles=tuple(int(column) for column in angles),
        copies=dict(copies or {}),
    )
    box = _checked_bounds(bounds, rows, encoding)
    problem = _Problem.of(rows, encoding, box)
    plan = plan_folds(rows.stretches[:, None].double(), members, seed)
    config = TrainingConfig(
        hidden=tuple(hidden),
        activation=activation,
        epochs=default_epochs(plan.train_rows.shape[1], batch_size) if epochs is None else epochs,
        batch_size=batch_size,
        learning_rate=learning_rate,
        weight_decay=weight_decay,
    )
    search = StrengthSearch(problem.x, problem.y, plan, config)
    with progress_bar(progress) as report:
        outcome = search.run(method, strength, rule, report)
    position = outcome.choice.chosen
    stack, chosen = outcome.validation.ensemble(position), outcome.validation.strengths[position]
    if rollout_steps > 1:
        data = RolloutData.of(rows, plan, encoding, problem.scaling, rollout_steps)
        stack = fine_tune(stack, data, chosen, seed=seed)
    r2, rmse = problem.one_step_errors(stack, plan)
    return Dynamics(
        stack,
        problem.scaling,
        encoding,
        DynamicsRecord(
            penalty=penalty,
            strength=chosen,
            level=outcome.levels[position],
            selection=outcome.table(problem.x),
            one_step_r2=r2,
            one_step_rmse=rmse,
            num_rows=len(rows),
            rollout_steps=rollout_steps,
        ),
        bounds=box,
        state_names=_names("state_names", state_names, "x", encoding.num_states),
        action_names=_names("action_names", action_names, "u", encoding.num_actions),
        dt=dt,
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class _Problem:
    """The regression that one-step training solves, in network coordinates."""

    x: Float[Tensor, "rows features"]
    y: Float[Tensor, "rows p"]
    scaling: TransitionScaling
    encoding: Encoding

    @classmethod
    def of(cls, rows: Transitions, encoding: Encoding, box: Tensor) -> _Problem:
        increments = encoding.increments(rows.states, rows.next_states)
        constant = increments.std(0, correction=0) <= 1e-12 * increments.abs().amax(0)
        if bool(constant.any()):
            column = encoding.learned[int(constant.double().argmax())]
            raise InputError(f"next_states[:, {column}]: expected increments that differ; all are equal")
        scaling = TransitionScaling.from_data(rows, encoding, box)
        return cls(
            x=scaling.unit(encoding.features(rows.states, rows.actions)),
            y=scaling.unit_increments(increments),
            scaling=scaling,
            encoding=encoding,
        )

    def one_step_errors(self, stack: StackedMLP, plan: FoldPlan) -> tuple[Tensor, Tensor]:
        """Out-of-fold R^2 of the increments and error in raw units of every state, ``(n,)`` each."""
        predictions = out_of_fold(stack.forward(self.x[None]).movedim(-1, 0), plan.held_out).T
        mean_squared = (predictions - self.y).square().mean(0)
        learned = torch.tensor(self.encoding.learned)
        r2 = torch.ones(self.encoding.num_states, dtype=torch.float64)
        rmse = torch.zeros(self.encoding.num_states, dtype=torch.float64)
        r2[learned] = 1.0 - mean_squared
        rmse[learned] = mean_squared.sqrt() * self.scaling.std
        return r2, rmse


def _rows(states: Any, actions: Any, next_states: Arrays | None) -> Transitions:
    """Whatever the user has, as transitions."""
    if isinstance(states, Transitions):
        return states
    if actions is None:
        if isinstance(states, list | tuple) and all(isinstance(one, Trajectory) for one in states):
            return transitions(states)
        raise InputError("actions: expected one array for each trajectory, or next to states; got none")
    if next_states is not None:
        return from_rows(states, actions, next_states)
    if getattr(states, "ndim", 0) == 2 and getattr(actions, "ndim", 0) in (1, 2):
        states, actions = [states], [actions]  # one trajectory
    return transitions(as_trajectories(states, actions))


def _checked_bounds(
    bounds: Arrays | None, rows: Transitions, encoding: Encoding
) -> Float[Tensor, "2 columns"]:
    columns = rows.columns
    if bounds is None:
        return data_bounds(columns)
    box = check_bounds(bounds, columns.shape[1])
    angles = list(encoding.angles)
    columns[:, angles] = box[0, angles]
    return check_bounds(box, columns.shape[1], columns)


def _names(argument: str, names: Sequence[str] | None, letter: str, count: int) -> tuple[str, ...]:
    given = tuple(f"{letter}{column}" for column in range(count)) if names is None else tuple(names)
    if len(given) != count:
        raise InputError(f"{argument}: expected {count} names, got {len(given)}")
    return given
