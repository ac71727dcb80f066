"""Learned dynamics of M models with K members each, all in one stack: what batched closed loops plan through.

The first axis is the model (one per closed loop, or one per method), the second are points: samples, starts
or time steps. A leading axis of 1 is shared by all models.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from surrogate_opt.dynamics.encoding import Encoding
from surrogate_opt.dynamics.numpy_step import ACTIVATIONS, NumpyStep
from surrogate_opt.errors import InputError
from surrogate_opt.networks import StackedMLP

States = Float[Tensor, "models s n"]
Actions = Float[Tensor, "models s m"]


class DynamicsEnsemble:
    """M models of one plant or of several alike, each the mean of its K members.

    Args:
        networks: M * K members from raw features to raw increments, those of one model together.
        encoding: what features and increments are, the same for every model.
        num_models: M.

    Attributes:
        networks: as given.
        encoding: as given.
        num_models: M.
        num_members: K.
    """

    def __init__(self, networks: StackedMLP, encoding: Encoding, num_models: int) -> None:
        self.networks = networks
        self.encoding = encoding
        self.num_models = num_models
        self.num_members = networks.num_members // num_models

    @classmethod
    def concatenate(cls, parts: Sequence[DynamicsEnsemble]) -> DynamicsEnsemble:
        """The models of several ensembles in one stack, in order.

        Raises:
            InputError: none, or two of different architecture, encoding or number of members.
        """
        if not parts:
            raise InputError("models: expected at least one, got none")
        kinds = [(p.networks.sizes, p.networks.activation.name, p.num_members, p.encoding) for p in parts]
        for position, kind in enumerate(kinds):
            if kind != kinds[0]:
                raise InputError(
                    "models: expected equal layer sizes, activations, members and encodings; "
                    f"number {position} has {kind}, the first {kinds[0]}"
                )
        networks = StackedMLP.concatenate([part.networks for part in parts])
        return cls(networks, parts[0].encoding, sum(part.num_models for part in parts))

    @property
    def num_states(self) -> int:
        """n."""
        return self.encoding.num_states

    @property
    def num_actions(self) -> int:
        """m."""
        return self.encoding.num_actions

    def step(self, x: States, u: Actions) -> States:
        """Next states by the mean over the members, ``(M|1, s, n)`` and ``(M|1, s, m)`` to ``(M, s, n)``."""
        x, u = _paired(x, u)
        increments = self.networks.forward(self._features(x, u))
        return self.encoding.advance(x, u, self._by_model(increments).mean(1))

    @cached_property
    def numpy_step(self) -> NumpyStep | None:
        """``step`` in NumPy, for a few points; None for several models, or without NumPy's activation."""
        if self.num_models > 1 or self.networks.activation.name not in ACTIVATIONS:
            return None
        return NumpyStep(self.networks, self.encoding)

    @cached_property
    def single(self) -> DynamicsEnsemble:
        """The same models in float32: twice as fast, to seven digits."""
        return DynamicsEnsemble(self.networks.to(torch.float32), self.encoding, self.num_models)

    def member_step(self, x: States, u: Actions) -> Float[Tensor, "models members s n"]:
        """Next states by every member, ``(M, K, s, n)``."""
        x, u = _paired(x, u)
        increments = self._by_model(self.networks.forward(self._features(x, u)))
        return self.encoding.advance(x[:, None], u[:, None], increments)

    @torch.no_grad()
    def linearize(
        self, x: States, u: Actions
    ) -> tuple[States, Float[Tensor, "models s n n"], Float[Tensor, "models s n m"]]:
        """``step`` and its derivatives by state and action, in closed form.

        Returns:
            Next states ``(M, s, n)``, their derivatives A by the state ``(M, s, n, n)`` and B by the action
            ``(M, s, n, m)``.
        """
        x, u = _paired(x, u)
        increments, jacobian = self.networks.value_and_jacobian(self._features(x, u))
        following = self.encoding.advance(x, u, self._by_model(increments).mean(1))
        return following, *self.encoding.differentiate(x, self._by_model(jacobian).mean(1))

    def apart(self) -> DynamicsEnsemble:
        """Every member as a model of its own, those of one model next to each other: M K models."""
        return DynamicsEnsemble(self.networks, self.encoding, self.networks.num_members)

    def rollout(self, x: States, u: Float[Tensor, "models s steps m"]) -> Float[Tensor, "models s steps n"]:
        """States along action sequences, the first state included, ``(M, s, steps + 1, n)``."""
        states = [x.expand(self.num_models, -1, -1)]
        for action in u.unbind(2):
            states.append(self.step(states[-1], action))
        return torch.stack(states, 2)

    def _features(self, x: Tensor, u: Tensor) -> Tensor:
        """Features of every member; still shared where one set of points serves one model."""
        features = self.encoding.features(x, u)
        if self.num_models == 1:
            return features
        models = features.expand(self.num_models, -1, -1)
        return models.repeat_interleave(self.num_members, 0)

    def _by_model(self, outputs: Tensor) -> Tensor:
        return outputs.reshape(self.num_models, self.num_members, *outputs.shape[1:])


def _paired(x: Tensor, u: Tensor) -> tuple[Tensor, Tensor]:
    """States and actions with equal leading axes, the shared one expanded."""
    if x.shape[:-1] == u.shape[:-1]:
        return x, u
    shape = np.broadcast_shapes(x.shape[:-1], u.shape[:-1])
    return x.expand(*shape, -1), u.expand(*shape, -1)
