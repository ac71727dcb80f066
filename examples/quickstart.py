"""From a table to an optimum: fit, audit, minimize, and compare the promise with the truth.

The table is 400 noisy samples of the borehole function, so the truth is at hand for once.
"""

import argparse

from surrogate_problems.functions import Borehole

import surrogate_opt as so


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-n", type=int, default=400, help="rows")
    parser.add_argument("--epochs", type=int, default=None, help="passes over the data; default: chosen by n")
    arguments = parser.parse_args()

    truth = Borehole()
    x, y = truth.sample(arguments.n, noise_std=0.02, seed=0)

    surrogate = so.fit(
        x,
        y,
        bounds=truth.bounds,
        penalty="dreg",
        epochs=arguments.epochs,
        feature_names=truth.input_names,
        target_name=truth.output_name,
        progress=True,
    )
    print(surrogate)
    print(
        surrogate.selection[["level", "out_of_fold_mse", "r2", "tail_ratio", "chosen"]].to_string(index=False)
    )

    held_out = truth.sample(200, noise_std=0.02, seed=1)
    print(so.audit(surrogate, *held_out).summary())

    result = so.minimize(surrogate, truth.bounds, method="lbfgsb")
    best = result.candidates(1).x
    low, high = surrogate.interval(best, level=0.9)
    print(f"promised {result.fun:.2f} (90% interval {low[0]:.2f} to {high[0]:.2f}) m3 per year")
    print(f"truth there {truth.value(best)[0]:.2f}, best possible {truth.optimal_value:.2f}")


if __name__ == "__main__":
    main()
