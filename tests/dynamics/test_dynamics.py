"""Steps, derivatives and rollouts of learned dynamics, alone and stacked."""

import numpy as np
import pytest
import torch
from dynamics_cases import ENCODINGS, random_dynamics, random_points
from torch.func import jacrev, vmap

from surrogate_opt.dynamics import DynamicsEnsemble, stack_dynamics
from surrogate_opt.errors import InputError
from surrogate_opt.networks import ACTIVATIONS

BATCHES = [(), (1,), (4,), (2, 3)]


@pytest.mark.parametrize("name", ENCODINGS)
def test_a_step_is_the_mean_of_the_members_in_network_coordinates(name):
    """Written down plainly: encode, scale, run every member, scale back, add, average."""
    dynamics = random_dynamics(ENCODINGS[name])
    encoding, scaling = dynamics.encoding, dynamics.scaling
    x, u = random_points(encoding, 6)
    outputs = dynamics.stack.forward(scaling.unit(encoding.features(x, u))[None])
    expected = torch.stack([encoding.advance(x, u, scaling.raw_increments(output)) for output in outputs])
    torch.testing.assert_close(dynamics.member_step(x, u), expected)
    torch.testing.assert_close(dynamics.step(x, u), expected.mean(0))


@pytest.mark.parametrize("name", ENCODINGS)
@pytest.mark.parametrize("activation", sorted(set(ACTIVATIONS) - {"poly"}))
def test_numpy_takes_the_same_step(name, activation):
    dynamics = random_dynamics(ENCODINGS[name], activation=activation)
    x, u = random_points(dynamics.encoding, 6)
    x[0] *= 1e3  # nothing overflows
    following = torch.from_numpy(dynamics.numpy_step(x.numpy(), u.numpy()))
    torch.testing.assert_close(following, dynamics.step(x, u), rtol=1e-10, atol=1e-10)


def test_there_is_no_numpy_step_of_several_models_or_learnt_activations():
    assert random_dynamics(activation="poly").numpy_step is None
    assert stack_dynamics([random_dynamics(), random_dynamics(seed=1)]).numpy_step is None


