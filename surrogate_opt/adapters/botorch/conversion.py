"""Fitted surrogates as a BoTorch model."""

from __future__ import annotations

from collections.abc import Sequence

from surrogate_opt.adapters.botorch.calibration import held_out_scale
from surrogate_opt.adapters.botorch.ensemble import EnsembleSurrogate
from surrogate_opt.adapters.botorch.members import OutputMembers
from surrogate_opt.errors import InputError
from surrogate_opt.surrogate import Surrogate


def to_botorch(
    surrogates: Surrogate | Sequence[Surrogate], *, calibration: float | None = None
) -> EnsembleSurrogate:
    """A BoTorch model of one surrogate, or of several as its outputs; raw units in and out.

    BoTorch maximizes: what is to be minimized wants a surrogate of -y, or an objective that negates.

    Args:
        surrogates: one, or one an output, all with as many inputs and members.
        calibration: what the members' deviations are multiplied with; by default each output's own number,
            from its out-of-fold residuals.

    Raises:
        InputError: something else than surrogates, surrogates that differ in inputs or members, or no
            calibration given where training data were left out of a surrogate's file.

    Example:
        >>> model = to_botorch(fit(x, -y))
        >>> acquisition = LogExpectedImprovement(model, best_f=(-y).max())
    """
    each = [surrogates] if isinstance(surrogates, Surrogate) else surrogates
    if not isinstance(each, Sequence) or not all(isinstance(one, Surrogate) for one in each):
        raise InputError(f"surrogates: expected a Surrogate or a sequence of them, got {surrogates!r:.80}")
    return EnsembleSurrogate(
        [
            OutputMembers(
                one.stack,
                one.scaling,
                calibration=_held_out_calibration(one) if calibration is None else calibration,
            )
            for one in each
        ]
    )


def _held_out_calibration(surrogate: Surrogate) -> float:
    record, scaling = surrogate.record, surrogate.scaling
    if not len(record.rows):
        raise InputError("calibration: expected a number for a surrogate without training data, got None")
    residuals = record.residuals[record.rows] / scaling.y_std
    return held_out_scale(surrogate.stack, scaling.unit(record.x), residuals)
