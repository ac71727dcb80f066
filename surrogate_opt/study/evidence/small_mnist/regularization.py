"""Cross-entropy with a classifier's regularizers, all from one forward pass."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from surrogate_opt.penalties.modules.confidence import Confidence
from surrogate_opt.penalties.modules.jacobian import (
    DataGrad,
    FrobReg,
    JacReg,
    OneHot,
    RandomOneHot,
    SpectReg,
)
from surrogate_opt.penalties.modules.module_penalty import ModulePenalty

OF_GRADIENTS: Final[dict[str, Callable[[nn.Module, int], ModulePenalty]]] = {
    "spectreg": lambda model, seed: SpectReg(model, seed=seed),
    "datagrad": lambda model, seed: DataGrad(model),
    "jacreg": lambda model, seed: JacReg(model),
    "frobreg": lambda model, seed: FrobReg(model),
    "onehot": lambda model, seed: OneHot(model),
    "random_onehot": lambda model, seed: RandomOneHot(model, seed=seed),
}

Loss = Callable[[Tensor, Tensor], Tensor]


def regularized_loss(model: nn.Module, weights: Mapping[str, float], *, seed: int) -> Loss:
    """The mean cross-entropy of a batch and its penalties.

    Args:
        model: a classifier that returns logits.
        weights: of the penalties, by name: ``confidence`` and one of ``spectreg``, ``datagrad``, ``jacreg``,
            ``frobreg``, ``onehot``, ``random_onehot``, or one of them, or none.
        seed: of the random projections.

    Returns:
        A function of inputs ``(n, ...)`` and labels ``(n,)``.
    """
    confidence = Confidence(nn.Identity())  # of logits that are there already
    by_gradients = [
        (OF_GRADIENTS[name](model, seed), weight) for name, weight in weights.items() if name != "confidence"
    ]
    if len(by_gradients) > 1:
        raise ValueError(f"weights: expected one penalty on gradients at most, came {', '.join(weights)}")

    def loss(x: Float[Tensor, "n ..."], y: Int[Tensor, " n"]) -> Tensor:
        total: Tensor | float = 0.0
        if by_gradients:
            ((penalty, weight),) = by_gradients
            logits, value = penalty.with_output(x, y)
            total = weight * value
        else:
            logits = model(x)
        if "confidence" in weights:
            total = total + weights["confidence"] * confidence(logits)
        return cross_entropy(logits, y) + total

    return loss
