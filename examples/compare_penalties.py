"""Which penalty sends a loop to a ghost? Four methods on one instance of a family, and the truth."""

import argparse

import pandas as pd
from surrogate_problems.families import FAMILIES

import surrogate_opt as so


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--family", choices=FAMILIES, default="entangled")
    parser.add_argument("--instance", type=int, default=0)
    parser.add_argument("-n", type=int, default=300, help="training points")
    parser.add_argument("--epochs", type=int, default=None)
    arguments = parser.parse_args()

    truth = FAMILIES[arguments.family](dim=10, seed=arguments.instance)
    x, y = truth.sample(arguments.n, noise_std=0.1, seed=0)
    rows = []
    for penalty in ("none", "dreg", "igp", "sn"):
        surrogate = so.fit(x, y, bounds=truth.bounds, penalty=penalty, epochs=arguments.epochs)
        field = so.gradient_field(surrogate, truth)
        signal = so.ghost_signal(surrogate, truth, method="lbfgsb")
        rows.append(
            {
                "penalty": penalty,
                "strength": surrogate.level,
                "R2": surrogate.record.r2,
                "gradient error": field.gradient_error,
                "wrong way": field.wrong_way_rate,
                "optimism": signal.optimism,
                "regret": signal.regret_selected,
            }
        )
    print(pd.DataFrame(rows).to_string(index=False, float_format="{:.3g}".format))
    print(
        "optimism and regret in standard deviations of the truth; a loop on the truth itself has regret",
        end=" ",
    )
    print(f"{signal.truth_regret_selected:.3g}")


if __name__ == "__main__":
    main()
