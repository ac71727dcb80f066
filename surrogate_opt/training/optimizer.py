"""AdamW on the flat parameters of a stack, with a decay of their own for members that want one."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from surrogate_opt.networks import StackedMLP
from surrogate_opt.penalties import Strength


class StackAdamW:
    """AdamW with decoupled weight decay (Loshchilov & Hutter 2019).

    Args:
        stack: its parameters are changed in place.
        gradient: laid out like ``stack.flat``, read at every step.
        strengths: of the members; a decay there takes the place of the common one.
        learning_rate: of the steps until another is given.
        weight_decay: the common one.
    """

    def __init__(
        self,
        stack: StackedMLP,
        gradient: Tensor,
        strengths: Sequence[Strength],
        *,
        learning_rate: float,
        weight_decay: float,
    ) -> None:
        stack.flat.grad = gradient
        self._flat = stack.flat
        own = [strength.weight_decay for strength in strengths]
        self._decay: Tensor | None = None
        if any(decay is not None for decay in own):
            self._decay = _each_parameter(stack, [weight_decay if d is None else d for d in own])
        self._adam = torch.optim.AdamW(
            [stack.flat],
            lr=learning_rate,
            weight_decay=weight_decay if self._decay is None else 0.0,
            fused=True,
        )

    @torch.no_grad()
    def step(self, learning_rate: float | None = None) -> None:
        """One step, at a new learning rate if one is given."""
        group = self._adam.param_groups[0]
        if learning_rate is not None:
            group["lr"] = learning_rate
        if self._decay is not None:
            self._flat.addcmul_(self._flat, self._decay, value=-group["lr"])
        self._adam.step()


def _each_parameter(stack: StackedMLP, decays: list[float]) -> Tensor:
    flat = torch.empty_like(stack.flat)
    each = torch.tensor(decays, dtype=flat.dtype, device=flat.device)
    for blocks in stack.views(flat):
        for block in blocks:
            block.copy_(each.view(-1, *(1,) * (block.ndim - 1)).expand_as(block))
    return flat
