"""Ask, evaluate, tell: the lightest heat sink that stays cool, with whole fins and meshes that fail.

Your own simulation or laboratory can stand for ``simulate``. Half way the loop goes through a file.
"""

import argparse
import math
import tempfile
from pathlib import Path

import numpy as np

import surrogate_opt as so

NAMES = ["fins", "height_mm", "thickness_mm"]
BOUNDS = [[5, 10.0, 0.5], [35, 50.0, 2.0]]
HOTTEST = 60.0


def simulate(x: np.ndarray) -> tuple[float, float]:
    """Mass (g) and temperature (C) of a sink 50 mm wide and deep that gives off 60 W; NaN without a mesh."""
    fins, height, thickness = x[0], x[1] / 1e3, x[2] / 1e3
    gap = (0.05 - fins * thickness) / (fins - 1)
    if gap < 1e-3:
        return math.nan, math.nan
    convection = 60.0 * gap / (gap + 1.5e-3)
    slenderness = height * math.sqrt(2.0 * convection / (200.0 * thickness))
    fin_area = 2.0 * fins * height * math.tanh(slenderness) / slenderness
    area = 0.05 * (gap * (fins - 1) + fin_area)
    return 2.7e6 * 0.05 * fins * height * thickness, 25.0 + 60.0 / (convection * area)


def lightest_of_a_grid() -> float:
    """What an expensive simulation would never tell us: the best of 87,000 designs."""
    runs = (
        simulate(np.array([fins, height, thickness]))
        for fins in range(5, 36)
        for height in np.linspace(10.0, 50.0, 401)
        for thickness in np.linspace(0.5, 2.0, 7)
    )
    return min(mass for mass, temperature in runs if temperature <= HOTTEST)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--evaluations", type=int, default=20)
    parser.add_argument("--model", default="deep_kernel", help="ensemble, last_layer, deep_kernel or gp")
    arguments = parser.parse_args()

    loop = so.BayesianLoop(
        BOUNDS, model=arguments.model, integers=[0], num_constraints=1, feature_names=NAMES
    )
    for evaluation in range(arguments.evaluations):
        if evaluation == arguments.evaluations // 2:
            with tempfile.TemporaryDirectory() as folder:
                loop.save(Path(folder) / "heat_sink.db")
                loop = so.BayesianLoop.load(Path(folder) / "heat_sink.db")
        (x,) = loop.ask()
        mass, temperature = simulate(x)
        loop.tell(x, mass, temperature - HOTTEST)

    history = loop.history.round(2)
    print(
        history[["evaluation", "kind", *NAMES, "y", "constraint_0", "status", "best"]].to_string(index=False)
    )
    best = loop.best
    found = "none that stays cool"
    if best is not None:
        design = ", ".join(f"{name} {value:.4g}" for name, value in zip(NAMES, best.x, strict=True))
        found = f"lightest {best.y:.1f} g ({design})"
    print(
        f"{found}, {(history['status'] == 'failed').sum()} meshes failed; "
        f"best of a fine grid {lightest_of_a_grid():.1f} g"
    )


if __name__ == "__main__":
    main()
