"""The confidence penalty: the negative entropy of the predicted probabilities."""

from __future__ import annotations

from torch import Tensor

from surrogate_opt.penalties.modules.jacobian import as_tensor, class_logits
from surrogate_opt.penalties.modules.module_penalty import ModulePenalty


class Confidence(ModulePenalty):
    """E sum_k p_k log p_k of the softmax probabilities, between -log m and 0.

    Source:
        Pereyra et al. 2017.
    """

    needs_target = False

    def with_output(self, x: Tensor, y: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """See ``ModulePenalty``."""
        output = as_tensor(self.model(x))
        log_p = class_logits(output).log_softmax(1)
        return output, (log_p.exp() * log_p).sum(1).mean()
