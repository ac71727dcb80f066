"""A learned plant's step in plain NumPy: for a few points, torch's calls cost more than their arithmetic."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np
from jaxtyping import Float
from scipy.special import expit, ndtr

from surrogate_opt.dynamics.encoding import Encoding
from surrogate_opt.networks import StackedMLP

Elementwise = Callable[[np.ndarray], np.ndarray]

ACTIVATIONS: Final[dict[str, Elementwise]] = {
    "relu": lambda z: np.maximum(z, 0.0),
    "tanh": np.tanh,
    "silu": lambda z: np.multiply(z, expit(z)),
    "gelu": lambda z: np.multiply(z, ndtr(z)),
    "softplus": lambda z: np.logaddexp(z, 0.0),
}
"""Activations without coefficients, by the names users type."""


class NumpyStep:
    """The mean next state over the members of one model.

    Selections and means are folded into the weights, so that what is left is one product a layer.

    Args:
        networks: members from raw features to raw increments, float64, with one of ``ACTIVATIONS``.
        encoding: what features and increments are.
    """

    def __init__(self, networks: StackedMLP, encoding: Encoding) -> None:
        columns = encoding.num_states + encoding.num_actions
        rows = [*encoding.plain, *range(columns, columns + 2 * len(encoding.angles))]
        select = np.eye(columns + 2 * len(encoding.angles))[:, rows]
        place = np.eye(encoding.num_states)[list(encoding.learned)] / networks.num_members
        self._weights = [weight.numpy() for weight in networks.weights]
        self._biases = [bias.numpy() for bias in networks.biases]
        self._weights[0] = select @ self._weights[0]
        self._weights[-1] = self._weights[-1] @ place
        self._biases[-1] = self._biases[-1] @ place
        self._activation = ACTIVATIONS[networks.activation.name]
        self._angles = np.array(encoding.angles, dtype=np.intp)
        base = [encoding.copies.get(column, column) for column in range(encoding.num_states)]
        self._base = np.array(base) if encoding.copies else None

    def __call__(self, x: Float[np.ndarray, "s n"], u: Float[np.ndarray, "s m"]) -> Float[np.ndarray, "s n"]:
        """Next states, raw units."""
        angle = x[:, self._angles]
        columns = np.concatenate([x, u, np.cos(angle), np.sin(angle)], 1)
        h = columns[:, None, None]  # a vector for each point and member: the fastest for a few points
        for weight, bias in zip(self._weights[:-1], self._biases[:-1], strict=True):
            z = h @ weight
            z += bias
            h = self._activation(z)
        increments = h @ self._weights[-1]
        increments += self._biases[-1]
        now = x if self._base is None else columns[:, self._base]
        following: Float[np.ndarray, "s n"] = now + increments.sum((1, 2))
        return following
