"""Network coordinates of features and increments, and scaling that is folded into the weights."""

import pytest
import torch
from dynamics_cases import ENCODINGS, pendulum_rows, random_points, random_scaling

from surrogate_opt.dynamics import Encoding, Trajectory, transitions, with_lags
from surrogate_opt.dynamics.scaling import TransitionScaling
from surrogate_opt.dynamics.transitions import from_rows
from surrogate_opt.networks import StackedMLP


def test_bounds_go_to_one_and_increments_to_unit_deviation():
    x, u, following = pendulum_rows(200, 0)
    encoding = Encoding(num_states=2, num_actions=1, angles=(0,))
    bounds = torch.tensor([[-1.0, -9.0, -3.0], [1.0, 11.0, 5.0]], dtype=torch.float64)
    scaling = TransitionScaling.from_data(from_rows(x, u, following), encoding, bounds)
    corners = torch.tensor([[-9.0, -3.0, -1.0, -1.0], [11.0, 5.0, 1.0, 1.0]]).double()
    assert scaling.unit(corners).tolist() == [[-1.0] * 4, [1.0] * 4]
    assert scaling.unit(corners.mean(0)).tolist() == [0.0] * 4
    increments = encoding.increments(x, following)
    unit = scaling.unit_increments(increments)
    torch.testing.assert_close(unit.mean(0), torch.zeros(2).double(), rtol=0, atol=1e-10)
    torch.testing.assert_close(unit.std(0, correction=0), torch.ones(2).double())
    torch.testing.assert_close(scaling.raw_increments(unit), increments)


def test_differences_are_scaled_by_their_own_range():
    y = (100.0 + torch.randn(30, 1, generator=torch.Generator().manual_seed(0))).double()
    lagged = with_lags([Trajectory(states=y, actions=y[1:].flip(0))], 2)
    rows = transitions(lagged.trajectories)
    encoding = Encoding(num_states=3, num_actions=1, copies=lagged.copies)
    bounds = torch.tensor([[0.0] * 4, [200.0] * 4]).double()
    unit = TransitionScaling.from_data(rows, encoding, bounds).unit(
        encoding.features(rows.states, rows.actions)
    )
    torch.testing.assert_close(unit.aminmax(dim=0).max[1], torch.tensor(1.0).double())
    torch.testing.assert_close(unit.aminmax(dim=0).min[1], torch.tensor(-1.0).double())
    torch.testing.assert_close(unit[:, [0, 2, 3]], rows.columns[:, [0, 2, 3]] / 100.0 - 1.0)


@pytest.mark.parametrize("hidden", [(), (5,), (6, 4)])
@pytest.mark.parametrize("name", ENCODINGS)
def test_folded_networks_take_and_give_raw_numbers(name, hidden):
    encoding = ENCODINGS[name]
    lower = torch.tensor([-2.0, -3.0, 0.0, 10.0, -1.0, 4.0]).double()[
        : encoding.num_states + encoding.num_actions
    ]
    scaling = random_scaling(encoding, torch.stack([lower, lower + 7.0]))
    sizes = (encoding.num_features, *hidden, len(encoding.learned))
    stack = StackedMLP(sizes, 4, dtype=torch.float64).initialize([0, 1, 2, 3])
    before = stack.flat.clone()
    features = encoding.features(*random_points(encoding, 1, 9))
    expected = scaling.raw_increments(stack.forward(scaling.unit(features)))
    torch.testing.assert_close(scaling.folded(stack).forward(features), expected, rtol=1e-10, atol=1e-10)
    assert torch.equal(stack.flat, before)
