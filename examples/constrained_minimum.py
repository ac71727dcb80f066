"""A minimum under constraints: SLSQP on a surrogate, with SciPy's own constraint objects.

The lightest wing whose area stays at or above 180 square feet and whose taper and thickness trade off.
"""

import argparse

import numpy as np
from scipy.optimize import LinearConstraint, NonlinearConstraint
from surrogate_problems.functions import WingWeight

import surrogate_opt as so


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=None)
    arguments = parser.parse_args()

    truth = WingWeight()
    names = list(truth.input_names)
    x, y = truth.sample(300, noise_std=0.01, seed=0)
    surrogate = so.fit(x, y, bounds=truth.bounds, penalty="dreg", epochs=arguments.epochs)

    area = np.zeros(len(names))
    area[0] = 1.0
    taper = next(index for index, name in enumerate(names) if "taper" in name)
    thickness = next(index for index, name in enumerate(names) if "thickness" in name)
    constraints = [
        LinearConstraint(area, lb=180.0),
        NonlinearConstraint(lambda z: z[taper] * z[thickness], 0.08, np.inf),
    ]
    result = so.minimize(surrogate, method="slsqp", starts=16, constraints=constraints)
    for name, value in zip(names, result.x, strict=True):
        print(f"{name:35s} {value:10.4g}")
    truth_there = float(truth.value(surrogate.bounds.new_tensor(result.x)))
    print(f"predicted {result.fun:.1f}, truth {truth_there:.1f} lb")


if __name__ == "__main__":
    main()
