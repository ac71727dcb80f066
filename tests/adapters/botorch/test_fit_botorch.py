"""From a table to a BoTorch model in one call."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from botorch.acquisition import LogExpectedImprovement
from botorch.optim import optimize_acqf
from botorch.utils.sampling import manual_seed

import surrogate_opt as so
from surrogate_opt.adapters.botorch.registry import MODEL_NAMES, make_fitter

BOUNDS = torch.tensor([[-3.0, 100.0], [5.0, 700.0]]).double()


def table(n=25):
    u = torch.quasirandom.SobolEngine(2, scramble=True, seed=3).draw(n).double()
    return (
        BOUNDS[0] + (BOUNDS[1] - BOUNDS[0]) * u,
        u,
        3e4 + 50.0 * (u - torch.tensor([0.3, 0.6])).square().sum(1),
    )


@pytest.mark.parametrize("name", MODEL_NAMES)
def test_raw_units_are_the_unit_box_stretched(name):
    x, u, y = table()
    model = so.fit_botorch(x, y[:, None], bounds=BOUNDS, model=name, strength=1e-3, seed=4)
    unit = make_fitter(name, strength=1e-3, seed=4).fit(u, y, choose_strength=True)
    points = torch.rand(6, 2, generator=torch.Generator().manual_seed(0)).double()
    with torch.no_grad():
        mine = model.posterior((BOUNDS[0] + (BOUNDS[1] - BOUNDS[0]) * points)[:, None])
        theirs = unit.posterior(points[:, None])
    torch.testing.assert_close(mine.mean, theirs.mean, rtol=1e-4, atol=0.5)
    torch.testing.assert_close(mine.variance.sqrt(), theirs.variance.sqrt(), rtol=0.05, atol=0.3)


def test_a_botorch_users_loop_finds_the_bowl():
    x, _, y = table()
    model = so.fit_botorch(x.numpy(), -y.numpy(), bounds=BOUNDS, seed=1)
    with manual_seed(0):
        found, _ = optimize_acqf(
            LogExpectedImprovement(model, best_f=-y.min()), BOUNDS, q=1, num_restarts=4, raw_samples=64
        )
    unit = (found[0] - BOUNDS[0]) / (BOUNDS[1] - BOUNDS[0])
    torch.testing.assert_close(unit, torch.tensor([0.3, 0.6]).double(), rtol=0, atol=0.1)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model": "ensembel"}, "model: expected one of .*did you mean 'ensemble'"),
        ({"bounds": [[0.0, 0.0], [1.0, 1.0]]}, "bounds.*expected a box around the data"),
        ({"penalty": "drag"}, "penalty"),
        ({"x": np.ones((25, 2))}, "x.*: expected values that differ"),
    ],
)
def test_refusals(changes, message):
    x, _, y = table()
    with pytest.raises(so.InputError, match=message):
        so.fit_botorch(**{"x": x, "y": y, **changes})
