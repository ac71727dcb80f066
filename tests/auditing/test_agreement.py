"""Agreement of members against closed forms and a plain loop."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import Tensor

from surrogate_opt.auditing.agreement import agreement_of, member_agreement
from surrogate_opt.types import GradientSource


def _random(members: int, n: int, d: int) -> Tensor:
    return torch.randn(members, n, d, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


@pytest.mark.parametrize(
    ("signs", "cosine", "opposed", "sign"),
    [
        ([1.0, 1.0, 1.0], 1.0, 0.0, 1.0),
        ([1.0, -1.0], -1.0, 1.0, 0.0),
        ([0.0, 0.0, 0.0], 0.0, 1.0, 0.0),
        # One of three against two: the two see their mean with it as 0, the one sees the others opposed.
        ([1.0, 1.0, -1.0], -1 / 3, 1.0, 1 / 3),
        # One of four: the three see the sum 1 of the others, the one sees -3.
        ([1.0, 1.0, 1.0, -1.0], 0.5, 0.25, 0.5),
    ],
)
def test_members_along_one_line(signs: list[float], cosine: float, opposed: float, sign: float) -> None:
    gradients = _random(1, 7, 3) * torch.tensor(signs, dtype=torch.float64)[:, None, None]
    result = agreement_of(gradients)
    assert result.cosine == pytest.approx(cosine, abs=1e-12)
    assert result.opposed == pytest.approx(opposed)
    assert result.sign_agreement == pytest.approx((sign,) * 3)
    assert result.norm_spread == pytest.approx(0.0, abs=1e-12)
    assert result.num_points == 7


def test_random_members_agree_with_a_plain_loop() -> None:
    gradients = _random(4, 6, 3) + 0.5
    result = agreement_of(gradients)
    cosines, spreads = [], []
    for point in range(6):
        here = gradients[:, point]
        for member in range(4):
            others = torch.stack([here[k] for k in range(4) if k != member]).mean(0)
            cosines.append(float(torch.nn.functional.cosine_similarity(here[member], others, dim=0)))
        norms = here.norm(dim=1)
        spreads.append(float(norms.std() / norms.mean()))
    assert result.cosine == pytest.approx(sum(cosines) / len(cosines))
    assert result.opposed == pytest.approx(sum(c <= 0 for c in cosines) / len(cosines))
    assert result.norm_spread == pytest.approx(sum(spreads) / 6)
    for column in range(3):
        same = [
            bool(gradients[a, p, column] * gradients[b, p, column] > 0)
            for a, b in itertools.combinations(range(4), 2)
            for p in range(6)
        ]
        assert result.sign_agreement[column] == pytest.approx(sum(same) / len(same))
    assert sum(result.influence) == pytest.approx(1.0)


class Members:
    """Members with constant slopes."""

    gradient_source: GradientSource = "analytic"

    def __init__(self, slopes: Tensor) -> None:
        self.slopes = slopes

    def members_value_and_gradient(self, x: Tensor) -> tuple[Tensor, Tensor]:
        gradients = self.slopes[:, None, :].expand(-1, len(x), -1)
        return (gradients * x).sum(-1), gradients

    def value(self, x: Tensor) -> Tensor:
        return self.members_value_and_gradient(x)[0].mean(0)

    def value_and_gradient(self, x: Tensor) -> tuple[Tensor, Tensor]:
        values, gradients = self.members_value_and_gradient(x)
        return values.mean(0), gradients.mean(0)


def test_gradients_are_compared_in_box_widths() -> None:
    # The second input's box is 1000 wide: there the members disagree, and there it counts.
    bounds = torch.tensor([[0.0, 0.0], [1.0, 1000.0]], dtype=torch.float64)
    slopes = torch.tensor([[1.0, 1.0], [1.0, -1.0]], dtype=torch.float64)
    result = member_agreement(Members(slopes), torch.zeros(3, 2, dtype=torch.float64), bounds)
    assert result is not None
    assert result.cosine == pytest.approx((1 - 1e6) / (1 + 1e6))
    assert result.influence == pytest.approx((1 / 1001, 1000 / 1001))
    assert result.sign_agreement == (1.0, 0.0)


def test_one_member_has_nobody_to_agree_with() -> None:
    model = Members(torch.ones(1, 2, dtype=torch.float64))
    bounds = torch.tensor([[0.0, 0.0], [1.0, 1.0]], dtype=torch.float64)
    assert member_agreement(model, torch.zeros(3, 2, dtype=torch.float64), bounds) is None