@pytest.mark.parametrize("name", ENCODINGS)
def test_the_twin_in_single_precision_agrees_to_its_digits(name):
    dynamics = random_dynamics(ENCODINGS[name])
    x, u = (part[None] for part in random_points(dynamics.encoding, 6))
    twin = dynamics.single.linearize(x.float(), u.float())
    for mine, theirs in zip(twin, dynamics.linearize(x, u), strict=True):
        assert mine.dtype == torch.float32
        torch.testing.assert_close(mine.double(), theirs, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", ENCODINGS)
@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("hidden", [(), (7, 6)])
def test_linearize_agrees_with_autograd_of_step(name, activation, hidden):
    dynamics = random_dynamics(ENCODINGS[name], hidden, activation)
    x, u = random_points(dynamics.encoding, 5)
    following, by_state, by_action = dynamics.linearize(x, u)
    torch.testing.assert_close(following, dynamics.step(x, u))
    torch.testing.assert_close(by_state, vmap(jacrev(dynamics.step, 0))(x, u), rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(by_action, vmap(jacrev(dynamics.step, 1))(x, u), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", ENCODINGS)
def test_linearize_agrees_with_central_differences(name):
    dynamics = random_dynamics(ENCODINGS[name])
    x, u = random_points(dynamics.encoding, 5)
    _, by_state, by_action = dynamics.linearize(x, u)
    step = 1e-5
    for by, width, move in (
        (by_state, x.shape[1], lambda shift: dynamics.step(x + shift, u)),
        (by_action, u.shape[1], lambda shift: dynamics.step(x, u + shift)),
    ):
        for column, shift in enumerate(step * torch.eye(width).double()):
            difference = (move(shift) - move(-shift)) / (2.0 * step)
            torch.testing.assert_close(by[..., column], difference, rtol=1e-7, atol=1e-8)


@pytest.mark.parametrize("batch", BATCHES)
def test_any_leading_axes(batch):
    dynamics = random_dynamics()
    x, u = random_points(dynamics.encoding, *batch)
    rows = [tensor.reshape(-1, tensor.shape[-1]) for tensor in (x, u)]
    torch.testing.assert_close(dynamics.step(x, u), dynamics.step(*rows).reshape(*batch, 3))
    for got, expected in zip(dynamics.linearize(x, u), dynamics.linearize(*rows), strict=True):
        torch.testing.assert_close(got, expected.reshape(*batch, *expected.shape[1:]))
    members = dynamics.member_step(x, u)
    assert members.shape == ((*batch[:-1], 5, *batch[-1:], 3))
    torch.testing.assert_close(members.mean(-3 if batch else 0), dynamics.step(x, u))


def test_one_action_serves_many_states():
    dynamics = random_dynamics()
    x, u = random_points(dynamics.encoding, 4)
    torch.testing.assert_close(dynamics.step(x, u[0]), dynamics.step(x, u[:1].expand(4, -1)))


@pytest.mark.parametrize("name", ENCODINGS)
@pytest.mark.parametrize("batch", BATCHES)
def test_a_rollout_is_repeated_steps(name, batch):
    dynamics = random_dynamics(ENCODINGS[name])
    x, _ = random_points(dynamics.encoding, *batch)
    _, actions = random_points(dynamics.encoding, *batch, 7)
    states = dynamics.rollout(x, actions)
    assert states.shape == (*batch, 8, dynamics.num_states)
    assert torch.equal(states[..., 0, :], x)
    for k in range(7):
        torch.testing.assert_close(
            states[..., k + 1, :], dynamics.step(states[..., k, :], actions[..., k, :])
        )


def test_rollouts_are_differentiable():
    dynamics = random_dynamics()
    x, _ = random_points(dynamics.encoding)
    _, actions = random_points(dynamics.encoding, 4)
    jacobian = jacrev(lambda u: dynamics.rollout(x, u)[-1])(actions)
    states, product = dynamics.rollout(x, actions), torch.eye(3).double()
    for k in range(3, -1, -1):
        _, by_state, by_action = dynamics.linearize(states[k], actions[k])
        torch.testing.assert_close(jacobian[:, k], product @ by_action)
        product = product @ by_state


def test_numpy_in_numpy_out():
    dynamics = random_dynamics()
    x, u = random_points(dynamics.encoding, 4)
    for answer in (dynamics.step(x.numpy(), u.numpy()), *dynamics.linearize(x.numpy()[::-1], u.numpy())):
        assert isinstance(answer, np.ndarray)
        assert answer.dtype == np.float64
    np.testing.assert_array_equal(dynamics.step(x.numpy(), u.numpy()), dynamics.step(x, u).numpy())
    np.testing.assert_array_equal(
        dynamics.rollout(x.numpy(), u.numpy()[:, None])[:, 1], dynamics.step(x, u).numpy()
    )


@pytest.mark.parametrize("name", ENCODINGS)
@pytest.mark.parametrize("shared", [False, True])
def test_a_stack_is_each_alone(name, shared):
    models = [random_dynamics(ENCODINGS[name], seed=seed) for seed in (0, 10, 20)]
    stacked = stack_dynamics(models)
    assert (stacked.num_models, stacked.num_members) == (3, 5)
    assert (stacked.num_states, stacked.num_actions) == (models[0].num_states, models[0].num_actions)
    x, u = random_points(models[0].encoding, 1 if shared else 3, 6)
    _, actions = random_points(models[0].encoding, 1 if shared else 3, 6, 4)
    step, members, linearized = stacked.step(x, u), stacked.member_step(x, u), stacked.linearize(x, u)
    rollout = stacked.rollout(x, actions)
    for position, model in enumerate(models):
        at = 0 if shared else position
        torch.testing.assert_close(step[position], model.step(x[at], u[at]))
        torch.testing.assert_close(members[position], model.member_step(x[at], u[at]))
        for got, expected in zip(linearized, model.linearize(x[at], u[at]), strict=True):
            torch.testing.assert_close(got[position], expected)
        torch.testing.assert_close(rollout[position], model.rollout(x[at], actions[at]))


def test_members_apart_are_models_of_their_own():
    dynamics = random_dynamics()
    apart = dynamics.ensemble.apart()
    assert (apart.num_models, apart.num_members) == (5, 1)
    x, u = random_points(dynamics.encoding, 1, 6)
    torch.testing.assert_close(apart.step(x, u), dynamics.ensemble.member_step(x, u)[0])


def test_states_of_each_model_with_actions_for_all():
    stacked = stack_dynamics([random_dynamics(seed=seed) for seed in (0, 10)])
    x, _ = random_points(stacked.encoding, 2, 6)
    _, u = random_points(stacked.encoding, 1, 6)
    torch.testing.assert_close(stacked.step(x, u), stacked.step(x, u.expand(2, -1, -1)))


def test_what_cannot_be_stacked():
    with pytest.raises(InputError, match="models: expected at least one, got none"):
        stack_dynamics([])
    for other in (
        random_dynamics(hidden=(7,)),
        random_dynamics(activation="tanh"),
        random_dynamics(members=10),
        random_dynamics(ENCODINGS["plain"]),
    ):
        with pytest.raises(InputError, match="models: expected equal layer sizes"):
            stack_dynamics([random_dynamics(), other])
    assert isinstance(stack_dynamics([random_dynamics()]), DynamicsEnsemble)


@pytest.mark.parametrize(
    ("x", "u", "message"),
    [
        (torch.zeros(4, 2), torch.zeros(4, 2), r"x: expected the shape \(..., 3\), got \(4, 2\)"),
        (torch.zeros(4, 3), torch.zeros(4, 1), r"u: expected the shape \(..., 2\), got \(4, 1\)"),
        (torch.zeros(()), torch.zeros(2), "x: expected the shape"),
        (torch.zeros(4, 3), torch.zeros(3, 2), "u: expected leading axes that fit those of x"),
    ],
)
def test_shapes_that_do_not_fit_are_named(x, u, message):
    dynamics = random_dynamics()
    with pytest.raises(InputError, match=message):
        dynamics.step(x, u)
    with pytest.raises(InputError, match=message):
        dynamics.linearize(x, u)


def test_a_rollout_wants_a_sequence():
    dynamics = random_dynamics()
    for actions in (torch.zeros(2), torch.zeros(0, 2)):
        with pytest.raises(InputError, match="actions: expected the shape"):
            dynamics.rollout(torch.zeros(3), actions)
