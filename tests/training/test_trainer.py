"""Training: stacks against members alone and against a plain torch loop, failures, early stopping."""

import math
from dataclasses import replace

import pytest
import torch

from surrogate_opt.errors import InputError
from surrogate_opt.networks import StackedMLP
from surrogate_opt.penalties import Strength
from surrogate_opt.training.trainer import Members, TrainingConfig, train

CONFIG = TrainingConfig(hidden=(6, 5), epochs=8, batch_size=8, num_checks=4, dtype=torch.float64)
MIXED = [
    Strength(),
    Strength(dreg=0.05),
    Strength(igp=0.1),
    Strength(spectral_bound=0.8),
    Strength(dreg=0.02, igp=0.3),
    Strength(dreg=0.01, igp=0.01, spectral_bound=1.5),
    Strength(),
    Strength(dreg=1.0),
    Strength(spectral_bound=3.0),
]


def pool(num_rows=60, d=3, seed=0):
    x = 2.0 * torch.rand(num_rows, d, generator=torch.Generator().manual_seed(seed)).double() - 1.0
    return x, torch.sin(2.0 * x[:, 0]) + x[:, 1] * x[:, -1]


def members_of(strengths, seeds, *, rows=40, stop=10, different_rows=True):
    x, y = pool(rows + stop + 10)
    orders = torch.stack(
        [
            torch.randperm(len(x), generator=torch.Generator().manual_seed(p if different_rows else 0))
            for p in range(len(strengths))
        ]
    )
    return Members(
        x=x,
        y=y,
        train_rows=orders[:, :rows],
        stop_rows=orders[:, rows : rows + stop],
        strengths=strengths,
        seeds=seeds,
    )


def assert_same_members(result, member, other, other_member, atol=1e-10):
    for mine, theirs in zip(result.stack.blocks(), other.stack.blocks(), strict=True):
        torch.testing.assert_close(mine[member], theirs[other_member], rtol=0, atol=atol)
    torch.testing.assert_close(
        result.stop_error[:, member], other.stop_error[:, other_member], rtol=0, atol=atol
    )
    assert result.best_check[member] == other.best_check[other_member]


@pytest.mark.parametrize("activation", ["relu", "silu", "poly"])
def test_a_stack_trains_each_member_as_if_alone(activation):
    members = members_of(MIXED, [0, 0, 1, 1, 2, 0, 5, 5, 5])
    config = replace(CONFIG, activation=activation)
    together = train(members, config)
    for member in range(len(MIXED)):
        assert_same_members(together, member, train(members.select([member]), config), 0)


def test_so_it_does_when_split_into_several_stacks():
    wide = replace(CONFIG, hidden=(512,), batch_size=128, epochs=2, num_checks=2)
    strengths = [Strength(dreg=0.1 * k) for k in range(7)] + [Strength(spectral_bound=0.9)]
    members = members_of(strengths, list(range(8)), rows=256)
    parts = []
    together = train(members, wide, progress=parts.append)
    assert len(parts) > 2, "two checks a stack, and more than one stack"
    assert parts == sorted(parts)
    assert parts[-1] == 1.0
    for member in range(len(strengths)):
        assert_same_members(together, member, train(members.select([member]), wide), 0)


@pytest.mark.parametrize(("batch_size", "width"), [(10**6, 4), (64, 8192), (10**6, 8192)])
def test_one_member_may_be_too_large_for_the_cache(batch_size, width):
    config = replace(CONFIG, hidden=(width,), batch_size=batch_size, epochs=1, num_checks=1)
    result = train(members_of(MIXED[:2], [0, 1]), config)
    assert result.stack.num_members == 2
    assert not result.failed.any()


def test_the_order_of_members_does_not_matter():
    members = members_of(MIXED, [0, 0, 1, 1, 2, 0, 5, 5, 5])
    order = [4, 8, 0, 2, 7, 1, 3, 6, 5]
    forward, shuffled = train(members, CONFIG), train(members.select(order), CONFIG)
    for position, member in enumerate(order):
        assert_same_members(forward, member, shuffled, position)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_the_same_seed_gives_the_same_bits(dtype):
    members = members_of(MIXED, list(range(9)))
    first, second = (train(members, replace(CONFIG, dtype=dtype)) for _ in range(2))
    assert torch.equal(first.stack.flat, second.stack.flat)
    assert torch.equal(first.stop_error, second.stop_error)


def test_equal_seeds_share_initial_weights_and_minibatch_order():
    """A penalty of 1e-300 is a different method whose every step is that of no penalty."""
    strengths = [
        Strength(),
        Strength(dreg=1e-300),
        Strength(igp=1e-300),
        Strength(spectral_bound=1e300),
        Strength(),
    ]
    result = train(members_of(strengths, [3, 3, 3, 3, 4], different_rows=False), CONFIG)
    for member in (1, 2, 3):
        assert_same_members(result, 0, result, member, atol=0)
    assert not torch.allclose(result.stack.weights[0][0], result.stack.weights[0][4])


