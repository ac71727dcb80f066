"""Stacks of networks against plain torch.nn modules: values, gradients, layout, initial weights."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.func import jacrev, vmap

from surrogate_opt.errors import InputError
from surrogate_opt.networks import ACTIVATIONS, StackedMLP

MODULES = {
    "relu": torch.nn.ReLU,
    "tanh": torch.nn.Tanh,
    "silu": torch.nn.SiLU,
    "gelu": torch.nn.GELU,
    "softplus": torch.nn.Softplus,
}
SIZES = [(3, 1), (3, 5, 1), (2, 4, 6, 5, 1)]


def as_module(stack, member):
    layers = []
    for weight, bias in zip(stack.weights, stack.biases, strict=True):
        linear = torch.nn.Linear(weight.shape[1], weight.shape[2], dtype=weight.dtype)
        with torch.no_grad():
            linear.weight.copy_(weight[member].T)
            linear.bias.copy_(bias[member, 0])
        layers += [linear, MODULES[stack.activation.name]()]
    return torch.nn.Sequential(*layers[:-1])


def inputs(*shape, dtype=torch.float64):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64).to(dtype)


@pytest.mark.parametrize("name", MODULES)
@pytest.mark.parametrize("sizes", SIZES)
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 1e-5)])
@pytest.mark.parametrize("shared", [False, True])
def test_values_and_gradients_agree_with_torch_modules(name, sizes, dtype, tolerance, shared):
    stack = StackedMLP(sizes, 3, name, dtype=dtype).initialize([4, 5, 6])
    x = inputs(1 if shared else 3, 7, sizes[0], dtype=dtype)
    value, gradient = stack.value_and_gradient(x)
    assert value.shape == (3, 7)
    assert gradient.shape == (3, 7, sizes[0])
    torch.testing.assert_close(stack.forward(x)[..., 0], value, rtol=tolerance, atol=tolerance)
    for member in range(3):
        point = x[0 if shared else member].clone().requires_grad_()
        output = as_module(stack, member)(point)[:, 0]
        (expected,) = torch.autograd.grad(output.sum(), point)
        torch.testing.assert_close(value[member], output.detach(), rtol=tolerance, atol=tolerance)
        torch.testing.assert_close(gradient[member], expected, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("name", MODULES)
@pytest.mark.parametrize("sizes", [(3, 2), (3, 5, 1), (4, 7, 5, 2), (2, 4, 6, 5, 3)])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 1e-5)])
@pytest.mark.parametrize("shared", [False, True])
def test_values_and_jacobians_agree_with_jacrev_of_torch_modules(name, sizes, dtype, tolerance, shared):
    stack = StackedMLP(sizes, 3, name, dtype=dtype).initialize([4, 5, 6])
    x = inputs(1 if shared else 3, 7, sizes[0], dtype=dtype)
    value, jacobian = stack.value_and_jacobian(x)
    torch.testing.assert_close(value, stack.forward(x), rtol=tolerance, atol=tolerance)
    assert jacobian.shape == (3, 7, sizes[-1], sizes[0])
    for member in range(3):
        points = x[0 if shared else member]
        expected = vmap(jacrev(as_module(stack, member)))(points)
        torch.testing.assert_close(jacobian[member], expected, rtol=tolerance, atol=tolerance)


def test_jacobian_of_one_output_is_the_gradient_and_portions_do_not_show():
    stack = StackedMLP((3, 64, 64, 1), 3, dtype=torch.float64).initialize([4, 5, 6])
    x = inputs(1, 3000, 3)
    assert len(stack.chunks(x)) > 1
    value, jacobian = stack.value_and_jacobian(x)
    expected = stack.value_and_gradient(x)
    torch.testing.assert_close(value[..., 0], expected[0], rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(jacobian[:, :, 0], expected[1], rtol=1e-12, atol=1e-12)


def test_polynomial_gradient_agrees_with_central_differences():
    stack = StackedMLP((3, 5, 4, 1), 2, "poly", dtype=torch.float64).initialize([0, 1])
    stack.coefficients[0][1] = torch.tensor([0.2, -0.4, 0.9])
    x = inputs(2, 6, 3)
    gradient = stack.value_and_gradient(x)[1]
    for axis in range(3):
        step = torch.zeros(3).double()
        step[axis] = 1e-5
        difference = (stack.forward(x + step) - stack.forward(x - step))[..., 0] / 2e-5
        torch.testing.assert_close(gradient[..., axis], difference, rtol=1e-8, atol=1e-8)
        torch.testing.assert_close(stack.value_and_jacobian(x)[1][:, :, 0], gradient, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", ACTIVATIONS)
@given(
    sizes=st.lists(st.integers(1, 5), min_size=2, max_size=4).map(tuple),
    members=st.integers(1, 4),
    rows=st.integers(0, 5),
)
def test_shapes(name, sizes, members, rows):
    stack = StackedMLP(sizes, members, name, dtype=torch.float64).initialize(list(range(members)))
    assert stack.flat.numel() == members * stack.num_parameters
    blocks = [*stack.weights, *stack.biases, *stack.coefficients]
    assert sum(block.numel() for block in blocks) == stack.flat.numel()
    assert all(block.is_contiguous() for block in blocks)
    assert stack.forward(torch.zeros(members, rows, sizes[0]).double()).shape == (members, rows, sizes[-1])


def test_views_share_memory_and_do_not_overlap():
    stack = StackedMLP((2, 3, 1), 2, "poly")
    for number, block in enumerate([*stack.weights, *stack.biases, *stack.coefficients], start=1):
        block.fill_(number)
    assert (stack.flat != 0).all()
    assert stack.flat.unique(return_counts=True)[1].tolist() == [12, 6, 6, 2, 6]


def test_initial_weights_depend_on_the_seed_alone():
    stack = StackedMLP((4, 8, 1), 4).initialize([7, 3, 7, 9])
    alone = StackedMLP((4, 8, 1), 1).initialize([3])
    for mine, other in zip(stack.weights + stack.biases, alone.weights + alone.biases, strict=True):
        assert torch.equal(mine[0], mine[2])
        assert torch.equal(mine[1], other[0])
        assert not torch.equal(mine[0], mine[3])


def test_initial_weights_are_uniform_on_torchs_range():
    stack = StackedMLP((25, 400, 1), 1, dtype=torch.float64).initialize([0])
    for block in (stack.weights[0], stack.biases[0]):
        scaled = (block.flatten() * math.sqrt(25)).sort().values
        assert 0.985 < scaled.abs().max() <= 1.0
        grid = torch.linspace(-1, 1, len(scaled)).double()
        # Kolmogorov-Smirnov distance at a probability of about 1e-4
        assert (scaled - grid).abs().max() / 2 < 2.2 / math.sqrt(len(scaled))
    single = StackedMLP((25, 400, 1), 1).initialize([0])
    assert torch.equal(single.flat, stack.flat.float())


def test_select_and_concatenate_keep_members_and_copy():
    stack = StackedMLP((2, 3, 1), 4, "poly", dtype=torch.float64).initialize([0, 1, 2, 3])
    stack.coefficients[0][:, 0] = torch.arange(4).double()
    x = inputs(1, 5, 2)
    whole = stack.forward(x)
    picked = stack.select([3, 1, 1])
    assert torch.equal(picked.forward(x), whole[[3, 1, 1]])
    joined = StackedMLP.concatenate([picked, stack.select(torch.tensor([0]))])
    assert torch.equal(joined.forward(x), whole[[3, 1, 1, 0]])
    picked.flat.zero_()
    joined.flat.zero_()
    assert torch.equal(stack.forward(x), whole)
    copy = stack.to(torch.float32)
    assert copy.flat.dtype == torch.float32
    assert stack.to(torch.float64).flat.data_ptr() != stack.flat.data_ptr()


@pytest.mark.parametrize("sizes", [(3,), (3, 0, 1), ()])
def test_bad_sizes(sizes):
    with pytest.raises(InputError, match="sizes: expected at least two positive widths"):
        StackedMLP(sizes, 2)


def test_bad_seeds_and_several_outputs():
    with pytest.raises(InputError, match=r"seeds: expected one per member \(2\), got 3"):
        StackedMLP((3, 1), 2).initialize([1, 2, 3])
    with pytest.raises(InputError, match="expected one output, got 2"):
        StackedMLP((3, 2), 1).value_and_gradient(torch.zeros(1, 1, 3))
