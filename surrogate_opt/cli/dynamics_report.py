"""What fit-dynamics measures and prints: learned dynamics beside linear ones on rows that neither saw."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from rich.console import Console
from torch import Tensor

from surrogate_opt.cli.console import make_table, number, print_wrapped
from surrogate_opt.dynamics import (
    Dynamics,
    FreeRunError,
    Lagged,
    LinearDynamics,
    Trajectory,
    free_run_error,
    simulate,
    transitions,
    with_lags,
)
from surrogate_opt.errors import InputError
from surrogate_opt.penalties import get_method

_TEST_SHARE = 0.25
_MIN_TRANSITIONS = 20


@dataclass(frozen=True, kw_only=True, eq=False)
class Rival:
    """A model on the test stretches.

    Attributes:
        name: of the model.
        one_step_r2: of each output's increment, ``(outputs,)``.
        free_run: errors over all stretches.
        simulated: free run of the longest one, ``(instants, outputs)``.
    """

    name: str
    one_step_r2: Float[Tensor, " outputs"]
    free_run: FreeRunError
    simulated: Float[Tensor, "instants outputs"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Comparison:
    """Learned and linear dynamics on the same test stretches.

    Attributes:
        model: what was learned.
        rivals: the network, then the linear model.
        measured: the longest stretch, ``(instants, outputs)``.
        actions: that were applied there, ``(instants - 1, m)``.
        num_rows: transitions in all stretches.
    """

    model: Dynamics
    rivals: tuple[Rival, Rival]
    measured: Float[Tensor, "instants outputs"]
    actions: Float[Tensor, "steps m"]
    num_rows: int


def hold_out(trajectories: Sequence[Trajectory]) -> tuple[list[Trajectory], list[Trajectory]]:
    """All but the last quarter of the transitions, and that quarter, cut within a stretch where need be.

    Raises:
        InputError: too few to learn from and to test on.
    """
    total = sum(trajectory.num_steps for trajectory in trajectories)
    if total < _MIN_TRANSITIONS:
        raise InputError(f"log: expected at least {_MIN_TRANSITIONS} transitions; came {total}")
    left = total - int(_TEST_SHARE * total)
    train: list[Trajectory] = []
    test: list[Trajectory] = []
    for trajectory in trajectories:
        cut = min(left, trajectory.num_steps)
        left -= cut
        if cut:
            train.append(_part(trajectory, 0, cut))
        if cut < trajectory.num_steps:
            test.append(_part(trajectory, cut, trajectory.num_steps))
    return train, test


def lagged(
    trajectories: Sequence[Trajectory], lags: int, states: Sequence[str], actions: Sequence[str]
) -> Lagged:
    """States of so many instants.

    Raises:
        InputError: no stretch is so long.
    """
    if not any(trajectory.num_steps >= lags for trajectory in trajectories):
        raise InputError(f"--lags: expected stretches of at least {lags} steps to learn from and to test on")
    return with_lags(trajectories, lags, output_names=states, action_names=actions)


def compare(model: Dynamics, learned: Lagged, fresh: Lagged) -> Comparison:
    """Both models on stretches that neither saw; the linear one by least squares on the same rows.

    Args:
        model: learned from ``learned``.
        learned: stretches to learn from.
        fresh: stretches to test on.
    """
    linear = LinearDynamics.fit(transitions(learned.trajectories), model.encoding)
    longest = max(fresh.trajectories, key=lambda trajectory: trajectory.num_steps)
    outputs = list(fresh.outputs)
    network, straight = (
        Rival(
            name=name,
            one_step_r2=_one_step_r2(rival, fresh),
            free_run=free_run_error(rival, fresh.trajectories, outputs),
            simulated=simulate(rival, longest)[:, outputs],
        )
        for name, rival in (("network", model), ("linear (ARX)", linear))
    )
    return Comparison(
        model=model,
        rivals=(network, straight),
        measured=longest.states[:, outputs],
        actions=longest.actions,
        num_rows=sum(trajectory.num_steps for trajectory in fresh.trajectories),
    )


def print_report(console: Console, comparison: Comparison) -> None:
    """Print a line for each output and model, how the strength was chosen, and a judgement."""
    model = comparison.model
    method = get_method(model.penalty)
    table = make_table()
    for heading in ("output", "model"):
        table.add_column(heading)
    for heading in ("one-step R²", "free-run RMSE", "free-run fit"):
        table.add_column(heading, justify="right")
    for output in range(comparison.measured.shape[1]):
        for place, rival in enumerate(comparison.rivals):
            table.add_row(
                "" if place else model.state_names[output],
                rival.name,
                f"{float(rival.one_step_r2[output]):.4f}",
                number(float(rival.free_run.rmse[output])),
                f"{float(rival.free_run.fit_percent[output]):.1f}%",
            )
    console.print(f"On {comparison.num_rows} transitions that neither model saw", style="bold")
    console.print(table)
    console.print(
        " R² of the increments from one row to the next; fit: 100% is perfect, 0% no better than the mean",
        style="dim",
    )
    if method.num_points > 1:
        print_wrapped(
            console, f"{method.label}: {model.level:.3g} (--strength {model.level:.3g} repeats it)."
        )
    console.print()
    print_wrapped(console, verdict(comparison), style="bold")


def verdict(comparison: Comparison) -> str:
    """What the free runs say, in plain words."""
    network, linear = (rival.free_run for rival in comparison.rivals)
    ratios = network.rmse / linear.rmse
    mean = float(ratios.log().mean().exp())
    if not bool(network.rmse.isfinite().all()):
        return "The free run of the network leaves finite numbers: more data, or --rollout-steps 10."
    if float(network.fit_percent.median()) < 0.0:
        return (
            "The free run is no better than the record's mean: a state may be missing (--lags), or the "
            "record drifts; one-step errors hide that."
        )
    if not bool(linear.rmse.isfinite().all()) or mean < 0.95:
        share = f"{mean:.0%} of" if bool(linear.rmse.isfinite().all()) else "finite, unlike"
        return f"The network is worth it: its free-run error is {share} the linear model's."
    if mean <= 1.05:
        return "The network is level with the linear model: take the linear one, or more varied data."
    return (
        f"The linear model is better: the network's free-run error is {mean:.2f} times its. Try "
        "--rollout-steps 10 or more --lags, or take the linear one."
    )


def _part(trajectory: Trajectory, first: int, last: int) -> Trajectory:
    return Trajectory(states=trajectory.states[first : last + 1], actions=trajectory.actions[first:last])


@torch.no_grad()
def _one_step_r2(rival: Dynamics | LinearDynamics, fresh: Lagged) -> Float[Tensor, " outputs"]:
    outputs = list(fresh.outputs)
    now = torch.cat([trajectory.states[:-1] for trajectory in fresh.trajectories])
    then = torch.cat([trajectory.states[1:] for trajectory in fresh.trajectories])[:, outputs]
    actions = torch.cat([trajectory.actions for trajectory in fresh.trajectories])
    error = (rival.step(now, actions)[:, outputs] - then).square().mean(0)
    r2: Tensor = 1.0 - error / (then - now[:, outputs]).var(0, correction=0)
    return r2
