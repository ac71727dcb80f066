"""The synthetic families: figures against autograd, judgements on tables made here, Figure 1."""

from pathlib import Path

import pandas as pd
import pytest
import torch

from surrogate_opt.networks import StackedMLP
from surrogate_opt.study.evidence.synthetic.cells import SyntheticSpec, _figures, run_synthetic_cell
from surrogate_opt.study.evidence.synthetic.claims import CLAIMS, find_synthetic
from surrogate_opt.study.evidence.synthetic.experiment import SYNTHETIC

TINY = SyntheticSpec(
    families=("smooth", "oscillatory"),
    instances=1,
    seeds=2,
    num_train=60,
    num_valid=20,
    num_test=30,
    hidden=(6,),
    epochs=3,
)
FAMILIES = ("smooth", "piecewise", "sparse", "oscillatory", "entangled")


def test_figures_are_those_of_autograd():
    stack = StackedMLP((3, 5, 1), 2, "silu", dtype=torch.float64).initialize([0, 1])
    x = torch.rand(40, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64).requires_grad_()
    y = x.detach().sum(1)
    found = _figures(stack, x.detach(), y)
    for member in range(2):
        values = stack.select([member]).run(x[None]).output[0, :, 0]
        (gradients,) = torch.autograd.grad(values.sum(), x)
        values = values.detach()
        norms = gradients.norm(dim=1)
        assert float(found["mean"][member]) == pytest.approx(float(norms.mean()))
        assert float(found["max"][member]) == pytest.approx(float(norms.max()))
        assert float(found["test_mse"][member]) == pytest.approx(float((values - y).square().mean()))
    assert (found["linearity_error"] < 1e-3).all()


def test_a_cell_has_every_strength_and_seed():
    cells = TINY.cells(Path())
    assert len({cell.key for cell in cells}) == 4
    table = pd.DataFrame(run_synthetic_cell(cells[0]).rows)
    assert table.groupby("strength").size().to_dict() == dict.fromkeys(TINY.strengths, 2)
    weak, strong = (table[table["strength"] == s].set_index("seed") for s in (0.0, 1e-2))
    assert (strong["proxy"] < weak["proxy"]).all()
    pd.testing.assert_frame_equal(table, pd.DataFrame(run_synthetic_cell(cells[0]).rows))


def made_table(p90=0.4, error=0.96, scale=1.0, poly_error=None):
    rows = []
    for family in FAMILIES:
        for instance in range(10):
            for seed in range(3):
                noise = 1.0 + 0.01 * instance
                for activation, strength, lower, mse in (
                    ("relu", 0.0, 1.0, 1.0),
                    ("relu", 1e-2, p90, error),
                    ("poly", 0.0, 1.0, 1.0),
                    ("poly", 1e-2, p90, poly_error or error),
                ):
                    calmed = 0.3 if family in ("smooth", "sparse") else 0.6
                    spread = 0.01 * seed * (1.0 if strength == 0.0 else calmed)
                    rows.append(
                        {"problem": family, "activation": activation, "instance": instance, "seed": seed}
                        | {"strength": strength, "failed": False, "linear_r2": 0.5}
                        | {"mean": scale * lower * noise, "p90": scale * lower * noise * (1.0 + spread)}
                        | {"max": scale * lower * noise, "p99": scale * lower}
                        | {"proxy": lower, "linearity_error": 0.0, "valid_mse": 0.3 * mse}
                        | {"test_mse": 0.3 * (mse + spread) * noise, "r2": 0.7}
                    )
    return pd.DataFrame(rows)


def verdicts(table):
    return {finding.claim.removeprefix("families-"): finding.verdict for finding in find_synthetic(table)}


def test_what_holds_is_reproduced_and_its_size_counts():
    found = verdicts(made_table(p90=0.1))
    assert set(found) == {claim.name.removeprefix("families-") for claim in CLAIMS}
    assert found.pop("fitted") == "not reproduced"
    assert set(found.values()) == {"reproduced"}
    small = verdicts(made_table(p90=0.8))
    for name in ("mean", "max", "proxy", "sparse-p90"):
        assert small[name] == "reproduced in direction"


def test_what_does_not_hold_is_not_reproduced():
    found = verdicts(made_table(p90=1.2, error=1.3))
    for name in ("mean", "max", "proxy", "plateau", "sparse-error", "smooth-error", "smooth-p90"):
        assert found[name] == "not reproduced"
    assert verdicts(made_table(scale=1e-6))["fitted"] == "reproduced"


def test_consistency_asks_for_more_in_the_named_families():
    table = made_table()
    other = table.assign(
        problem=table["problem"].map(
            dict(zip(FAMILIES, ("piecewise", "smooth", "oscillatory", "sparse", "entangled"), strict=True))
        )
    )
    assert verdicts(table)["consistency"] == "reproduced"
    assert verdicts(other)["consistency"] == "not reproduced"
    assert verdicts(table[table["problem"] == "piecewise"])["consistency"] == "not run"


def test_one_activation_does_not_speak_for_the_other():
    found = verdicts(made_table(error=0.5, poly_error=1.4))
    assert found["smooth-error"] == "not reproduced"
    assert found["sparse-error"] == "not reproduced"
    assert verdicts(made_table(error=0.5))["smooth-error"] == "reproduced"  # better is no harm


def test_the_table_and_the_picture(tmp_path):
    table = made_table()
    shown = SYNTHETIC.summarize(table)
    assert list(shown["collapsed"].unique()) == ["0%"]
    assert len(shown) == 20
    assert SYNTHETIC.draw is not None
    (picture,) = SYNTHETIC.draw(table, tmp_path / "pictures")
    assert picture.stat().st_size > 10_000