def test_agrees_with_a_plain_torch_loop():
    """torch.nn, its AdamW and its OneCycleLR, from the same weights over the same minibatches."""
    members = members_of([Strength(), Strength(dreg=0.1)], [7, 8])
    config = replace(CONFIG, activation="tanh", epochs=12, num_checks=1, learning_rate=0.02, weight_decay=0.1)
    result = train(members, config)
    initial = StackedMLP((3, 6, 5, 1), 2, "tanh", dtype=torch.float64).initialize([7, 8])
    for member, strength in enumerate((0.0, 0.1)):
        linears = [torch.nn.Linear(a, b).double() for a, b in ((3, 6), (6, 5), (5, 1))]
        with torch.no_grad():
            for layer, linear in enumerate(linears):
                linear.weight.copy_(initial.weights[layer][member].T)
                linear.bias.copy_(initial.biases[layer][member, 0])
        first, second, last = linears
        parameters = [p for linear in linears for p in linear.parameters()]
        optimizer = torch.optim.AdamW(parameters, lr=0.02, weight_decay=0.1)
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimizer, max_lr=0.02, total_steps=12 * 5, cycle_momentum=False
        )
        x, y = (values[members.train_rows[member]] for values in (members.x, members.y))
        shuffle = torch.Generator().manual_seed(7 + member)
        for _ in range(12):
            for batch in torch.randperm(40, generator=shuffle).split(8):
                h1 = torch.tanh(first(x[batch]))
                h2 = torch.tanh(second(h1))
                loss = (last(h2)[:, 0] - y[batch]).square().mean()
                norms = [
                    ((1 - h1**2) ** 2 * first.weight.square().sum(1)).sum(1).mean(),
                    ((1 - h2**2) ** 2 * second.weight.square().sum(1)).sum(1).mean(),
                    last.weight.square().sum(),
                ]
                optimizer.zero_grad()
                (loss + strength * sum(norms) / 3).backward()
                optimizer.step()
                schedule.step()
        for layer, linear in enumerate(linears):
            torch.testing.assert_close(
                result.stack.weights[layer][member], linear.weight.T.detach(), rtol=0, atol=1e-9
            )
            torch.testing.assert_close(
                result.stack.biases[layer][member, 0], linear.bias.detach(), rtol=0, atol=1e-9
            )


@pytest.mark.parametrize(
    ("good", "bad"),
    [
        (Strength(dreg=0.2), Strength(dreg=math.inf)),
        (Strength(igp=0.2), Strength(igp=math.inf)),
        (Strength(dreg=0.2), Strength(dreg=math.nan)),
        (Strength(dreg=0.2, spectral_bound=0.5), Strength(dreg=math.inf, spectral_bound=0.5)),
    ],
)
def test_a_member_that_diverges_is_marked_and_its_neighbours_stay(good, bad):
    strengths = [
        Strength(),
        replace(good, dreg=good.dreg / 2, igp=good.igp / 3),
        Strength(spectral_bound=0.9),
    ]
    alone = train(members_of([*strengths, good], [0, 1, 2, 3]), CONFIG)
    with_bad = train(members_of([*strengths, bad], [0, 1, 2, 3]), CONFIG)
    assert with_bad.failed.tolist() == [False, False, False, True]
    assert not alone.failed.any()
    for mine, theirs in zip(with_bad.stack.blocks(), alone.stack.blocks(), strict=True):
        assert torch.equal(mine[:3], theirs[:3])
        assert torch.isfinite(mine).all(), "a failed member keeps its last finite weights"


@pytest.mark.parametrize("where", ["train", "stop"])
def test_a_row_that_is_not_a_number_fails_those_who_use_it(where):
    members = members_of([Strength(), Strength(spectral_bound=0.9), Strength(dreg=0.1)], [0, 1, 2])
    clean = train(members, CONFIG)
    rows = members.train_rows if where == "train" else members.stop_rows
    y = members.y.clone()
    y[rows[1, 0]] = math.nan
    users = [
        bool((members.train_rows[p] == rows[1, 0]).any() | (members.stop_rows[p] == rows[1, 0]).any())
        for p in range(3)
    ]
    spoilt = train(replace(members, y=y), CONFIG)
    assert spoilt.failed.tolist() == users
    assert users[1]
    for member in range(3):
        if not users[member]:
            assert_same_members(spoilt, member, clean, member, atol=0)


