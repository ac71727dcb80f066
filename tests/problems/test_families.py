"""The synthetic families: formulas, gradients, samples, roughness and optima, each against its own truth."""

from __future__ import annotations

import math

import pytest
import torch
from botorch.utils.testing import (
    BaseTestProblemTestCaseMixIn,
    BotorchTestCase,
    SyntheticTestFunctionTestCaseMixin,
)
from scipy.optimize import minimize
from surrogate_problems.families import FAMILIES, Entangled, Family, Oscillatory, Piecewise, Smooth, Sparse
from surrogate_problems.problem import PAPER_SIZES, ProblemError

from surrogate_opt.types import Differentiable

EACH_FAMILY = pytest.mark.parametrize("family", FAMILIES.values(), ids=FAMILIES.keys())
EACH_DTYPE = pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["float32", "float64"])


def box_points(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return 2.0 * torch.rand(*shape, generator=generator, dtype=dtype) - 1.0


class TestBotorchContract(BotorchTestCase, BaseTestProblemTestCaseMixIn, SyntheticTestFunctionTestCaseMixin):
    functions = [  # noqa: RUF012  # BoTorch's mixin wants a plain list
        *(family(dim=4, seed=1) for family in FAMILIES.values()),
        *(family(negate=True) for family in FAMILIES.values()),
        *(family(noise_std=0.1) for family in FAMILIES.values()),
    ]


# Formulas


@EACH_FAMILY
@EACH_DTYPE
@pytest.mark.parametrize("shape", [(), (7,), (0,), (3, 7), (2, 1, 5)], ids=str)
def test_shapes_and_dtypes(family, dtype, shape):
    truth = family(dim=6, seed=2)
    x = box_points(*shape, 6, dtype=dtype)
    value, gradient = truth.value_and_gradient(x)
    assert value.shape == shape
    assert gradient.shape == (*shape, 6)
    assert value.dtype == gradient.dtype == dtype
    assert not value.requires_grad
    assert not gradient.requires_grad
    torch.testing.assert_close(truth.value(x), value)
    torch.testing.assert_close(truth.evaluate_true(x), value)


@EACH_FAMILY
@EACH_DTYPE
def test_gradient_is_autograds(family, dtype):
    truth = family(seed=3)
    edges = torch.cat([torch.zeros(1, 10), torch.ones(1, 10), -torch.ones(1, 10)]).to(dtype)
    x = torch.cat([box_points(20, 10, dtype=dtype), edges]).requires_grad_(True)
    (expected,) = torch.autograd.grad(truth(x).sum(), x)
    tolerance = 1e-12 if dtype == torch.float64 else 1e-3  # the entangled network amplifies rounding
    torch.testing.assert_close(truth.value_and_gradient(x.detach())[1], expected, rtol=0, atol=tolerance)


@EACH_FAMILY
def test_gradient_is_the_slope(family):
    truth, step = family(seed=4), 1e-5
    x = 0.9 * box_points(20, 10)
    offsets = step * torch.eye(10, dtype=torch.float64)
    slope = (truth.value(x[:, None] + offsets) - truth.value(x[:, None] - offsets)) / (2.0 * step)
    torch.testing.assert_close(truth.value_and_gradient(x)[1], slope, rtol=0, atol=1e-6)


@EACH_DTYPE
def test_gradient_at_kinks_is_finite(dtype):
    truth = Piecewise(seed=0).to(dtype)
    x = truth.optimizers.clone().requires_grad_(True)
    (by_autograd,) = torch.autograd.grad(truth(x).sum(), x)
    value, gradient = truth.value_and_gradient(x.detach())
    assert value.item() == 0.0
    assert torch.equal(gradient, torch.zeros_like(gradient))
    assert torch.equal(gradient, by_autograd)


def test_formulas_written_out():
    x = box_points(5, 10)
    for truth in (Smooth(seed=1), Sparse(seed=1), Oscillatory(seed=1)):
        (frequencies,) = truth._weights
        expected = sum(math.sin(sum(w * z for w, z in zip(row, x[2], strict=True))) for row in frequencies)
        assert truth.value(x)[2].item() == pytest.approx(float(expected), abs=1e-12)
    piecewise = Piecewise(seed=1)
    expected = sum(abs(float(z - t)) for z, t in zip(x[2], piecewise.optimizers[0], strict=True))
    assert piecewise.value(x)[2].item() == pytest.approx(expected, abs=1e-12)
    entangled = Entangled(seed=1)
    w1, b1, w2, b2, w3 = (weight.numpy() for weight in entangled._weights)
    hidden = [math.tanh(float(x[2].numpy() @ w1[:, j]) + b1[j]) for j in range(64)]
    top = [math.tanh(sum(h * w for h, w in zip(hidden, w2[:, j], strict=True)) + b2[j]) for j in range(64)]
    expected = sum(t * w for t, w in zip(top, w3, strict=True))
    assert entangled.value(x)[2].item() == pytest.approx(float(expected), abs=1e-12)


@pytest.mark.parametrize(("family", "std"), [(Smooth, 0.5), (Sparse, 2.0), (Oscillatory, 1.0)])
def test_frequencies_have_the_stated_std(family, std):
    entries = torch.cat([family(seed=s)._weights[0].flatten() for s in range(200)])
    entries = entries[entries != 0]
    assert entries.std().item() == pytest.approx(std, rel=0.05)
    assert entries.mean().item() == pytest.approx(0.0, abs=0.1 * std)


def test_entangled_has_the_stated_scales():
    instances = [Entangled(seed=s, difficulty=2.0)._weights for s in range(50)]
    expected = (2.0 * math.sqrt(0.3), 4.0, 0.25, 4.0, 0.125)
    for weights, std in zip(zip(*instances, strict=True), expected, strict=True):
        assert torch.stack(weights).std().item() == pytest.approx(std, rel=0.05)


@pytest.mark.parametrize(("difficulty", "reach"), [(1.0, 1.0), (2.0, 0.5), (4.0, 0.25)])
def test_kinks_are_uniform(difficulty, reach):
    tau = torch.cat([Piecewise(seed=s, difficulty=difficulty).optimizers[0] for s in range(100)])
    assert tau.abs().max().item() <= reach
    assert tau.abs().max().item() > 0.98 * reach
    assert tau.std().item() == pytest.approx(reach / math.sqrt(3.0), rel=0.1)


@pytest.mark.parametrize(("dim", "num_active"), [(1, 1), (4, 1), (5, 1), (6, 2), (10, 2), (11, 3), (35, 7)])
def test_sparse_ignores_the_other_inputs(dim, num_active):
    truth = Sparse(dim=dim, seed=5)
    active = torch.zeros(dim, dtype=torch.bool)
    active[list(truth.active_inputs)] = True
    assert int(active.sum()) == num_active
    x = box_points(30, dim)
    moved = torch.where(active, x, box_points(30, dim, seed=1))
    assert torch.equal(truth.value(x), truth.value(moved))
    gradient = truth.value_and_gradient(x)[1]
    assert torch.equal(gradient[:, ~active], torch.zeros(30, dim - num_active, dtype=torch.float64))
    assert bool((gradient[:, active] != 0).any(0).all())


def test_sparse_inputs_differ_between_instances():
    assert len({Sparse(seed=s).active_inputs for s in range(10)}) > 3


# Protocol, seeds, moves between dtypes


@EACH_FAMILY
def test_is_differentiable(family):
    truth: Differentiable = family()
    assert isinstance(truth, Differentiable)
    assert truth.gradient_source == "analytic"


@EACH_FAMILY
def test_seed_fixes_the_instance(family):
    x = box_points(50, 10)
    values = [family(seed=s).value(x) for s in (0, 0, 1, 2)]
    assert torch.equal(values[0], values[1])
    assert not torch.allclose(values[0], values[2])
    assert not torch.allclose(values[2], values[3])


def test_families_of_one_seed_are_not_scaled_copies():
    smooth, oscillatory = Smooth(seed=0)._weights[0], Oscillatory(seed=0)._weights[0]
    correlation = torch.corrcoef(torch.stack([smooth.flatten(), oscillatory.flatten()]))[0, 1]
    assert abs(float(correlation)) < 0.5


@EACH_FAMILY
def test_global_random_state_is_left_alone(family):
    state = torch.get_rng_state()
    truth = family(seed=0)
    truth.sample(10, noise_std=0.1)
    _ = truth.optimal_value
    assert torch.equal(torch.get_rng_state(), state)


@EACH_FAMILY
def test_truth_survives_float32(family):
    x = box_points(10, 10)
    moved = family(seed=6).to(torch.float32)
    assert moved.optimizers.dtype == torch.float32
    assert moved.optimal_value == family(seed=6).optimal_value
    assert torch.equal(moved.to(torch.float64).value(x), family(seed=6).value(x))


@EACH_FAMILY
def test_negate_flips_everything(family):
    plain, negated = family(seed=7), family(seed=7, negate=True)
    x = box_points(8, 10)
    for ours, flipped in zip(plain.value_and_gradient(x), negated.value_and_gradient(x), strict=True):
        assert torch.equal(ours, -flipped)
    assert torch.equal(negated.value(x), negated(x, noise=False))
    assert negated.optimal_value == -plain.optimal_value
    assert torch.equal(negated.sample(8)[1], -plain.sample(8)[1])


# Samples


@EACH_FAMILY
def test_sample_is_uniform_and_repeatable(family):
    truth = family(seed=1)
    x, y = truth.sample(4000, seed=3)
    assert x.dtype == y.dtype == torch.float64
    assert torch.equal(y, truth.value(x))
    assert bool((x.abs() <= 1.0).all())
    torch.testing.assert_close(x.mean(0), torch.zeros(10, dtype=torch.float64), rtol=0, atol=0.05)
    torch.testing.assert_close(x.var(0), torch.full((10,), 1 / 3, dtype=torch.float64), rtol=0, atol=0.03)
    again = truth.sample(4000, seed=3)
    assert torch.equal(x, again[0])
    assert torch.equal(y, again[1])
    assert not torch.equal(x, truth.sample(4000, seed=4)[0])


@EACH_FAMILY
@pytest.mark.parametrize("noise_std", [0.02, 0.5])
def test_noise_is_in_output_standard_deviations(family, noise_std):
    truth = family(seed=1)
    x, y = truth.sample(4000, noise_std=noise_std, seed=3)
    assert torch.equal(x, truth.sample(4000, seed=3)[0])
    spread = truth.value(box_points(20000, 10, seed=9)).std()
    noise = (y - truth.value(x)) / spread
    assert noise.std().item() == pytest.approx(
        noise_std, rel=0.07
    )  # sampling error of both standard deviations
    assert noise.mean().item() == pytest.approx(0.0, abs=4 * noise_std / math.sqrt(4000))


@EACH_FAMILY
def test_noise_of_the_constructor_has_the_same_unit(family):
    truth = family(seed=1, noise_std=0.3)
    assert truth.noise_std == pytest.approx(0.3 * truth.output_std)
    assert family(seed=1).noise_std is None


def test_sample_and_instance_do_not_share_their_random_numbers():
    tau = torch.stack([Piecewise(seed=s).optimizers[0] for s in range(100)])
    x = torch.stack([Piecewise(seed=s).sample(1, seed=s)[0][0] for s in range(100)])
    correlation = torch.corrcoef(torch.stack([tau.flatten(), x.flatten()]))[0, 1]
    assert abs(float(correlation)) < 0.15


def test_paper_split():
    split = Smooth(seed=0).paper_split(noise_std=0.1, seed=2)
    sizes = {name: len(part[0]) for name, part in split._asdict().items()}
    assert sizes == PAPER_SIZES
    assert all(len(x) == len(y) for x, y in split)
    together = torch.cat([x for x, _ in split])
    assert len(together.unique(dim=0)) == 3500
    assert torch.equal(together, Smooth(seed=0).sample(3500, seed=2)[0])


# Roughness


@EACH_FAMILY
def test_linear_r2_is_that_of_least_squares(family):
    truth = family(seed=2)
    x, y = truth.sample(20000, seed=1)
    centred, target = x - x.mean(0), y - y.mean()
    slopes = torch.linalg.solve(centred.T @ centred, centred.T @ target)
    expected = 1.0 - float((target - centred @ slopes).square().mean() / target.square().mean())
    assert truth.linear_r2 == pytest.approx(expected, abs=0.03)


def test_table_of_linear_r2():
    """The docstring's table; and at least half of the families are under 0.5."""
    table = {}
    for name, family in FAMILIES.items():
        r2 = torch.tensor([family(seed=s).linear_r2 for s in range(20)], dtype=torch.float64)
        row = f"{name:<13} {family.default_difficulty:<11g} {r2.mean():.2f}   {r2.min():.2f}  {r2.max():.2f}"
        assert row in (Family.__doc__ or "")
        table[name] = float(r2.mean())
    assert sum(r2 < 0.5 for r2 in table.values()) * 2 >= len(FAMILIES)


@EACH_FAMILY
def test_a_plane_explains_less_as_difficulty_grows(family):
    means = [
        sum(family(seed=s, difficulty=factor * family.default_difficulty).linear_r2 for s in range(10))
        for factor in (0.5, 1.0, 2.0)
    ]
    assert means[0] > means[1] > means[2]


# Optima


@EACH_FAMILY
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_nothing_is_lower_than_the_optimum(family, seed):
    truth = family(seed=seed)
    assert bool((truth.optimizers.abs() <= 1.0).all())
    at_optimizer = truth.value(truth.optimizers)
    expected = torch.full_like(at_optimizer, truth.optimal_value)
    torch.testing.assert_close(at_optimizer, expected, rtol=0, atol=1e-12)
    x = box_points(100_000, 10, seed=seed)
    values = truth.value(x)
    lowest = values.min().item()
    for start in x[values.argsort()[:4]]:
        result = minimize(
            lambda z: truth.value(torch.from_numpy(z)).item(),
            start.numpy(),
            jac=lambda z: truth.value_and_gradient(torch.from_numpy(z))[1].numpy(),
            bounds=[(-1.0, 1.0)] * 10,
            method="SLSQP",
            options={"ftol": 1e-12},
        )
        lowest = min(lowest, truth.value(torch.from_numpy(result.x).clamp(-1.0, 1.0)).item())
    assert truth.optimal_value <= lowest + 1e-9


@EACH_FAMILY
@pytest.mark.parametrize("dim", [1, 2, 3, 25])
def test_optimum_in_other_dimensions(family, dim):
    truth = family(dim=dim, seed=3)
    values = truth.value(box_points(20_000, dim))
    assert truth.optimal_value <= values.min().item() + 1e-12
    torch.testing.assert_close(
        truth.value(truth.optimizers)[0].item(), truth.optimal_value, rtol=0, atol=1e-12
    )


@EACH_FAMILY
def test_optimum_is_stationary_in_the_box(family):
    """The projected gradient vanishes: free inputs have none, inputs on a face push against it."""
    truth = family(seed=1)
    x = truth.optimizers
    gradient = truth.value_and_gradient(x)[1]
    projected = x - (x - gradient).clamp(-1.0, 1.0)
    assert projected.abs().max().item() < 1e-5


def test_sources_of_the_optimum():
    assert Piecewise().optimum_source == "closed form"
    assert Oscillatory(seed=0).optimum_source == "closed form"
    assert Oscillatory(seed=0).optimal_value == -5.0
    assert Oscillatory(seed=0, difficulty=5.0).optimal_value == -5.0
    assert Smooth(seed=4).optimal_value == -5.0
    assert Smooth(seed=0).optimum_source == "search"
    assert Smooth(dim=2).optimum_source == "grid"
    assert Sparse().optimum_source == "grid"
    assert Sparse(difficulty=1000.0).optimum_source == "search"
    assert Entangled().optimum_source == "search"


def test_kinks_outside_the_box():
    truth = Piecewise(seed=0, difficulty=0.25)
    (tau,) = truth._weights
    assert tau.abs().max().item() > 1.0
    assert truth.optimal_value == pytest.approx((tau.abs() - 1.0).clamp(min=0.0).sum().item())
    assert torch.equal(truth.optimizers[0], tau.clamp(-1.0, 1.0))


def test_construction_is_lazy():
    truth = Entangled(seed=11)
    assert "_optimum" not in vars(truth)
    assert "output_std" not in vars(truth)
    first = truth.optimizers
    assert torch.equal(first, truth.optimizers)
    assert "_optimum" in vars(truth)


# Bad input


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"dim": 0}, "dim: expected at least 1, got 0"),
        ({"difficulty": 0.0}, "difficulty: expected a finite number above 0, got 0.0"),
        ({"difficulty": math.nan}, "difficulty: .* got nan"),
        ({"seed": -1}, "seed: expected a non-negative integer, got -1"),
        ({"noise_std": -0.1}, "noise_std: expected a finite number of at least 0, got -0.1"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ProblemError, match=message):
        Smooth(**arguments)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n": 0}, "n: expected at least 1 point, got 0"),
        ({"n": 5, "noise_std": math.inf}, "noise_std: .* got inf"),
        ({"n": 5, "seed": -2}, "seed: .* got -2"),
    ],
)
def test_bad_sample_arguments(arguments, message):
    with pytest.raises(ProblemError, match=message):
        Smooth().sample(**arguments)


@pytest.mark.parametrize(
    "x", [torch.zeros(3, 9), torch.zeros(10, dtype=torch.int64), torch.tensor(1.0), [0.0] * 10]
)
def test_bad_points(x):
    with pytest.raises(ProblemError, match=r"x: expected a floating tensor of shape \(\.\.\., 10\), got"):
        Smooth().value_and_gradient(x)
