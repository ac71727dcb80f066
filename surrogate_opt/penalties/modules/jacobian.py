"""Penalties on a module's input Jacobian: whole or projected, of outputs, of probabilities, of the loss.

All of them are E ||J^T w||^2 with J the Jacobian of the outputs (a classifier's logits) and some w: every
basis vector, a random vector, the label, or what the loss sends back. Each w is one backward pass and its
double.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from surrogate_opt.errors import InputError
from surrogate_opt.penalties.modules.module_penalty import ModulePenalty


class JacobianPenalty(ModulePenalty):
    """Mean over the batch of sum_w ||J^T w||^2; subclasses say which w."""

    needs_target: ClassVar[bool] = False

    def with_output(self, x: Tensor, y: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """See ``ModulePenalty``.

        Raises:
            InputError: a target is missing, or the output does not depend on the input.
        """
        if self.needs_target and y is None:
            raise InputError(f"y: {type(self).__name__} needs targets, penalty(x, y); got none")
        keep_graph = torch.is_grad_enabled()
        with torch.enable_grad():
            x = _differentiable(x)
            output = as_tensor(self.model(x))
            gradients = [_gradient(scalar, x, keep_graph) for scalar in self.scalars(output, y)]
        value = torch.stack([gradient.square().sum() for gradient in gradients]).sum() / len(x)
        return output if keep_graph else output.detach(), value

    @abstractmethod
    def scalars(self, output: Tensor, y: Tensor | None) -> Sequence[Tensor]:
        """Sums over the batch whose gradients by the inputs are penalized, one backward pass each."""


class FrobReg(JacobianPenalty):
    """E ||J||_F^2 of the outputs, exactly: as many backward passes as outputs.

    Of one output it is IGP, the squared norm of the input gradient. Hoffman, Roberts & Yaida 2019, and their
    ``JacobianReg``, count half of it.

    Source:
        Drucker & LeCun 1992; Ross & Doshi-Velez 2018; "FrobReg" in Varga, Csiszarik & Zombori 2018.
    """

    def scalars(self, output: Tensor, y: Tensor | None) -> Sequence[Tensor]:
        """See ``JacobianPenalty``."""
        return list(_apart(_columns(output)))


class IGP(FrobReg):
    """The input-gradient penalty, E ||grad_x f||^2; over several outputs their sum, as ``FrobReg``."""


class JacReg(JacobianPenalty):
    """E ||J||_F^2 of the softmax probabilities.

    Source:
        Sokolic et al. 2017.
    """

    def scalars(self, output: Tensor, y: Tensor | None) -> Sequence[Tensor]:
        """See ``JacobianPenalty``."""
        return list(_apart(_columns(class_logits(output).softmax(1))))


class RandomProjection(JacobianPenalty):
    """Mean over the batch of ||J^T w||^2 with one random w.

    Args:
        model: see ``ModulePenalty``.
        seed: of the draws, a fresh one for every example and call.
    """

    def __init__(self, model: nn.Module, *, seed: int = 0) -> None:
        super().__init__(model)
        self._generator = torch.Generator().manual_seed(seed)


class SpectReg(RandomProjection):
    """E ||J^T r||^2 of the outputs with r normal, covariance I / m: on average ||J||_F^2 / m.

    Source:
        Varga, Csiszarik & Zombori 2018, Section 5.1.
    """

    def scalars(self, output: Tensor, y: Tensor | None) -> Sequence[Tensor]:
        """See ``JacobianPenalty``."""
        columns = _columns(output)
        r = torch.randn(columns.shape, generator=self._generator).to(columns) / columns.shape[1] ** 0.5
        return [(columns * r).sum()]


class OneHot(JacobianPenalty):
    """E ||J^T y||^2: the squared gradient of the true label's logit.

    Source:
        Varga, Csiszarik & Zombori 2018, Section 5.1.
    """

    needs_target = True

    def scalars(self, output: Tensor, y: Tensor | None) -> Sequence[Tensor]:
        """See ``JacobianPenalty``; ``y`` are labels ``(n,)``."""
        return [class_logits(output).gather(1, _labels(y)[:, None]).sum()]


class RandomOneHot(RandomProjection):
    """E ||J^T r||^2 with r a random basis vector times sqrt(m): on average ||J||_F^2.

    Source:
        Varga, Csiszarik & Zombori 2018, Section 5.1.
    """

    def scalars(self, output: Tensor, y: Tensor | None) -> Sequence[Tensor]:
        """See ``JacobianPenalty``."""
        columns = _columns(output)
        num_outputs = columns.shape[1]
        drawn = torch.randint(num_outputs, (len(columns), 1), generator=self._generator)
        return [columns.gather(1, drawn.to(columns.device)).sum() * num_outputs**0.5]


class DataGrad(JacobianPenalty):
    """E ||grad_x loss(f(x_i), y_i)||^2, of every example's own loss and not of the batch's mean.

    The gradient of a batch's mean loss is smaller by the batch size, its square by the square of that: a
    penalty on it does nothing at strengths like the other penalties'.

    Args:
        model: see ``ModulePenalty``.
        loss: of every example, ``(n,)``, from outputs and targets; cross-entropy of logits and labels unless
            given.

    Source:
        Drucker & LeCun 1992 (double backpropagation); Ororbia, Kifer & Giles 2017.
    """

    needs_target = True

    def __init__(self, model: nn.Module, loss: Callable[[Tensor, Tensor], Tensor] | None = None) -> None:
        super().__init__(model)
        self._loss = loss or _cross_entropies

    def scalars(self, output: Tensor, y: Tensor | None) -> Sequence[Tensor]:
        """See ``JacobianPenalty``."""
        losses = self._loss(output, _given(y))
        if len(losses.shape) != 1 or len(losses) != len(output):
            raise InputError(
                f"loss: expected one number an example, ({len(output)},), got {tuple(losses.shape)}; "
                'pass reduction="none", and sum over outputs'
            )
        return [losses.sum()]


class Sobolev(ModulePenalty):
    """E ||grad_x f - g||^2 where the truth's gradients g are known; of one output.

    Source:
        Czarnecki et al. 2017.
    """

    needs_target = True

    def with_output(self, x: Tensor, y: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """See ``ModulePenalty``; ``y`` are gradients in the inputs' shape.

        Raises:
            InputError: gradients of another shape, or a model with several outputs.
        """
        if y is None or y.shape != x.shape:
            came = "none" if y is None else f"the shape {tuple(y.shape)}"
            raise InputError(f"y: expected gradients of the shape {tuple(x.shape)}, got {came}")
        keep_graph = torch.is_grad_enabled()
        with torch.enable_grad():
            x = _differentiable(x)
            output = as_tensor(self.model(x))
            if output.numel() != len(x):
                shape = tuple(output.shape)
                raise InputError(f"model: expected one output an example, got the shape {shape}")
            values = output.reshape(len(x))
            signs = _signs(values)
            gradient = _gradient(signs @ values, x, keep_graph)
            gradient = gradient * signs.reshape(-1, *[1] * (x.ndim - 1))
        value = (gradient - y).square().sum() / len(x)
        return output if keep_graph else output.detach(), value


def _differentiable(x: Tensor) -> Tensor:
    if not x.is_floating_point():
        raise InputError(f"x: expected floating-point inputs, got {x.dtype}")
    return x if x.requires_grad else x.detach().requires_grad_()


def _gradient(scalar: Tensor, x: Tensor, keep_graph: bool) -> Tensor:
    """Gradient by the inputs, with a graph of its own where one is wanted."""
    if not scalar.requires_grad:
        raise InputError("model: expected an output that depends on the input, got one that does not")
    (gradient,) = torch.autograd.grad(scalar, x, create_graph=keep_graph, retain_graph=True)
    return gradient


def _columns(output: Tensor) -> Float[Tensor, "n m"]:
    """Outputs one a column, also where there is one for each example."""
    return output.reshape(len(output), -1)


def as_tensor(output: object) -> Tensor:
    """The output itself.

    Raises:
        InputError: it is no tensor.
    """
    if not isinstance(output, Tensor):
        raise InputError(f"model: expected one tensor as output, got {type(output).__name__}")
    return output


def class_logits(output: Tensor) -> Tensor:
    """Outputs with a logit for each class on axis 1.

    Raises:
        InputError: they have fewer than two.
    """
    if output.ndim < 2 or output.shape[1] < 2:
        raise InputError(f"model: expected at least two logits an example, got {tuple(output.shape)}")
    return output


def _apart(columns: Float[Tensor, "n m"]) -> Float[Tensor, " m"]:
    """Sums over the batch whose gradients, up to signs, are each example's own.

    Batch normalization couples examples: their plain sum hardly depends on the inputs, whose mean it takes
    away. Signs in turns leave next to nothing of that, and change nothing where examples do not meet.
    """
    return _signs(columns[:, 0]) @ columns


def _signs(like: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
    """1 and -1 in turns."""
    signs = torch.ones_like(like)
    signs[1::2] = -1.0
    return signs


def _given(y: Tensor | None) -> Tensor:
    if y is None:
        raise InputError("y: expected targets, got none")
    return y


def _labels(y: Tensor | None) -> Tensor:
    if y is None or y.ndim != 1 or y.is_floating_point():
        came = "none" if y is None else f"{y.dtype} of the shape {tuple(y.shape)}"
        raise InputError(f"y: expected labels, whole numbers of the shape (n,), got {came}")
    return y


def _cross_entropies(output: Tensor, y: Tensor) -> Tensor:
    return nn.functional.cross_entropy(class_logits(output), y, reduction="none")
