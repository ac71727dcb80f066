"""Trains every member of a stack at once: minibatches, one-cycle AdamW, early stopping, failures.

A member is a network, the rows it trains on, the rows that stop it, its strength and its seed. Members with
equal seeds share initial weights and minibatch order, so a comparison between strengths or methods is paired.
Nothing a member computes depends on its neighbours in the stack.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from surrogate_opt.data.checks import check_device
from surrogate_opt.errors import InputError
from surrogate_opt.networks import StackedMLP, get_activation, spectral_norms
from surrogate_opt.penalties import Strength, stacks_of
from surrogate_opt.training.optimizer import StackAdamW
from surrogate_opt.training.step import ClosedFormGradient, Controls

Progress = Callable[[float], None]

_CACHED_NUMBERS = 2**18  # of one layer of a whole stack: 1 MiB in float32


@dataclass(frozen=True, kw_only=True)
class TrainingConfig:
    """The recipe, the same for every member.

    Attributes:
        hidden: widths of the hidden layers.
        activation: name of the hidden layers' activation.
        epochs: passes over the training rows.
        batch_size: rows per step; adjusted so that the batches of an epoch are of equal size.
        learning_rate: peak of the one-cycle schedule.
        weight_decay: decoupled, as in AdamW.
        num_checks: how often the stopping rows are looked at, evenly over the run.
        dtype: of the training arithmetic.
        device: where it runs.

    Raises:
        InputError: a field that cannot be used.
    """

    hidden: tuple[int, ...] = (64, 64)
    activation: str = "silu"
    epochs: int = 100
    batch_size: int = 32
    learning_rate: float = 5e-3
    weight_decay: float = 1e-2
    num_checks: int = 20
    dtype: torch.dtype = torch.float32
    device: str = "cpu"

    def __post_init__(self) -> None:
        get_activation(self.activation)
        if any(width < 1 for width in self.hidden):
            raise InputError(f"hidden: expected positive widths, got {self.hidden}")
        for name, count in (
            ("epochs", self.epochs),
            ("batch_size", self.batch_size),
            ("num_checks", self.num_checks),
        ):
            if count < 1:
                raise InputError(f"{name}: expected at least 1, got {count}")
        if not 0.0 < self.learning_rate < math.inf:
            raise InputError(f"learning_rate: expected a positive number, got {self.learning_rate}")
        if not 0.0 <= self.weight_decay < math.inf:
            raise InputError(f"weight_decay: expected a number of at least 0, got {self.weight_decay}")
        check_device(self.device)


@dataclass(frozen=True, kw_only=True)
class Members:
    """What each of P members trains on; rows index one common pool.

    Attributes:
        x: inputs of the pool in network coordinates, ``(N, d)``.
        y: targets of the pool in standard deviations, ``(N,)`` or ``(N, m)``.
        train_rows: ``(P, n)``.
        stop_rows: rows for early stopping, ``(P, k)``; none of them in ``train_rows``. With k = 0
            members train to the end of the schedule, and failures are looked for in the training error.
        strengths: P of them.
        seeds: P of them.
    """

    x: Float[Tensor, "pool d"]
    y: Float[Tensor, " pool"] | Float[Tensor, "pool m"]
    train_rows: Int[Tensor, "members n"]
    stop_rows: Int[Tensor, "members k"]
    strengths: Sequence[Strength]
    seeds: Sequence[int]

    def __post_init__(self) -> None:
        counts = {len(self.train_rows), len(self.stop_rows), len(self.strengths), len(self.seeds)}
        if len(counts) != 1:
            raise InputError(
                "members: expected train_rows, stop_rows, strengths and seeds of equal length, got "
                f"{len(self.train_rows)}, {len(self.stop_rows)}, {len(self.strengths)}, {len(self.seeds)}"
            )

    @property
    def num_members(self) -> int:
        """P."""
        return len(self.seeds)

    def select(self, members: list[int]) -> Members:
        """Some of the members, on the same pool."""
        return Members(
            x=self.x,
            y=self.y,
            train_rows=self.train_rows[members],
            stop_rows=self.stop_rows[members],
            strengths=[self.strengths[member] for member in members],
            seeds=[self.seeds[member] for member in members],
        )


@dataclass(frozen=True, kw_only=True)
class TrainingResult:
    """Trained members, each as it was at its best check (at the last one without stopping rows).

    Attributes:
        stack: float64, spectral bounds applied to the weights themselves.
        failed: members whose error stopped being a number, ``(P,)``; their weights are those of their best
            check before, or the initial ones.
        stop_error: mean squared error on the stopping rows (the training rows where there are none) at each
            check, ``(checks, P)``.
        best_check: index into the checks, ``(P,)``.
    """

    stack: StackedMLP
    failed: Bool[Tensor, " members"]
    stop_error: Float[Tensor, "checks members"]
    best_check: Int[Tensor, " members"]


def one_cycle(step: int, num_steps: int, peak: float) -> float:
    """Learning rate at a step: a cosine from peak / 25 up over 30% of the steps, then down to nearly zero.

    Source: Smith & Topin 2019, with the cosine form and constants that torch's OneCycleLR uses.
    """
    rise = max(1.0, 0.3 * num_steps - 1.0)
    fall = max(1.0, num_steps - 1.0 - rise)
    start, end = peak / 25.0, peak / 25.0e4
    if step <= rise:
        return peak + (start - peak) * 0.5 * (1.0 + math.cos(math.pi * step / rise))
    return end + (peak - end) * 0.5 * (1.0 + math.cos(math.pi * min(1.0, (step - rise) / fall)))


def train(
    members: Members,
    config: TrainingConfig,
    *,
    initial: StackedMLP | None = None,
    progress: Progress | None = None,
) -> TrainingResult:
    """Train all members, in stacks that fit the processor's caches.

    Args:
        members: the networks to train.
        config: the recipe.
        initial: P networks to start from, instead of weights drawn by the members' seeds.
        progress: called with the share of the work done, in [0, 1].

    Raises:
        InputError: initial networks of another number or architecture.
    """
    if initial is not None and (initial.num_members, *initial.sizes) != (
        members.num_members,
        *_sizes(members, config),
    ):
        raise InputError(
            f"initial: expected {members.num_members} networks of sizes {_sizes(members, config)}, "
            f"got {initial.num_members} of {initial.sizes}"
        )
    stacks = _partition(members, config)
    results = []
    for position, rows in enumerate(stacks):

        def report(share: float, position: int = position) -> None:
            if progress is not None:
                progress((position + share) / len(stacks))

        start = None if initial is None else initial.select(rows)
        results.append(_train_stack(members.select(rows), config, start, report))
    order = torch.tensor([member for rows in stacks for member in rows]).argsort()
    return TrainingResult(
        stack=StackedMLP.concatenate([result.stack for result in results]).select(order),
        failed=torch.cat([result.failed for result in results])[order],
        stop_error=torch.cat([result.stop_error for result in results], 1)[:, order],
        best_check=torch.cat([result.best_check for result in results])[order],
    )


def _partition(members: Members, config: TrainingConfig) -> list[list[int]]:
    """Members cut into stacks of those that pay for the same devices."""
    numbers = config.batch_size * max(config.hidden, default=1)
    num_outputs = _sizes(members, config)[-1]

    def most(costly: frozenset[str]) -> int:
        rows = num_outputs if {"igp", "jacreg"} & costly else 1  # they have a row for each output
        return _CACHED_NUMBERS // (numbers * rows)

    return stacks_of(members.strengths, most)


def _sizes(members: Members, config: TrainingConfig) -> tuple[int, ...]:
    num_outputs = 1 if members.y.ndim == 1 else members.y.shape[1]
    return (members.x.shape[1], *config.hidden, num_outputs)


def _train_stack(
    members: Members, config: TrainingConfig, initial: StackedMLP | None, progress: Progress
) -> TrainingResult:
    run = _Run(members, config, initial)
    num_rows = members.train_rows.shape[1]
    num_batches = max(1, round(num_rows / config.batch_size))
    batch_size = num_rows // num_batches
    num_steps = config.epochs * num_batches
    check_epochs = {
        math.ceil((k + 1) * config.epochs / config.num_checks) - 1 for k in range(config.num_checks)
    }
    step = 0
    x, y = run.shuffled()
    for epoch in range(config.epochs):
        if epoch > 0 and num_batches > 1:
            x, y = run.shuffled()
        for batch in range(num_batches):
            rows = slice(batch * batch_size, (batch + 1) * batch_size)
            run.step(x[:, rows], y[:, rows], one_cycle(step, num_steps, config.learning_rate))
            step += 1
        if epoch in check_epochs:
            run.check()
            progress((epoch + 1) / config.epochs)
    return run.result()


@torch.no_grad()
def apply_spectral_bounds(stack: StackedMLP, strengths: Sequence[Strength]) -> None:
    """Put the members' spectral bounds into the weights themselves, exactly and in place."""
    device = stack.flat.device
    bounds = torch.tensor([s.spectral_bound for s in strengths], dtype=stack.flat.dtype, device=device)
    exact = torch.tensor([s.spectral_exact for s in strengths], device=device)
    if torch.isfinite(bounds).any():
        for weight in stack.weights:
            norms = spectral_norms(weight)
            weight.mul_(torch.where((norms > bounds) | exact, bounds / norms, 1.0)[:, None, None])


