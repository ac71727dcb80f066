"""The ghost signal of models whose answer is known, and of every kind of model a user brings."""

import numpy as np
import pytest
import torch
from botorch.models import SingleTaskGP
from botorch.models.transforms import Normalize, Standardize
from botorch.test_functions import Branin, Cosine8, Hartmann
from surrogate_problems.families import Piecewise, Smooth
from torch import nn

import surrogate_opt as so
from surrogate_opt.auditing.loops_compared import TruthReference, ghost_signals, local_falls
from surrogate_opt.errors import InputError

METHODS = ["adam", "gradient_descent", "lbfgsb"]
BOX = torch.tensor([[-1.0, -1.0], [1.0, 1.0]], dtype=torch.float64)


def bowl(x):
    return (x - 0.3).square().sum(-1)


def shifted_bowl(x):
    return (x + 0.4).square().sum(-1)


@pytest.mark.parametrize("method", METHODS)
def test_the_truth_as_its_own_surrogate_has_no_ghosts(method):
    truth = Smooth(dim=4, seed=1)
    signal = so.ghost_signal(truth, truth, method=method, starts=16)
    assert signal.regret_selected == pytest.approx(signal.truth_regret_selected, abs=1e-9)
    assert signal.optimism == pytest.approx(0.0, abs=1e-9)
    assert signal.end_error == pytest.approx(0.0, abs=1e-9)
    assert signal.ghost_descent == pytest.approx(0.0, abs=1e-9)
    assert signal.wrong_way_steps == 0.0
    assert signal.path_divergence == pytest.approx(0.0, abs=1e-9)
    assert signal.start_sensitivity == pytest.approx(0.0, abs=1e-9)


@pytest.mark.parametrize("method", METHODS)
def test_a_shifted_bowl_costs_what_the_shift_says(method):
    """Every loop ends at -0.4; there the truth is 2 * 0.7^2 while the surrogate promises 0."""
    signal = so.ghost_signal(shifted_bowl, bowl, method=method, starts=8, bounds=BOX)
    points = BOX[0] + (BOX[1] - BOX[0]) * torch.rand(200_000, 2, dtype=torch.float64)
    scale = bowl(points).std()
    gap = (bowl(points) - shifted_bowl(points)).mean()
    assert signal.regret_selected == pytest.approx(float(0.98 / scale), rel=0.02)
    assert signal.regret_mean == pytest.approx(float(0.98 / scale), rel=0.02)
    assert signal.optimism == pytest.approx(float((0.98 - gap) / scale), rel=0.03)
    assert signal.truth_regret_selected == pytest.approx(0.0, abs=1e-3)
    # around every end point the truth falls on towards 0.3 while the surrogate is at its lowest
    assert signal.phantom_optima == 1.0


def test_a_stack_gives_each_surrogate_what_it_gets_alone():
    class Both:
        gradient_source = "analytic"

        def value(self, x):
            return torch.stack([bowl(x[0]), shifted_bowl(x[1])])

        def value_and_gradient(self, x):
            return self.value(x), torch.stack([2 * (x[0] - 0.3), 2 * (x[1] + 0.4)])

    reference = TruthReference.of(bowl, bounds=BOX, num_starts=8)
    together = ghost_signals(Both(), 2, reference, "lbfgsb")
    alone = [
        so.ghost_signal(model, bowl, method="lbfgsb", starts=8, bounds=BOX) for model in (bowl, shifted_bowl)
    ]
    for one, other in zip(together, alone, strict=True):
        for name, value in one.to_dict().items():
            assert value == pytest.approx(other.to_dict()[name], abs=1e-7), name


def test_local_falls_stay_within_the_neighbourhood_and_the_box():
    """A plane falls by its slope times 0.1 of the width, or less at the edge of the box."""

    def plane(x):
        return x.sum(-1)

    reference = TruthReference.of(plane, bounds=BOX, num_starts=4)
    ends = torch.tensor([[[0.0, 0.0], [-1.0, 0.0], [-1.0, -1.0]]], dtype=torch.float64)
    falls = local_falls(reference.truth, ends, reference)
    torch.testing.assert_close(
        falls, torch.tensor([[0.4, 0.2, 0.0]], dtype=torch.float64), rtol=0.02, atol=1e-3
    )


def test_known_optima_are_taken_over_and_unknown_ones_searched():
    truth = Piecewise(dim=3, seed=2)
    assert TruthReference.of(truth).optimum == pytest.approx(0.0, abs=1e-12)
    assert TruthReference.of(Branin()).optimum == pytest.approx(0.397887, abs=1e-4)
    assert TruthReference.of(bowl, bounds=BOX).optimum == pytest.approx(0.0, abs=1e-8)


def kinds():
    torch.manual_seed(0)
    x = torch.rand(40, 2, dtype=torch.float64) * 2 - 1
    gp = SingleTaskGP(x, bowl(x)[:, None], input_transform=Normalize(2), outcome_transform=Standardize(1))
    network = nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 1)).double()
    return {"gp": gp, "module": network, "callable": lambda z: np.sin(z).sum(-1)}


@pytest.mark.parametrize("kind", ["gp", "module", "callable"])
def test_any_model_is_audited(kind):
    model = kinds()[kind]
    signal = so.ghost_signal(model, bowl, starts=4, bounds=BOX)
    field = so.gradient_field(model, bowl, bounds=BOX, num_points=64)
    tails = so.sensitivity(model, torch.rand(64, 2, dtype=torch.float64), bounds=BOX, scale=1.0)
    assert np.isfinite([signal.regret_selected, signal.optimism, field.gradient_error, tails.p99]).all()
    expected = "central differences" if kind == "callable" else "autograd"
    assert field.model_gradient_source == expected
    if kind == "gp":
        assert signal.regret_selected < 0.1
        assert field.cosine > 0.95


@pytest.mark.parametrize(
    ("arguments", "word"),
    [({"method": "newton"}, "method"), ({"starts": 0}, "starts"), ({"bounds": None}, "bounds")],
)
def test_bad_arguments_are_named(arguments, word):
    with pytest.raises(InputError, match=word):
        so.ghost_signal(bowl, bowl, **({"bounds": BOX} | arguments))


@pytest.mark.parametrize("truth", [Hartmann(dim=3, negate=True), Cosine8()])
def test_a_problem_to_be_maximized_has_its_minimum_searched(truth):
    """Its optimal value is a maximum, of no use to loops that go down."""
    reference = TruthReference.of(truth, num_starts=8)
    assert reference.optimum < float(truth.optimal_value) - 0.1
    assert reference.optimum <= float(reference.path("lbfgsb").end_value.min()) + 1e-6
