"""Multi-step training: members fine-tuned so that their own predictions, fed back, stay near the data.

A network trained on single steps sees true (or measured) states alone. In a rollout it sees its own errors,
and measurement noise in x_t has biased it towards smaller increments. The loss here is the mean squared error
along H-step rollouts from measured states, differentiated through all steps.

Source: "simulation error minimization" (Farina & Piroddi 2010); Venkatraman, Hebert & Bagnell 2015.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from surrogate_opt.dynamics.encoding import Encoding
from surrogate_opt.dynamics.scaling import TransitionScaling
from surrogate_opt.dynamics.transitions import Transitions
from surrogate_opt.errors import InputError
from surrogate_opt.networks import StackedMLP, spectral_norms
from surrogate_opt.penalties import Strength, dreg_penalty, igp_penalty
from surrogate_opt.training.crossvalidation import FoldPlan
from surrogate_opt.training.trainer import one_cycle

_STOP_WINDOWS = 256


@dataclass(frozen=True, kw_only=True)
class FineTuning:
    """The recipe of the second phase.

    Attributes:
        num_updates: steps of the optimizer.
        batch_size: rollouts per step and member.
        learning_rate: peak of the one-cycle schedule.
        weight_decay: decoupled, as in AdamW.
        check_every: updates between looks at the stopping rollouts.
    """

    num_updates: int = 300
    batch_size: int = 64
    learning_rate: float = 5e-3
    weight_decay: float = 1e-2
    check_every: int = 15


@dataclass(frozen=True, kw_only=True, eq=False)
class RolloutData:
    """The windows of consecutive rows that each member may learn from, and those that stop it.

    Attributes:
        rows: all transitions.
        encoding: of states and actions.
        scaling: of features and increments.
        num_steps: H.
        train: first rows of each member's training windows, K tensors.
        stop: of its stopping windows, ``(K, s)``, as many as the poorest member has; where its stopping rows
            hold no whole window, some of its training windows.
    """

    rows: Transitions
    encoding: Encoding
    scaling: TransitionScaling
    num_steps: int
    train: list[Int[Tensor, " windows"]]
    stop: Int[Tensor, "members s"]

    @classmethod
    def of(
        cls,
        rows: Transitions,
        plan: FoldPlan,
        encoding: Encoding,
        scaling: TransitionScaling,
        num_steps: int,
    ) -> RolloutData:
        """Windows within one trajectory and within one part of a member's rows.

        Raises:
            InputError: a member without a single window.
        """
        stretch, train, stop = rows.stretches, [], []
        for held_out, stop_rows in zip(plan.held_out, plan.stop_rows, strict=True):
            aside = torch.isin(stretch, stretch[stop_rows]) & ~held_out
            train.append(rows.windows(num_steps, ~held_out & ~aside))
            stopping = rows.windows(num_steps, aside)
            stop.append(stopping if len(stopping) else train[-1])
        if min(len(windows) for windows in train) == 0:
            raise InputError(
                f"rollout_steps: expected trajectories of at least {num_steps} steps in every fold; "
                "pass trajectories, or fewer steps"
            )
        fewest = min(_STOP_WINDOWS, *(len(windows) for windows in stop))
        return cls(
            rows=rows,
            encoding=encoding,
            scaling=scaling,
            num_steps=num_steps,
            train=train,
            stop=torch.stack([_evenly_taken(windows, fewest) for windows in stop]),
        )

    def batch(self, size: int, generators: list[torch.Generator]) -> Int[Tensor, "members batch"]:
        """Training windows of every member, drawn at random."""
        return torch.stack(
            [
                windows[torch.randint(len(windows), (size,), generator=generator)]
                for windows, generator in zip(self.train, generators, strict=True)
            ]
        )

    def errors(self, networks: StackedMLP, first: Int[Tensor, "members batch"]) -> Float[Tensor, " members"]:
        """Mean squared error along the rollouts from the given rows, in variances of the increments."""
        x, total = self.rows.states[first], torch.zeros(len(first), dtype=torch.float64)
        for step in range(self.num_steps):
            u = self.rows.actions[first + step]
            features = self.scaling.unit(self.encoding.features(x, u))
            x = self.encoding.advance(x, u, self.scaling.raw_increments(networks.run(features).output))
            error = self.encoding.increments(x, self.rows.next_states[first + step]) / self.scaling.std
            total = total + error.square().mean((1, 2))
        return total / self.num_steps

    def features(self, first: Int[Tensor, "members batch"]) -> Float[Tensor, "members batch features"]:
        """Network inputs at the windows' first rows."""
        return self.scaling.unit(self.encoding.features(self.rows.states[first], self.rows.actions[first]))


