"""Trains a stack of classifiers on one data set: cross-entropy, AdamW at a constant rate, shared minibatches.

Members differ in what regularizes them and in nothing else: they begin from the same weights and see the same
minibatches, so that every comparison within a stack is paired.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from surrogate_opt.errors import InputError
from surrogate_opt.networks import StackedMLP, get_activation
from surrogate_opt.penalties import Strength, stacks_of
from surrogate_opt.training.losses import CROSS_ENTROPY
from surrogate_opt.training.optimizer import StackAdamW
from surrogate_opt.training.step import ClosedFormGradient, Controls, SpectralBound
from surrogate_opt.training.trainer import apply_spectral_bounds

_CACHED_PARAMETERS = 2**18  # of a whole stack; gradient and moments are as many each


@dataclass(frozen=True, kw_only=True)
class ClassifierRecipe:
    """How every member is trained; the defaults are those of the DREG paper's MNIST experiments.

    Attributes:
        hidden: widths of the hidden layers.
        activation: of the hidden layers.
        epochs: passes over the training rows; the last batch of each may be smaller.
        batch_size: rows a step.
        learning_rate: AdamW's, constant.
        weight_decay: AdamW's, of all parameters.
        spectral_estimate: leave exact spectral norms at the estimate of the last step, as
            ``torch.nn.utils.spectral_norm`` does in evaluation, and not at their bound: some percent above.
        dtype: of the training arithmetic.
        device: where it runs.

    Raises:
        InputError: a field that cannot be used.
    """

    hidden: tuple[int, ...] = (32, 16)
    activation: str = "relu"
    epochs: int = 8
    batch_size: int = 64
    learning_rate: float = 1e-3
    weight_decay: float = 1e-2
    spectral_estimate: bool = False
    dtype: torch.dtype = torch.float32
    device: str = "cpu"

    def __post_init__(self) -> None:
        get_activation(self.activation)
        if any(count < 1 for count in (*self.hidden, self.epochs, self.batch_size)):
            raise InputError("recipe: expected positive widths, epochs and batch size")
        if not (0.0 < self.learning_rate < math.inf and 0.0 <= self.weight_decay < math.inf):
            raise InputError("recipe: expected a positive learning rate and a weight decay of at least 0")


def train_classifiers(
    x: Float[Tensor, "rows d"],
    labels: Int[Tensor, " rows"],
    strengths: Sequence[Strength],
    recipe: ClassifierRecipe,
    *,
    num_classes: int,
    seed: int,
    progress: Callable[[float], None] | None = None,
) -> StackedMLP:
    """Train one member for each strength.

    Args:
        x: inputs as the networks are to see them.
        labels: from 0 to ``num_classes`` - 1.
        strengths: what regularizes each member.
        recipe: what is common to all.
        num_classes: outputs, one logit a class.
        seed: of initial weights and minibatches.
        progress: called with the share of the work done.

    Returns:
        The members in float32 or as the recipe says, on its device, spectral bounds put into their weights.
    """
    stacks = _partition((x.shape[1], *recipe.hidden, num_classes), strengths, recipe)
    parts = []
    for number, members in enumerate(stacks):

        def report(share: float, number: int = number) -> None:
            if progress is not None:
                progress((number + share) / len(stacks))

        own = [strengths[member] for member in members]
        parts.append(_train_stack(x, labels, own, recipe, num_classes, seed, report))
    order = torch.tensor([member for members in stacks for member in members]).argsort()
    return StackedMLP.concatenate(parts).select(order)


def _partition(
    sizes: tuple[int, ...], strengths: Sequence[Strength], recipe: ClassifierRecipe
) -> list[list[int]]:
    """Members that pay for the same devices, on a processor as many as its caches hold."""
    size = len(strengths)
    if torch.device(recipe.device).type == "cpu":
        size = _CACHED_PARAMETERS // StackedMLP(sizes, 1, recipe.activation).flat.numel()
    return stacks_of(strengths, lambda _: size)


def _train_stack(
    x: Float[Tensor, "rows d"],
    labels: Int[Tensor, " rows"],
    strengths: Sequence[Strength],
    recipe: ClassifierRecipe,
    num_classes: int,
    seed: int,
    progress: Callable[[float], None],
) -> StackedMLP:
    num_rows, device = len(x), torch.device(recipe.device)
    seeds = [seed] * len(strengths)
    stack = StackedMLP(
        (x.shape[1], *recipe.hidden, num_classes),
        len(strengths),
        recipe.activation,
        dtype=recipe.dtype,
        device=device,
    ).initialize(seeds)
    x, labels = x.to(device, recipe.dtype), labels.to(device)
    gradient = ClosedFormGradient(stack, Controls.of(strengths, stack.flat, seeds), CROSS_ENTROPY)
    optimizer = StackAdamW(
        stack,
        gradient.flat,
        strengths,
        learning_rate=recipe.learning_rate,
        weight_decay=recipe.weight_decay,
    )
    generator = torch.Generator().manual_seed(seed)
    num_steps, step = recipe.epochs * math.ceil(num_rows / recipe.batch_size), 0
    for _ in range(recipe.epochs):
        order = torch.randperm(num_rows, generator=generator).to(device)
        for first in range(0, num_rows, recipe.batch_size):
            rows = order[first : first + recipe.batch_size]
            gradient(x[rows][None], labels[rows][None])
            optimizer.step()
            step += 1
            if step % 50 == 0:
                progress(step / num_steps)
    if gradient.bound is not None:
        _bind(stack, gradient.bound, strengths, recipe)
    return stack


@torch.no_grad()
def _bind(
    stack: StackedMLP, bound: SpectralBound, strengths: Sequence[Strength], recipe: ClassifierRecipe
) -> None:
    """Put the spectral bounds into the weights, in place."""
    if not recipe.spectral_estimate:
        apply_spectral_bounds(stack, strengths)
        return
    estimated = bound.estimated_weights()  # of the weights as they are before the bounds
    apply_spectral_bounds(stack, strengths)
    exact = [member for member, strength in enumerate(strengths) if strength.spectral_exact]
    for weight, estimate in zip(stack.weights, estimated, strict=True):
        weight[exact] = estimate[exact]


@torch.no_grad()
def classify(
    stack: StackedMLP, x: Float[Tensor, "n d"], labels: Int[Tensor, " n"]
) -> tuple[Float[Tensor, " members"], Float[Tensor, "members n"]]:
    """Accuracy of every member, and how much its loss at each input changes with the input.

    Args:
        stack: the classifiers.
        x: inputs as the networks see them.
        labels: theirs.

    Returns:
        The share of right answers, and the norm of the gradient of each input's cross-entropy by the input.
    """
    right, norms = [], []
    x, labels = x.to(stack.flat), labels.to(stack.flat.device)
    first = 0
    for part in stack.chunks(x[None]):
        own = labels[first : first + part.shape[1]]
        first += part.shape[1]
        passed = stack.run(part, order=1)
        right.append((passed.output.argmax(-1) == own).to(stack.flat.dtype))
        back = CROSS_ENTROPY.gradient(passed.output, own[None])
        for slope, weight in zip([*passed.slopes[::-1], None], stack.weights[::-1], strict=True):
            back = torch.bmm(back, weight.transpose(1, 2))
            back = back if slope is None else back.mul_(slope)
        norms.append(back.norm(dim=-1))
    return torch.cat(right, 1).mean(1), torch.cat(norms, 1)
