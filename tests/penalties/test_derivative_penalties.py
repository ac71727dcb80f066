"""DREG and the input-gradient penalty against Jacobians by torch.func.jacrev, in both precisions."""

import pytest
import torch
from torch.func import functional_call, grad, jacrev, vmap

from surrogate_opt.networks import ACTIVATIONS, StackedMLP
from surrogate_opt.penalties import dreg_penalty, igp_penalty
from surrogate_opt.penalties.dreg import mean_dreg_penalty

FUNCTIONS = {
    "relu": torch.relu,
    "tanh": torch.tanh,
    "silu": torch.nn.functional.silu,
    "gelu": torch.nn.functional.gelu,
    "softplus": lambda z: torch.logaddexp(z, torch.zeros_like(z)),
}
SIZES = [(3, 1), (3, 5, 1), (3, 4, 6, 5, 1)]
PRECISIONS = [(torch.float64, 1e-11), (torch.float32, 1e-4)]


def random_stack(sizes, name, dtype):
    stack = StackedMLP(sizes, 2, name, dtype=torch.float64).initialize([3, 8])
    stack.flat.mul_(1.5)
    for coefficients in stack.coefficients:
        coefficients.copy_(torch.tensor([[0.1, 0.8, -0.3], [-0.2, 1.1, 0.4]]))
    return stack.to(dtype)


def random_inputs(rows, d, dtype):
    return torch.randn(2, rows, d, generator=torch.Generator().manual_seed(0), dtype=torch.float64).to(dtype)


def layers_of(stack, member):
    """The network as a list of functions of one vector, one a layer."""

    def layer(position):
        weight, bias = stack.weights[position][member], stack.biases[position][member, 0]
        if position == stack.num_layers - 1:
            return lambda h: h @ weight + bias
        if stack.activation.name == "poly":
            a = stack.coefficients[position][member]
            return lambda h: a[0] + a[1] * (h @ weight + bias) + a[2] * (h @ weight + bias) ** 2
        return lambda h: FUNCTIONS[stack.activation.name](h @ weight + bias)

    return [layer(position) for position in range(stack.num_layers)]


@pytest.mark.parametrize("name", ACTIVATIONS)
@pytest.mark.parametrize("sizes", [*SIZES, (3, 4, 2)])
@pytest.mark.parametrize(("dtype", "tolerance"), PRECISIONS)
def test_dreg_is_the_mean_of_the_layers_squared_jacobian_norms(name, sizes, dtype, tolerance):
    stack = random_stack(sizes, name, dtype)
    x = random_inputs(6, sizes[0], dtype)
    got = dreg_penalty(stack, stack.run(x, order=1), stack.weights)
    reference = stack.to(torch.float64)
    for member in range(2):
        h, layers = x[member].double(), layers_of(reference, member)
        norms = []
        for layer in layers:
            norms.append(vmap(jacrev(layer))(h).square().sum((1, 2)))
            h = vmap(layer)(h)
        expected = torch.stack(norms).mean(0)
        torch.testing.assert_close(got[member].double(), expected, rtol=tolerance, atol=tolerance)
    torch.testing.assert_close(mean_dreg_penalty(stack, x), got.mean(1))


@pytest.mark.parametrize("name", ACTIVATIONS)
@pytest.mark.parametrize("sizes", [*SIZES, (3, 2), (3, 4, 2), (2, 4, 5, 3)])
@pytest.mark.parametrize(("dtype", "tolerance"), PRECISIONS)
def test_igp_is_the_squared_norm_of_the_whole_jacobian(name, sizes, dtype, tolerance):
    stack = random_stack(sizes, name, dtype)
    x = random_inputs(6, sizes[0], dtype)
    got = igp_penalty(stack, x)
    reference = stack.to(torch.float64)
    for member in range(2):
        layers = layers_of(reference, member)

        def network(h, layers=layers):
            for layer in layers:
                h = layer(h)
            return h

        expected = vmap(jacrev(network))(x[member].double()).square().sum((1, 2))
        torch.testing.assert_close(got[member].double(), expected, rtol=tolerance, atol=tolerance)


def test_closed_forms():
    """A linear network: DREG is ||W||^2 and the input gradient is W. Dead ReLU units count for nothing."""
    linear = random_stack((3, 1), "silu", torch.float64)
    x = random_inputs(4, 3, torch.float64)
    squared = linear.weights[0].square().sum((1, 2))[:, None].expand(2, 4)
    torch.testing.assert_close(dreg_penalty(linear, linear.run(x, 1), linear.weights), squared)
    torch.testing.assert_close(igp_penalty(linear, x), squared)

    dead = random_stack((3, 5, 1), "relu", torch.float64)
    dead.biases[0].fill_(-100.0)
    output_layer = dead.weights[1].square().sum((1, 2))[:, None].expand(2, 4) / 2
    torch.testing.assert_close(dreg_penalty(dead, dead.run(x, 1), dead.weights), output_layer)
    assert (igp_penalty(dead, x) == 0).all()


def test_at_zero_weights_everything_is_zero():
    for name in ACTIVATIONS:
        stack = StackedMLP((3, 4, 1), 2, name)
        x = random_inputs(4, 3, torch.float32)
        assert (dreg_penalty(stack, stack.run(x, 1), stack.weights) == 0).all()
        assert (igp_penalty(stack, x) == 0).all()


def test_agrees_with_a_module_by_functional_call():
    """The same network as torch.nn modules, so that the layout (n_in, n_out) is checked as well."""
    stack = random_stack((3, 5, 1), "silu", torch.float64)
    x = random_inputs(4, 3, torch.float64)
    module = torch.nn.Sequential(torch.nn.Linear(3, 5), torch.nn.SiLU(), torch.nn.Linear(5, 1)).double()
    for member in range(2):
        parameters = {
            "0.weight": stack.weights[0][member].T,
            "0.bias": stack.biases[0][member, 0],
            "2.weight": stack.weights[1][member].T,
            "2.bias": stack.biases[1][member, 0],
        }

        def scalar(point, parameters=parameters):
            return functional_call(module, parameters, (point,))[0]

        expected = vmap(grad(scalar))(x[member]).square().sum(-1)
        torch.testing.assert_close(igp_penalty(stack, x)[member], expected)


def test_igp_of_several_outputs_is_the_sum_over_them():
    stack = random_stack((3, 5, 2), "silu", torch.float64)
    x = random_inputs(4, 3, torch.float64)
    total = torch.zeros(2, 4, dtype=torch.float64)
    for output in range(2):
        alone = StackedMLP((3, 5, 1), 2, "silu", dtype=torch.float64)
        alone.weights[0].copy_(stack.weights[0])
        alone.biases[0].copy_(stack.biases[0])
        alone.weights[1].copy_(stack.weights[1][..., [output]])
        total += igp_penalty(alone, x)
    torch.testing.assert_close(igp_penalty(stack, x), total, rtol=1e-12, atol=1e-12)
