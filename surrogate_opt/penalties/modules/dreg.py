"""DREG for any torch module: the mean squared Frobenius norm of every layer's local Jacobian."""

from __future__ import annotations

import torch
from torch import Tensor

from surrogate_opt.errors import InputError
from surrogate_opt.penalties.modules.layer_trace import LayerTrace
from surrogate_opt.penalties.modules.module_penalty import ModulePenalty


class DREG(ModulePenalty):
    """R = (1 / L) sum_l E_x[d_l(x)], d_l = sum_j phi'(z_lj)^2 ||W_l[j]||^2, over L layers.

    Layers are Linear and Conv1d to Conv3d, as modules or as functions; of a convolution ||W_l[j]|| is the
    norm of channel j's kernel, and phi'^2 is averaged over positions. Activations are what torch offers
    elementwise, or modules of your own, whose slopes come from autograd; numbers that multiply count. Batch
    normalization between layer and activation is part of the layer. Dropout leaves slopes alone (in stacks
    it multiplies them). What cannot be seen is refused with an error: attention, recurrence, shared weights,
    checkpoints, activations that mix their inputs or are several functions in a row.

    Example:
        ``output, value = DREG(model).with_output(x)``, and ``loss = task(output) + strength * value``

    Args:
        model: any module.

    Source:
        "Derivative-Controlled Compact Surrogates for Predictable Sensitivity", Equations 4 and 5; the rule
        for convolutions is ours.
    """

    needs_target = False

    def with_output(self, x: Tensor, y: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """See ``ModulePenalty``.

        Raises:
            InputError: something in the model that the penalty cannot see, or no layer at all.
        """
        trace = LayerTrace(self.model)
        with trace.watching(self.model):
            output = self.model(x)
        trace.finish(output)
        if not trace.layers:
            raise InputError("model: expected at least one Linear or Conv layer, found none")
        parts = []
        for layer in trace.layers:
            norms, slope = layer.squared_row_norms(), layer.mean_squared_slope()
            parts.append(norms.sum() if slope is None else (norms * slope).sum())
        return output, torch.stack(parts).mean()
