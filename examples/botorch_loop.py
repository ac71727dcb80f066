"""Your own BoTorch loop with our model where SingleTaskGP was; all the rest stays BoTorch's.

It maximizes Hartmann6 over its whole box, by expected improvement.
"""

import argparse

import torch
from botorch.acquisition import LogExpectedImprovement
from botorch.optim import optimize_acqf
from botorch.test_functions import Hartmann
from botorch.utils.sampling import draw_sobol_samples, manual_seed

import surrogate_opt as so

NUM_INITIAL = 14


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=12, help="proposals after the first points")
    arguments = parser.parse_args()

    function = Hartmann(dim=6, negate=True).double()
    sobol = draw_sobol_samples(function.bounds, n=NUM_INITIAL + arguments.steps, q=1, seed=0)[:, 0]
    x, y = sobol[:NUM_INITIAL], function(sobol[:NUM_INITIAL])
    print(f"best of {NUM_INITIAL} first points: {y.max():.2f}")

    for _ in range(arguments.steps):
        # This line stands for SingleTaskGP(x, y[:, None]) and fit_gpytorch_mll.
        model = so.fit_botorch(x, y, bounds=function.bounds, model="last_layer")

        acquisition = LogExpectedImprovement(model, best_f=y.max())
        with manual_seed(len(x)):
            proposal, _ = optimize_acqf(acquisition, function.bounds, q=1, num_restarts=4, raw_samples=256)
        promised = model.posterior(proposal).mean.item()
        x, y = torch.cat([x, proposal]), torch.cat([y, function(proposal)])
        print(f"evaluation {len(x)}: promised {promised:5.2f}, got {y[-1]:5.2f}, best {y.max():5.2f}")

    print(
        f"found {y.max():.2f}; as many Sobol points {function(sobol).max():.2f}; "
        f"best possible {function.optimal_value:.2f}"
    )


if __name__ == "__main__":
    main()
