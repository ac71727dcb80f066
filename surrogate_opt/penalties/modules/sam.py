"""Sharpness-aware minimization around any optimizer."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.optim import Optimizer

from surrogate_opt.errors import InputError


class SAM:
    """Steps along the gradient at the worst nearby weights, w + rho g / ||g||, in place of that at w.

    Twice the gradients of a plain step.

    Example:
        ``SAM(torch.optim.AdamW(model.parameters()), rho=0.05).step(closure)``

    Args:
        optimizer: takes the steps.
        rho: how far away the weights are.

    Raises:
        InputError: a distance that is not positive.

    Source:
        Foret et al. 2021, Algorithm 1.
    """

    def __init__(self, optimizer: Optimizer, rho: float = 0.05) -> None:
        if not 0.0 < rho < math.inf:
            raise InputError(f"rho: expected a positive number, got {rho}")
        self.optimizer = optimizer
        self.rho = rho

    def step(self, closure: Callable[[], Tensor]) -> Tensor:
        """One step.

        Args:
            closure: computes the loss from the weights as they are, without calling ``backward``.

        Returns:
            The loss at the weights before the step.
        """
        parameters = [p for group in self.optimizer.param_groups for p in group["params"] if p.requires_grad]
        loss = self._differentiate(closure)
        gradients = [p.grad for p in parameters if p.grad is not None]
        norm = torch.stack([gradient.norm() for gradient in gradients]).norm().clamp_min(1e-30)
        moved = [(p, self.rho / norm * p.grad) for p in parameters if p.grad is not None]
        with torch.no_grad():
            before = [p.clone() for p, _ in moved]
            for p, offset in moved:
                p.add_(offset)
        try:
            self._differentiate(closure)
        finally:
            with torch.no_grad():
                for (p, _), value in zip(moved, before, strict=True):
                    p.copy_(value)
        self.optimizer.step()
        return loss

    def _differentiate(self, closure: Callable[[], Tensor]) -> Tensor:
        self.optimizer.zero_grad()
        with torch.enable_grad():
            loss = closure()
        if any(p.grad is not None for group in self.optimizer.param_groups for p in group["params"]):
            raise InputError("closure: expected one that computes the loss, without calling backward")
        loss.backward()  # type: ignore[no-untyped-call]
        return loss.detach()
