"""An ensemble of compact networks as a BoTorch model."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any, NoReturn

import torch
from botorch.acquisition.objective import PosteriorTransform
from botorch.models.ensemble import EnsembleModel
from botorch.posteriors.ensemble import EnsemblePosterior
from jaxtyping import Float
from torch import Tensor, nn

from surrogate_opt.adapters.botorch.members import OutputMembers
from surrogate_opt.adapters.botorch.sampler import EnsembleSurrogatePosterior
from surrogate_opt.errors import InputError


class EnsembleSurrogate(EnsembleModel):
    """Ensembles of compact networks, one an output, with BoTorch's interface.

    The members are the posterior: its mean and variance are theirs, and Monte Carlo acquisition functions
    average over all of them. Outputs are taken member by member, the k-th of one output with the k-th of the
    others. Observation noise is not modelled: ``observation_noise=True`` changes nothing.

    Args:
        outputs: the members of each output; as many inputs and members in each.

    Raises:
        InputError: no outputs, or outputs that differ in their numbers of inputs or members.
    """

    def __init__(self, outputs: Sequence[OutputMembers]) -> None:
        super().__init__()
        if not outputs:
            raise InputError("outputs: expected at least one, got none")
        for kind in ("num_inputs", "num_members"):
            numbers = [getattr(output, kind) for output in outputs]
            if len(set(numbers)) > 1:
                raise InputError(f"outputs: expected the same {kind} in each, got {numbers}")
        self.outputs = nn.ModuleList(outputs)

    @property
    def num_members(self) -> int:
        """The number K of members."""
        return self.output_members[0].num_members

    @property
    def num_outputs(self) -> int:
        """The number m of outputs."""
        return len(self.outputs)

    @property
    def batch_shape(self) -> torch.Size:
        """Empty: one ensemble, no batch of them."""
        return torch.Size()

    def forward(self, X: Float[Tensor, "*batch q d"]) -> Float[Tensor, "*batch members q m"]:
        """Every member's values, raw units in and out, float64.

        Raises:
            InputError: points that are not ``(..., q, d)``.
        """
        num_inputs = self.output_members[0].num_inputs
        if X.ndim < 2 or X.shape[-1] != num_inputs:
            raise InputError(f"X: expected the shape (..., q, {num_inputs}), got {tuple(X.shape)}")
        return torch.stack([output(X) for output in self.outputs], dim=-1)

    def posterior(  # type: ignore[override]  # EnsembleModel orders arguments otherwise than Model
        self,
        X: Float[Tensor, "*batch q d"],
        output_indices: list[int] | None = None,
        posterior_transform: PosteriorTransform | None = None,
        **kwargs: Any,
    ) -> EnsemblePosterior:
        """The joint posterior over q points and m outputs.

        Args:
            X: points, raw units.
            output_indices: some of the outputs; all of them where none are given.
            posterior_transform: applied to the answer.
            **kwargs: ``observation_noise``, which may be True or False.

        Raises:
            InputError: points of a wrong shape, or observation noise as a tensor.
        """
        if isinstance(kwargs.get("observation_noise"), Tensor):
            raise InputError("observation_noise: expected True or False for an ensemble, got a tensor")
        self.eval()
        values = self.forward(X)
        floor = torch.stack([output.variance_floor for output in self.output_members])
        if output_indices is not None:
            values, floor = values[..., output_indices], floor[output_indices]
        posterior = EnsembleSurrogatePosterior(values, floor)
        if posterior_transform is None:
            return posterior
        transformed: EnsemblePosterior = posterior_transform(posterior=posterior, X=X)
        return transformed

    def subset_output(self, idcs: list[int]) -> EnsembleSurrogate:
        """An independent model of some of the outputs, in the given order."""
        return EnsembleSurrogate([copy.deepcopy(self.output_members[index]) for index in idcs])

    def condition_on_observations(self, X: Tensor, Y: Tensor, **kwargs: Any) -> NoReturn:
        """Refused: members are trained, not conditioned.

        Raises:
            InputError: always.
        """
        _refuse_conditioning()

    def fantasize(self, X: Tensor, *args: Any, **kwargs: Any) -> NoReturn:
        """Refused, and with it the knowledge gradient and other lookahead.

        Raises:
            InputError: always.
        """
        _refuse_conditioning()

    def to_tensors(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """What ``from_tensors`` rebuilds the model from: its state, and plain numbers and strings."""
        return dict(self.state_dict()), {"outputs": [output.architecture() for output in self.output_members]}

    @classmethod
    def from_tensors(cls, tensors: dict[str, Tensor], about: dict[str, Any]) -> EnsembleSurrogate:
        """The inverse of ``to_tensors``.

        Raises:
            ValueError, KeyError: the two do not belong together.
        """
        outputs = []
        for position, architecture in enumerate(about["outputs"]):
            prefix = f"outputs.{position}."
            own = {name.removeprefix(prefix): t for name, t in tensors.items() if name.startswith(prefix)}
            outputs.append(OutputMembers.from_tensors(own, architecture))
        return cls(outputs)

    @property
    def output_members(self) -> list[OutputMembers]:
        """The members of each output."""
        return [output for output in self.outputs if isinstance(output, OutputMembers)]


def _refuse_conditioning() -> NoReturn:
    raise InputError(
        "model: expected one that can be conditioned on observations (last_layer, deep_kernel, gp), got an "
        "ensemble, whose members are trained (fantasies and the knowledge gradient need conditioning)"
    )
