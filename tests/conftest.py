"""Fixtures that several rooms' tests share."""

import math
import os
import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import other_device  # noqa: F401  # registers it before autograd counts the devices
import pandas as pd
import pytest
import torch

from surrogate_opt.data import Scaling
from surrogate_opt.networks import StackedMLP
from surrogate_opt.penalties import Strength
from surrogate_opt.surrogate import Surrogate, TrainingRecord


@dataclass(frozen=True)
class SurrogateFactory:
    """Makes surrogates with random weights and a random record, without training."""

    def __call__(self, d=3, repeats=2, n=40, hidden=(6, 5), activation="silu", seed=0) -> Surrogate:
        generator = torch.Generator().manual_seed(seed)
        lower = torch.randn(d, generator=generator).double() * 10.0
        upper = lower + 10.0 ** torch.linspace(-2.0, 2.0, d).double()
        y = 50.0 + 7.0 * torch.randn(n, generator=generator).double()
        num_members = 5 * repeats
        stack = StackedMLP((d, *hidden, 1), num_members, activation, dtype=torch.float64)
        stack.initialize([seed + member for member in range(num_members)])
        holders = torch.randint(0, 5, (repeats, n), generator=generator) + 5 * torch.arange(repeats)[:, None]
        scaling = Scaling.from_data(torch.stack([lower, upper]), y)
        record = TrainingRecord(
            target=y,
            out_of_fold=y + torch.randn(n, generator=generator).double(),
            linear_out_of_fold=y + 3.0 * torch.randn(n, generator=generator).double(),
            holders=holders,
            rows=torch.arange(n),
            x=lower + (upper - lower) * torch.rand(n, d, generator=generator).double(),
        )
        selection = pd.DataFrame(
            {
                "level": [0.0, 1.0 / 3.0, 2.0],
                "out_of_fold_mse": [math.pi / 10.0, math.nan, 0.1 + 0.2],
                "failed": [False, True, False],
                "chosen": [False, False, True],
            }
        )
        return Surrogate(
            stack,
            scaling,
            record,
            penalty="dreg",
            strength=Strength(dreg=1.0 / 3.0),
            level=1.0 / 3.0,
            selection=selection,
            feature_names=tuple(f"x{column}" for column in range(d)),
            target_name="y",
        )


@pytest.fixture(scope="session")
def make_surrogate() -> SurrogateFactory:
    return SurrogateFactory()


@pytest.fixture(scope="session")
def real_data() -> Callable[[str], Path]:
    """The folder of real data, for a test that names what it needs of it; such a test skips without."""
    beside_the_project = Path(__file__).parents[2] / "shared" / "data"
    folder = Path(os.environ.get("SURROGATE_OPT_DATA") or beside_the_project)

    def holding(needed: str) -> Path:
        if not (folder / needed).exists():
            pytest.skip(f"no real data: set SURROGATE_OPT_DATA to a folder that holds {needed}")
        return folder

    return holding


@pytest.fixture(scope="session")
def killed() -> Callable[..., None]:
    """Runs a function in a forked process that must kill itself somewhere on the way.

    A fork has none of its parent's OpenMP threads and would wait forever for them: it uses one.
    """

    def run(function: Callable[..., object], *arguments: object) -> None:
        child = os.fork()
        if child == 0:
            torch.set_num_threads(1)
            try:
                function(*arguments)
            finally:
                os._exit(1)
        assert os.waitpid(child, 0)[1] == signal.SIGKILL

    return run
