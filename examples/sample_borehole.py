"""Write simulated borehole runs to a CSV, and print the true optimum to hold a surrogate's promise against.

python examples/sample_borehole.py -n 400 --noise 0.02 -o borehole.csv --holdout holdout.csv
"""

from __future__ import annotations

import argparse
from pathlib import Path

import pandas as pd
from surrogate_problems.functions import Borehole
from surrogate_problems.problem import ProblemError

_NUM_DIGITS = 6


def write_runs(truth: Borehole, path: Path, num_rows: int, noise_std: float, seed: int) -> None:
    """Sample the truth and write inputs and output by name; the file appears whole or not at all."""
    x, y = truth.sample(num_rows, noise_std=noise_std, seed=seed)
    table = pd.DataFrame(x.numpy(), columns=list(truth.input_names))
    table[truth.output_name] = y.numpy()
    temporary = path.with_name(f"{path.name}.part")
    table.to_csv(temporary, index=False, float_format=f"%.{_NUM_DIGITS}g")
    temporary.replace(path)
    print(f"{path}: {num_rows} runs, noise {noise_std:g} output standard deviations, seed {seed}")


def print_optimum(truth: Borehole) -> None:
    """Print the range and the true minimum with its inputs."""
    print(f"one output standard deviation: {truth.output_std:.1f} ({truth.output_name})")
    print(f"true minimum: {truth.optimal_value:.4f} ({truth.optimum_source}), at")
    for name, value in zip(truth.input_names, truth.optimizers[0].tolist(), strict=True):
        print(f"  {name} = {value:g}")


def main(arguments: list[str] | None = None) -> None:
    """Parse the command line and write the files."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("-n", "--rows", type=int, default=400, help="runs to write (400)")
    parser.add_argument("--noise", type=float, default=0.02, help="in output standard deviations (0.02)")
    parser.add_argument("--seed", type=int, default=0, help="of the runs (0)")
    parser.add_argument("-o", "--output", type=Path, default=Path("borehole.csv"), help="(borehole.csv)")
    parser.add_argument("--holdout", type=Path, help="also write half as many other runs, of the next seed")
    options = parser.parse_args(arguments)
    truth = Borehole()
    try:
        write_runs(truth, options.output, options.rows, options.noise, options.seed)
        if options.holdout is not None:
            num_rows = max(1, options.rows // 2)
            write_runs(truth, options.holdout, num_rows, options.noise, options.seed + 1)
    except (ProblemError, OSError) as error:
        parser.error(str(error))
    print_optimum(truth)


if __name__ == "__main__":
    main()
