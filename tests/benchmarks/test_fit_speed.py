"""Time of the default fit, grid x folds, against the fit of BoTorch's SingleTaskGP on the same data."""

import numpy as np
import pytest
import torch
from botorch.fit import fit_gpytorch_mll
from botorch.models import SingleTaskGP
from botorch.models.transforms import Normalize, Standardize
from gpytorch.mlls import ExactMarginalLogLikelihood

from surrogate_opt.fitting import fit

DIM = 10


def make_data(num_rows):
    """Five sines of random directions on [-1, 1]^10, with noise of a tenth of their spread."""
    generator = np.random.default_rng(0)
    x = generator.uniform(-1.0, 1.0, (num_rows, DIM))
    y = np.sin(x @ (0.5 * generator.normal(size=(DIM, 5)))).sum(1)
    return x, y + 0.1 * y.std() * generator.normal(size=num_rows)


def fit_gp(x, y):
    model = SingleTaskGP(
        torch.from_numpy(x),
        torch.from_numpy(y)[:, None],
        input_transform=Normalize(DIM),
        outcome_transform=Standardize(1),
    )
    fit_gpytorch_mll(ExactMarginalLogLikelihood(model.likelihood, model))
    return model


@pytest.mark.parametrize(("num_rows", "rounds", "times_faster"), [(1000, 3, 1.0), (2000, 1, 5.0)])
def test_fit_against_a_gaussian_process(compare, report, num_rows, rounds, times_faster):
    x, y = make_data(num_rows)
    fit(x[:100], y[:100], epochs=1)
    fit_gp(x[:100], y[:100])
    timings = compare({"fit": lambda: fit(x, y), "gp": lambda: fit_gp(x, y)}, rounds, warm_up=False)
    ratio = timings.ratio("gp", "fit")
    report(fit_s=timings.best("fit"), gp_s=timings.best("gp"), times_faster=ratio, wanted=times_faster)
    assert ratio >= times_faster
