"""Training of one classifier by minibatches, with a rate that falls twice; its accuracy."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import MultiStepLR

from surrogate_opt.study.evidence.small_mnist.regularization import Loss
from surrogate_opt.study.strict_specs import mixed_seed

_CHUNK = 500


def generator_of(run: int, purpose: int) -> torch.Generator:
    """A run's own source of chance for one purpose, on the CPU."""
    return torch.Generator().manual_seed(mixed_seed(run, purpose))


def initialize(model: nn.Module, draw: Callable[..., Tensor], generator: torch.Generator) -> None:
    """Draw a model's weights anew, in place; biases become zero.

    Args:
        model: on the CPU, as the generator.
        draw: fills a weight, as the functions of ``torch.nn.init`` do.
        generator: of the weights.
    """
    for layer in model.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            draw(layer.weight, generator=generator)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


def falling_rate(optimizer: Optimizer, minibatches: int) -> MultiStepLR:
    """A schedule that divides the rate by 10 after 50% and after 75% of the minibatches."""
    return MultiStepLR(optimizer, [minibatches // 2, 3 * minibatches // 4], gamma=0.1)


def train(
    model: nn.Module,
    loss: Loss,
    optimizer: Optimizer,
    x: Float[Tensor, "n c h w"],
    y: Int[Tensor, " n"],
    *,
    minibatches: int,
    batch_size: int,
    generator: torch.Generator,
) -> None:
    """Train a model in place, the rate falling as in ``falling_rate``.

    Args:
        model: of which the loss is.
        loss: of inputs and labels.
        optimizer: of the model's parameters, at the first rate.
        x: all training inputs, where the model is.
        y: their labels.
        minibatches: steps.
        batch_size: rows a step; the last batch of a pass over the data may have fewer.
        generator: of the order of rows, on the CPU.
    """
    schedule = falling_rate(optimizer, minibatches)
    model.train()
    for rows in minibatch_rows(len(x), minibatches, batch_size, generator):
        rows = rows.to(x.device)
        optimizer.zero_grad()
        loss(x[rows], y[rows]).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()


def minibatch_rows(
    num_rows: int, minibatches: int, batch_size: int, generator: torch.Generator
) -> Iterator[Int[Tensor, " batch"]]:
    """The rows of every minibatch, each pass over the data in another order."""
    done = 0
    while done < minibatches:
        order = torch.randperm(num_rows, generator=generator)
        for rows in torch.split(order, batch_size)[: minibatches - done]:
            done += 1
            yield rows


@torch.no_grad()
def accuracy(model: nn.Module, x: Float[Tensor, "n c h w"], y: Int[Tensor, " n"]) -> float:
    """The percentage of right answers; NaN where a logit is none, since the training has failed."""
    model.eval()
    right = 0
    for inputs, labels in zip(torch.split(x, _CHUNK), torch.split(y, _CHUNK), strict=True):
        logits = model(inputs)
        if not logits.isfinite().all():
            return math.nan
        right += int((logits.argmax(1) == labels).sum())
    return 100.0 * right / len(x)