def test_a_huge_learning_rate_leaves_finite_weights_behind():
    config = replace(CONFIG, learning_rate=1e30, dtype=torch.float32, activation="poly")
    result = train(members_of([Strength(), Strength(igp=0.1)], [0, 1]), config)
    assert torch.isfinite(result.stack.flat).all()
    finite = torch.isfinite(result.stop_error)
    assert torch.equal(result.failed, ~finite.all(0))


def mean_squared_error(stack, members):
    x, y = members.x[members.stop_rows], members.y[members.stop_rows]
    return (stack.forward(x.double())[..., 0] - y).square().mean(1)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_early_stopping_keeps_the_best_check(dtype):
    """Few rows of pure noise: the stopping error soon rises, so the best check is not the last."""
    members = members_of([Strength(), Strength(dreg=1e-3), Strength(spectral_bound=4.0)], [0, 1, 2], rows=16)
    noise = torch.randn(members.y.shape, generator=torch.Generator().manual_seed(3)).double()
    members = replace(members, y=noise)
    config = replace(CONFIG, hidden=(32,), epochs=100, num_checks=20, learning_rate=0.05, dtype=dtype)
    result = train(members, config)
    assert result.stop_error.shape == (20, 3)
    assert (result.best_check < 19).any()
    best = result.stop_error.min(0)
    assert torch.equal(result.best_check, best.indices)
    tolerance = 1e-12 if dtype == torch.float64 else 1e-4
    # the bounded member's weights are cut exactly afterwards, where training knows the norm up to 1e-3 or so
    error = mean_squared_error(result.stack, members)
    torch.testing.assert_close(error[:2], best.values.double()[:2], rtol=tolerance, atol=tolerance)
    torch.testing.assert_close(error[2], best.values.double()[2], rtol=2e-2, atol=0)


def test_checks_that_differ_beyond_single_precision_are_told_apart():
    """float64 members are compared in float64: the weights kept are those of the least error."""
    members = members_of([Strength()] * 6, list(range(6)))
    config = replace(CONFIG, epochs=20, num_checks=20, learning_rate=1e-9, weight_decay=0.0)
    result = train(members, config)
    least = result.stop_error.min(0)
    assert (result.stop_error.max(0).values < least.values * (1.0 + 1e-5)).all(), "hardly moves, as meant"
    assert torch.equal(result.best_check, least.indices)
    torch.testing.assert_close(mean_squared_error(result.stack, members), least.values, rtol=1e-12, atol=0)


@pytest.mark.parametrize("bound", [0.0, 0.2, 0.7, 1.0, 4.0])
def test_bounded_members_obey_their_bound_exactly(bound):
    strengths = [Strength(spectral_bound=bound), Strength(), Strength(spectral_bound=bound, dreg=0.01)]
    result = train(members_of(strengths, [0, 1, 2]), replace(CONFIG, learning_rate=0.05))
    assert not result.failed.any()
    free = []
    for weight in result.stack.weights:
        norms = torch.linalg.svdvals(weight)[:, 0]
        assert (norms[[0, 2]] <= bound * (1.0 + 1e-13)).all()
        free.append(float(norms[1]))
    if bound < 1.0:
        assert max(free) > bound, "the bound binds"


def test_learns_a_simple_function():
    members = members_of([Strength(), Strength(dreg=1e-4), Strength(spectral_bound=4.0)], [0, 1, 2], rows=200)
    result = train(members, TrainingConfig(hidden=(32, 32), epochs=150, batch_size=20))
    assert (mean_squared_error(result.stack, members) < 0.03 * members.y.var()).all()


def test_stronger_penalties_leave_smaller_gradients():
    x = pool()[0][None]
    for strengths in (
        [Strength(dreg=s) for s in (0.01, 0.1, 1.0)],
        [Strength(igp=s) for s in (0.01, 0.1, 1.0)],
        [Strength(spectral_bound=c) for c in (1.5, 0.7, 0.3)],
    ):
        members = members_of(strengths, [0, 0, 0], different_rows=False)
        stack = train(members, replace(CONFIG, epochs=40, learning_rate=0.02)).stack
        norms = stack.value_and_gradient(x)[1].norm(dim=-1).mean(1)
        assert (norms.diff() < 0).all()


def test_several_outputs():
    members = members_of([Strength(), Strength(dreg=0.01)], [0, 1])
    members = replace(members, y=torch.stack([members.y, -members.y], 1))
    result = train(members, replace(CONFIG, epochs=60, learning_rate=0.02))
    assert result.stack.sizes == (3, 6, 5, 2)
    output = result.stack.forward(members.x[None])
    assert (output[..., 0] + output[..., 1]).abs().mean() < 0.3


def test_lengths_that_differ_are_named():
    members = members_of(MIXED, list(range(9)))
    with pytest.raises(InputError, match=r"members: expected train_rows.* got 9, 9, 9, 8"):
        replace(members, seeds=list(range(8)))
