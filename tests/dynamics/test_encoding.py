"""Angles as cosine and sine, increments the short way round, exact copies, the chain rule through them."""

import math

import pytest
import torch
from dynamics_cases import ENCODINGS, random_points
from hypothesis import given
from hypothesis import strategies as st
from torch.func import jacrev, vmap

from surrogate_opt.dynamics import Encoding
from surrogate_opt.errors import InputError

NEAR = {"rtol": 0, "atol": 1e-12}


def test_features_by_hand():
    x, u = torch.tensor([[1.0, 0.5, -2.0]]).double(), torch.tensor([[3.0, 4.0]]).double()
    assert torch.equal(ENCODINGS["plain"].features(x, u), torch.tensor([[1.0, 0.5, -2.0, 3.0, 4.0]]).double())
    expected = torch.tensor([[1.0, -2.0, 3.0, 4.0, math.cos(0.5), math.sin(0.5)]]).double()
    torch.testing.assert_close(ENCODINGS["angle"].features(x, u), expected)


@pytest.mark.parametrize("name", ENCODINGS)
@pytest.mark.parametrize("batch", [(), (3,), (2, 4)])
def test_increments_undo_advance(name, batch):
    encoding = ENCODINGS[name]
    x, u = random_points(encoding, *batch)
    change = torch.randn(*batch, len(encoding.learned), generator=torch.Generator().manual_seed(1)).double()
    assert encoding.features(x, u).shape == (*batch, encoding.num_features)
    following = encoding.advance(x, u, change)
    torch.testing.assert_close(encoding.increments(x, following), change)
    columns = torch.cat([x, u], -1)
    for state, source in encoding.copies.items():
        assert torch.equal(following[..., state], columns[..., source])


@given(
    angle=st.floats(-50.0, 50.0),
    change=st.floats(-3.1, 3.1),
    turns=st.integers(-3, 3),
    wraps=st.integers(-3, 3),
)
def test_an_angle_may_be_wrapped_or_run_on(angle, change, turns, wraps):
    """Across +-pi nothing jumps: the features are the same, and the increment is the short way round."""
    encoding = Encoding(num_states=2, num_actions=1, angles=(0,))
    turn, u = torch.tensor([2.0 * math.pi, 0.0], dtype=torch.float64), torch.ones(1).double()
    x, moved = torch.tensor([[angle, 0.25], [change, 0.5]], dtype=torch.float64)
    turned = x + turns * turn
    torch.testing.assert_close(encoding.features(x, u), encoding.features(turned, u), **NEAR)
    following = turned + moved + wraps * turn
    increments = encoding.increments(x, following)
    torch.testing.assert_close(increments, moved, **NEAR)
    again = encoding.advance(x, u, increments)
    torch.testing.assert_close(encoding.features(again, u), encoding.features(following, u), **NEAR)


@pytest.mark.parametrize("name", ENCODINGS)
def test_the_chain_rule_agrees_with_autograd(name):
    encoding = ENCODINGS[name]
    matrix = torch.randn(
        len(encoding.learned), encoding.num_features, generator=torch.Generator().manual_seed(2)
    ).double()

    def step(x, u):
        return encoding.advance(x, u, torch.tanh(matrix @ encoding.features(x, u)))

    x, u = random_points(encoding, 6)
    slopes = 1.0 - torch.tanh(encoding.features(x, u) @ matrix.T).square()
    by_state, by_action = encoding.differentiate(x, slopes[..., None] * matrix)
    torch.testing.assert_close(by_state, vmap(jacrev(step, 0))(x, u))
    torch.testing.assert_close(by_action, vmap(jacrev(step, 1))(x, u))


def test_bounds_of_the_features():
    bounds = torch.tensor([[-1.0, -9.0, -2.0, -3.0], [1.0, 9.0, 2.0, 3.0]]).double()
    box = Encoding(num_states=3, num_actions=1, angles=(1,)).feature_bounds(bounds)
    assert box.tolist() == [[-1.0, -2.0, -3.0, -1.0, -1.0], [1.0, 2.0, 3.0, 1.0, 1.0]]


def test_past_outputs_become_differences_and_past_actions_stay():
    """State (y, y[-1], y[-2], u[-1], u[-2]) and action u."""
    encoding = ENCODINGS["lags"]
    features = torch.tensor([10.0, 8.0, 5.0, 30.0, 20.0, 40.0]).double()
    assert (features @ encoding.differences).tolist() == [10.0, 2.0, 3.0, 30.0, 20.0, 40.0]
    assert torch.linalg.matrix_rank(encoding.differences) == 6
    for name in ("plain", "two angles"):
        count = ENCODINGS[name].num_features
        assert torch.equal(ENCODINGS[name].differences, torch.eye(count).double())


def test_copies_of_an_angle_or_of_each_other_stay():
    of_an_angle = Encoding(num_states=3, num_actions=1, angles=(0,), copies={1: 0, 2: 1})
    round_about = Encoding(num_states=3, num_actions=1, copies={1: 2, 2: 1})
    for encoding in (of_an_angle, round_about):
        assert torch.equal(encoding.differences, torch.eye(encoding.num_features).double())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"angles": (2,)}, "angles: expected columns from 0 to 1, got 2"),
        ({"angles": (-1,)}, "angles: expected columns"),
        ({"angles": (0, 0)}, "angles: expected every column once"),
        ({"copies": {2: 0}}, "copies: expected columns from 0 to 1, got 2"),
        ({"copies": {0: 3}}, "copies: expected columns from 0 to 2, got 3"),
        ({"angles": (0,), "copies": {0: 1}}, r"copies: expected no angles, got \[0\]"),
        ({"copies": {0: 1, 1: 2}}, "copies: expected at least one state to learn"),
    ],
)
def test_columns_that_cannot_be_are_named(changes, message):
    with pytest.raises(InputError, match=message):
        Encoding(num_states=2, num_actions=1, **changes)