def fine_tune(
    stack: StackedMLP,
    data: RolloutData,
    strength: Strength,
    *,
    seed: int,
    recipe: FineTuning | None = None,
) -> StackedMLP:
    """Train members further on H-step rollouts under the strength they were trained with.

    Every member keeps the weights that were best on its stopping windows; those it came with compete.

    Args:
        stack: K members in network coordinates, float64.
        data: their windows.
        strength: of the penalties; the bound of spectral norms is kept by projection.
        seed: of the draws of windows.
        recipe: of the optimizer.
    """
    recipe = recipe or FineTuning()
    flat = stack.flat.clone().requires_grad_()
    networks = stack.with_parameters(flat)
    optimizer = torch.optim.AdamW([flat], lr=recipe.learning_rate, weight_decay=recipe.weight_decay)
    generators = [
        torch.Generator().manual_seed((seed * 1_000_003 + member) % 2**63)
        for member in range(stack.num_members)
    ]
    best = _Best(stack, data)
    for update in range(recipe.num_updates):
        optimizer.param_groups[0]["lr"] = one_cycle(update, recipe.num_updates, recipe.learning_rate)
        first = data.batch(recipe.batch_size, generators)
        loss = data.errors(networks, first) + _penalty(networks, data.features(first), strength)
        (flat.grad,) = torch.autograd.grad(loss.sum(), flat)
        optimizer.step()
        _bound(networks, strength)
        if (update + 1) % recipe.check_every == 0:
            best.look(networks)
    return best.stack


class _Best:
    """The best weights of every member so far."""

    def __init__(self, stack: StackedMLP, data: RolloutData) -> None:
        self.stack = stack.to(torch.float64)
        self._data = data
        self._error = self._errors(stack)

    @torch.no_grad()
    def look(self, networks: StackedMLP) -> None:
        """Keep the members that are better than before."""
        error = self._errors(networks)
        better = error < self._error
        self._error = torch.where(better, error, self._error)
        for mine, theirs in zip(self.stack.blocks(), networks.blocks(), strict=True):
            mine[better] = theirs[better]

    @torch.no_grad()
    def _errors(self, networks: StackedMLP) -> Tensor:
        return self._data.errors(networks, self._data.stop).nan_to_num(nan=torch.inf)


def _penalty(networks: StackedMLP, x: Tensor, strength: Strength) -> Float[Tensor, " members"]:
    """The penalties at the inputs, as in one-step training."""
    total = x.new_zeros(len(x))
    if strength.dreg:
        total = total + strength.dreg * dreg_penalty(networks, networks.run(x, 1), networks.weights).mean(1)
    if strength.igp:
        total = total + strength.igp * igp_penalty(networks, x).mean(1)
    return total


@torch.no_grad()
def _bound(networks: StackedMLP, strength: Strength) -> None:
    """Scale every layer's spectral norm down to the bound."""
    if strength.spectral_bound < torch.inf:
        for weight in networks.weights:
            weight.mul_((strength.spectral_bound / spectral_norms(weight)).clamp_max(1.0)[:, None, None])


def _evenly_taken(rows: Int[Tensor, " n"], count: int) -> Int[Tensor, " count"]:
    return rows[torch.linspace(0, len(rows) - 1, count).round().long()]
