"""Networks: activations with closed-form derivatives, stacks of networks, spectral norms."""

from surrogate_opt.networks.activations import ACTIVATIONS, Activation, get_activation
from surrogate_opt.networks.spectral import PowerIteration, spectral_norms
from surrogate_opt.networks.stack import ForwardPass, StackedMLP

__all__ = [
    "ACTIVATIONS",
    "Activation",
    "ForwardPass",
    "PowerIteration",
    "StackedMLP",
    "get_activation",
    "spectral_norms",
]
