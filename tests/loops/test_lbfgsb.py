"""L-BFGS-B in lock step against SciPy's own, one start at a time."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from loop_problems import BOX, Rosenbrock, Waves, sobol
from scipy.optimize import minimize as scipy_minimize

from surrogate_opt.adapters import as_box, value_and_gradient_for_scipy
from surrogate_opt.errors import InputError
from surrogate_opt.loops.lbfgsb import LBFGSBConfig, lbfgsb, run_lbfgsb

ROSENBROCK_BOX = torch.tensor([[-2.0] * 4, [0.8, 2.0, 2.0, 2.0]]).double()


def run_alone(model, start, bounds, config, scale):
    """The same loop by scipy.optimize.minimize, in unit coordinates; the accepted iterates in raw units."""
    box = as_box(bounds)
    raw = value_and_gradient_for_scipy(model)

    def objective(u):
        value, gradient = raw(box.from_unit(torch.from_numpy(u)).numpy())
        return value / scale, gradient * box.width.numpy() / scale

    path = [box.to_unit(start).numpy()]
    result = scipy_minimize(
        objective,
        path[0],
        jac=True,
        method="L-BFGS-B",
        bounds=[(0.0, 1.0)] * box.dim,
        callback=lambda u: path.append(u.copy()),
        options={
            "maxiter": config.max_steps,
            "gtol": config.tolerance,
            "ftol": config.value_tolerance,
            "maxcor": config.history,
        },
    )
    return box.from_unit(torch.from_numpy(np.array(path))), result


@pytest.mark.parametrize(
    ("model", "bounds", "config", "scale"),
    [
        (Waves(), BOX, LBFGSBConfig(), 1.0),
        (Waves(), BOX, LBFGSBConfig(history=3), 7.0),
        (Rosenbrock(), ROSENBROCK_BOX, LBFGSBConfig(), 300.0),
        (Rosenbrock(), ROSENBROCK_BOX, LBFGSBConfig(max_steps=6), 300.0),
    ],
    ids=["waves", "waves-scaled", "rosenbrock", "rosenbrock-six-steps"],
)
def test_every_start_takes_the_steps_it_takes_alone(model, bounds, config, scale):
    starts = sobol(12, bounds)
    paths, converged = run_lbfgsb(model, starts, bounds, config, scale=scale)
    assert len(paths.x) == config.max_steps + 1
    for i, start in enumerate(starts):
        alone, result = run_alone(model, start, bounds, config, scale)
        steps = int(paths.num_steps[i])
        assert steps == result.nit
        assert bool(converged[i]) == (result.status == 0)
        # The same arithmetic but for sums that round differently in a batch.
        torch.testing.assert_close(paths.x[: steps + 1, i], alone, rtol=0, atol=1e-6)
        assert float(paths.end_value[i]) == pytest.approx(result.fun * scale, abs=1e-8)


def test_the_model_is_called_once_an_evaluation_and_on_running_starts_alone():
    sizes = []

    class Counted(Waves):
        def value_and_gradient(self, x):
            sizes.append(x.shape)
            return super().value_and_gradient(x)

    starts = sobol(20).reshape(2, 10, 3)
    starts[1, :] = lbfgsb(Waves(), starts[1], BOX).end[:1]  # the second group is at a minimum already
    paths = lbfgsb(Counted(), starts, BOX)
    assert paths.num_steps[1].max() <= 1
    assert sizes[0] == (2, 10, 3)
    counts = [shape[1] for shape in sizes]
    assert counts == sorted(counts, reverse=True)
    assert counts[-1] < 10
    assert len(sizes) < 2 * int(paths.num_steps.max()) + 10


def test_a_gradient_that_misleads_stops_without_convergence():
    class Uphill(Waves):
        def function(self, x):
            return x.sum(-1)

        def value_and_gradient(self, x):
            value, gradient = super().value_and_gradient(x)
            return value, -gradient

    starts = sobol(6)
    paths, converged = run_lbfgsb(Uphill(), starts, BOX)
    assert not converged.any()
    assert not paths.failed.any()  # every value was finite
    assert (paths.num_steps == 0).all()
    assert torch.equal(paths.end, starts)


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({"max_steps": 0}, "max_steps"),
        ({"history": 0}, "history"),
        ({"tolerance": -1.0}, "tolerance"),
        ({"value_tolerance": float("inf")}, "value_tolerance"),
    ],
)
def test_bad_settings_are_named(settings, name):
    with pytest.raises(InputError, match=name):
        LBFGSBConfig(**settings)
