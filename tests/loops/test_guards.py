"""Guards against autograd, closed forms and brute-force distances."""

from __future__ import annotations

import pytest
import torch
from loop_problems import BOX, SLOPES, Members, Waves, sobol

from surrogate_opt.errors import InputError
from surrogate_opt.loops import guards
from surrogate_opt.loops.guards import as_guard, near_data, pessimistic
from surrogate_opt.types import Differentiable, DifferentiableEnsemble


@pytest.mark.parametrize("shape", [(3,), (5, 3), (2, 4, 3)])
def test_pessimistic_is_mean_plus_weighted_std_with_its_gradient(shape):
    x = torch.rand(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    guarded = pessimistic(0.7)(Members())
    value, gradient = guarded.value_and_gradient(x)
    leaf = x.clone().requires_grad_()
    members = torch.tensordot(SLOPES, leaf.sum(-1), dims=0).sin()
    expected = members.mean(0) + 0.7 * members.std(0)
    torch.testing.assert_close(value, expected.detach(), rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(gradient, torch.autograd.grad(expected.sum(), leaf)[0], rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(guarded.value(x), value)
    assert isinstance(guarded, Differentiable)
    assert guarded.gradient_source == "analytic"


def test_pessimistic_where_members_agree_has_the_mean_gradient():
    x = torch.zeros(1, 3).double()
    value, gradient = pessimistic(5.0)(Members()).value_and_gradient(x)
    assert value.tolist() == [0.0]
    torch.testing.assert_close(gradient, torch.full((1, 3), 3.0).double())  # the slopes' mean


def test_pessimistic_of_one_member_is_that_member():
    class Lone(Members):
        def members_value_and_gradient(self, x):
            return tuple(part[:1] for part in super().members_value_and_gradient(x))

    x = sobol(4)
    torch.testing.assert_close(pessimistic()(Lone()).value_and_gradient(x), Lone().value_and_gradient(x))


def test_pessimistic_of_weight_zero_is_the_mean():
    x = sobol(4)
    torch.testing.assert_close(
        pessimistic(0.0)(Members()).value_and_gradient(x), Members().value_and_gradient(x)
    )


def near(radius=0.05, weight=2.0, data=None, bounds=BOX):
    return near_data(sobol(20, seed=9) if data is None else data, bounds, radius, weight)(Waves())


@pytest.mark.parametrize("shape", [(7, 3), (2, 5, 3)])
def test_near_data_adds_the_squared_excess_distance(shape, monkeypatch):
    monkeypatch.setattr(guards, "_MAX_DISTANCES", 60)  # three points at a time
    x, data = sobol(10)[: shape[0] * (shape[1] if len(shape) == 3 else 1)].reshape(shape), sobol(20, seed=9)
    value, gradient = near().value_and_gradient(x)
    leaf = x.clone().requires_grad_()
    offsets = (leaf.unsqueeze(-2) - data) / (BOX[1] - BOX[0])
    distance = offsets.square().mean(-1).sqrt().amin(-1)
    expected = Waves().function(leaf) + 2.0 * torch.relu(distance - 0.05) ** 2
    torch.testing.assert_close(value, expected.detach(), rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(gradient, torch.autograd.grad(expected.sum(), leaf)[0], rtol=1e-8, atol=1e-8)
    torch.testing.assert_close(near().value(x), value)


def test_near_data_costs_nothing_on_the_data_and_within_the_radius():
    data = sobol(20, seed=9)
    for guarded in (near(radius=0.0), near(radius=10.0)):
        torch.testing.assert_close(guarded.value_and_gradient(data), Waves().value_and_gradient(data))


def test_near_data_ignores_an_input_of_zero_width():
    bounds = BOX.clone()
    bounds[:, 1] = 0.7
    data = torch.tensor([[0.0, -2.0, 2.0]]).double()
    x = torch.tensor([[0.0, 0.7, 2.0]]).double()
    torch.testing.assert_close(
        near(0.0, 1.0, data, bounds).value_and_gradient(x), Waves().value_and_gradient(x)
    )


def test_guards_by_name_and_in_a_chain():
    x = sobol(4)
    named = as_guard("pessimistic")(Members())
    assert torch.equal(named.value(x), pessimistic(1.0)(Members()).value(x))
    chained = near_data(x, BOX, 0.1, 1.0)(named)
    torch.testing.assert_close(chained.value(x), named.value(x))
    assert isinstance(Members(), DifferentiableEnsemble)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: pessimistic(-1.0), "weight: expected 0 or more"),
        (lambda: pessimistic()(Waves()), "guard: expected a model of several members"),
        (lambda: as_guard("optimistic"), "guard: expected 'pessimistic' or a function"),
        (lambda: as_guard(3), "guard: expected"),
        (lambda: near(radius=-0.1), "radius: expected 0 or more"),
        (lambda: near(weight=torch.inf), "weight: expected 0 or more"),
        (lambda: near(data=torch.zeros(4, 2)), r"x_train: expected shape \(n, 3\)"),
        (lambda: near(data=torch.zeros(0, 3)), r"x_train: expected shape \(n, 3\)"),
        (lambda: near(data=torch.full((2, 3), torch.nan)), "x_train: expected finite"),
    ],
)
def test_bad_guards_are_named(make, message):
    with pytest.raises(InputError, match=message):
        make()
