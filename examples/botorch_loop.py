"""Your own BoTorch loop with our model where SingleTaskGP was; all the rest stays BoTorch's.

It maximizes Hartmann6, and looks near the best point so far: networks that have seen two dozen points in six
dimensions promise most where they know least, in the corners of the box.
"""

import argparse

import torch
from botorch.acquisition import LogExpectedImprovement
from botorch.optim import optimize_acqf
from botorch.test_functions import Hartmann
from botorch.utils.sampling import draw_sobol_samples, manual_seed

import surrogate_opt as so

NUM_INITIAL = 14
REACH = 0.1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=12, help="proposals after the first points")
    arguments = parser.parse_args()

    function = Hartmann(dim=6, negate=True).double()
    lower, upper = function.bounds
    sobol = draw_sobol_samples(function.bounds, n=NUM_INITIAL + arguments.steps, q=1, seed=0)[:, 0]
    x, y = sobol[:NUM_INITIAL], function(sobol[:NUM_INITIAL])
    print(f"best of {NUM_INITIAL} first points: {y.max():.2f}")

    for _ in range(arguments.steps):
        # These two lines stand for SingleTaskGP(x, y[:, None]) and fit_gpytorch_mll. Leave the strength out
        # and it is chosen by cross-validation at every step, which takes four times as long.
        surrogate = so.fit(x, y, bounds=function.bounds, strength=1e-3)
        model = so.to_botorch(surrogate)

        acquisition = LogExpectedImprovement(model, best_f=y.max())
        best = x[y.argmax()]
        near = torch.stack([(best - REACH).maximum(lower), (best + REACH).minimum(upper)])
        with manual_seed(len(x)):
            proposal, _ = optimize_acqf(acquisition, near, q=1, num_restarts=4, raw_samples=128)
        promised = model.posterior(proposal).mean.item()
        x, y = torch.cat([x, proposal]), torch.cat([y, function(proposal)])
        print(f"evaluation {len(x)}: promised {promised:5.2f}, got {y[-1]:5.2f}, best {y.max():5.2f}")

    print(
        f"found {y.max():.2f}; as many Sobol points {function(sobol).max():.2f}; "
        f"best possible {function.optimal_value:.2f}"
    )


if __name__ == "__main__":
    main()
