"""What the penalties for torch modules have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

from torch import Tensor, nn

from surrogate_opt.errors import InputError


class ModulePenalty(ABC):
    """A penalty on a torch module's derivatives: ``loss = task + strength * penalty(x)``.

    Every penalty is a mean over the batch, so its strength does not depend on the batch size.

    Args:
        model: maps a batch of inputs to outputs, examples apart from one another.

    Attributes:
        model: as given; not copied.
        needs_target: whether it takes targets beside inputs: ``penalty(x, y)``.
    """

    needs_target: ClassVar[bool]

    def __init__(self, model: nn.Module) -> None:
        if not isinstance(model, nn.Module):
            raise InputError(f"model: expected a torch.nn.Module, got {type(model).__name__}")
        self.model = model

    def __call__(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """The penalty on a batch, a scalar with its graph; without one under ``torch.no_grad()``.

        Args:
            x: inputs as the model takes them, ``(n, ...)``.
            y: targets, where ``needs_target``.
        """
        return self.with_output(x, y)[1]

    @abstractmethod
    def with_output(self, x: Tensor, y: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """The model's output and the penalty, from one forward pass; graphs as in ``__call__``."""
