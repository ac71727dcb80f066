"""The diagnostics take any model: a BoTorch Gaussian process, a torch module and a plain function."""

import torch
from botorch.fit import fit_gpytorch_mll
from botorch.models import SingleTaskGP
from botorch.models.transforms import Normalize, Standardize
from gpytorch.mlls import ExactMarginalLogLikelihood
from surrogate_problems.functions import get_function

import surrogate_opt as so


def main() -> None:
    truth = get_function("hartmann6")
    x, y = truth.sample(100, seed=0)

    gp = SingleTaskGP(
        x, y[:, None], input_transform=Normalize(6, bounds=truth.bounds), outcome_transform=Standardize(1)
    )
    fit_gpytorch_mll(ExactMarginalLogLikelihood(gp.likelihood, gp))

    torch.manual_seed(0)
    network = torch.nn.Sequential(torch.nn.Linear(6, 32), torch.nn.SiLU(), torch.nn.Linear(32, 1)).double()
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-2)
    for _ in range(300):
        optimizer.zero_grad()
        (network(x)[:, 0] - y).square().mean().backward()
        optimizer.step()

    coefficients = torch.linalg.lstsq(torch.cat([x, torch.ones(100, 1)], 1), y[:, None]).solution[:, 0]

    def plane(points):
        return points @ coefficients[:-1] + coefficients[-1]

    for name, model in (("Gaussian process", gp), ("torch module", network), ("plane", plane)):
        field = so.gradient_field(model, truth)
        signal = so.ghost_signal(model, truth, method="lbfgsb", starts=32)
        print(
            f"{name:17s} gradient error {field.gradient_error:5.2f}   goes the wrong way at "
            f"{field.wrong_way_rate:4.0%} of the box   optimism {signal.optimism:5.2f}   "
            f"regret {signal.regret_selected:5.2f}"
        )


if __name__ == "__main__":
    main()