class _Run:
    """State of one training run."""

    def __init__(self, members: Members, config: TrainingConfig, initial: StackedMLP | None) -> None:
        self._members = members
        if initial is None:
            self._stack = StackedMLP(
                _sizes(members, config),
                members.num_members,
                config.activation,
                dtype=config.dtype,
                device=config.device,
            ).initialize(list(members.seeds))
        else:
            self._stack = initial.to(config.dtype, config.device)
        self._x = members.x.to(config.device, config.dtype)
        self._y = members.y.to(config.device, config.dtype).reshape(len(members.y), -1)
        self._train_rows = members.train_rows.to(config.device)
        controls = Controls.of(members.strengths, self._stack.flat, members.seeds)
        self._gradient = ClosedFormGradient(self._stack, controls)
        self._optimizer = StackAdamW(
            self._stack,
            self._gradient.flat,
            members.strengths,
            learning_rate=config.learning_rate,
            weight_decay=config.weight_decay,
        )
        self._generators = {s: torch.Generator().manual_seed(s) for s in dict.fromkeys(members.seeds)}
        order = {seed: position for position, seed in enumerate(self._generators)}
        self._shuffle_of = torch.tensor([order[seed] for seed in members.seeds], device=config.device)

        self._stops_early = members.stop_rows.shape[1] > 0
        checked_rows = members.stop_rows.to(config.device) if self._stops_early else self._train_rows
        self._checked_x, self._checked_y = self._x[checked_rows], self._y[checked_rows]
        self._errors: list[Tensor] = []
        self._best = self._stack.to(config.dtype)
        self._best_error = torch.full(
            (members.num_members,), math.inf, dtype=config.dtype, device=config.device
        )
        self._best_check = torch.zeros(members.num_members, dtype=torch.int64, device=config.device)
        self._failed = torch.zeros(members.num_members, dtype=torch.bool, device=config.device)

    def shuffled(self) -> tuple[Tensor, Tensor]:
        """The training rows of every member in this epoch's order, ``(P, n, d)`` and ``(P, n, m)``."""
        num_rows = self._train_rows.shape[1]
        orders = torch.stack([torch.randperm(num_rows, generator=g) for g in self._generators.values()])
        orders = orders.to(self._train_rows.device)[self._shuffle_of]
        rows = self._train_rows.gather(1, orders)
        return self._x[rows], self._y[rows]

    def step(self, x: Tensor, y: Tensor, learning_rate: float) -> None:
        """One minibatch of every member."""
        self._gradient(x, y)
        self._optimizer.step(learning_rate)

    @torch.no_grad()
    def check(self) -> None:
        """Measure the error; keep the members to be kept; mark those that failed."""
        bound = self._gradient.bound
        weights = self._stack.weights if bound is None else bound.bounded_weights(iterations=5)
        output = self._stack.run(self._checked_x, weights=weights).output
        error = (output - self._checked_y).square().mean((1, 2))
        self._errors.append(error)
        self._failed |= ~torch.isfinite(error)
        better = ~self._failed & ((error < self._best_error) if self._stops_early else torch.isfinite(error))
        self._best_error = torch.where(better, error, self._best_error)
        self._best_check[better] = len(self._errors) - 1
        current = [*weights, *self._stack.biases, *self._stack.coefficients]
        for mine, theirs in zip(self._best.blocks(), current, strict=True):
            mine[better] = theirs[better]

    @torch.no_grad()
    def result(self) -> TrainingResult:
        """What the run leaves: best members in float64, exactly within their bounds."""
        stack = self._best.to(torch.float64, "cpu")
        apply_spectral_bounds(stack, self._members.strengths)
        return TrainingResult(
            stack=stack,
            failed=self._failed.cpu(),
            stop_error=torch.stack(self._errors).cpu(),
            best_check=self._best_check.cpu(),
        )
