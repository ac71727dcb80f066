"""The verdict on models that are known to be good, useless or wrong."""

from __future__ import annotations

import json
import math
import warnings
from typing import Any

import numpy as np
import pytest
import torch
from botorch.fit import fit_gpytorch_mll
from botorch.models import SingleTaskGP
from botorch.models.transforms import Normalize, Standardize
from gpytorch.mlls import ExactMarginalLogLikelihood  # type: ignore[import-untyped]  # has no types
from scipy.stats import spearmanr
from surrogate_problems.families import FAMILIES, Oscillatory, Smooth
from torch import Tensor, nn

from surrogate_opt.auditing import AuditReport, Verdict, audit, decide
from surrogate_opt.auditing.findings import Finding, Grade
from surrogate_opt.diagnostics import gradient_field
from surrogate_opt.errors import InputError
from surrogate_opt.fitting import fit
from surrogate_opt.surrogate import Surrogate

TRUTH = Smooth(dim=4, seed=0, difficulty=1.0)
HOLD_OUT = TRUTH.sample(300, noise_std=0.02, seed=1)


def _grade(report: AuditReport, topic: str) -> Grade:
    return next(finding.grade for finding in report.findings if finding.topic == topic)


def _sentence(report: AuditReport, topic: str) -> str:
    return next(finding.sentence for finding in report.findings if finding.topic == topic)


def _fit(x: Tensor, y: Tensor, strength: float = 0.0, epochs: int = 300, **options: Any) -> Surrogate:
    return fit(x, y, strength=strength, epochs=epochs, hidden=(24, 24), **options)


@pytest.fixture(scope="module")
def good() -> Surrogate:
    return _fit(*TRUTH.sample(300, noise_std=0.02, seed=0), bounds=TRUTH.bounds)


def test_a_good_surrogate_of_a_smooth_truth_is_trusted(good: Surrogate) -> None:
    report = audit(good)
    assert report.verdict is Verdict.TRUST
    assert report.source == "out of fold"
    assert report.skill.r2 == pytest.approx(good.record.r2)
    assert gradient_field(good, TRUTH).wrong_way_rate < 0.02


def test_a_good_surrogate_is_trusted_on_hold_out_rows_too(good: Surrogate) -> None:
    report = audit(good, *HOLD_OUT)
    assert report.verdict is Verdict.TRUST
    assert (report.source, report.num_rows) == ("hold-out", 300)
    assert report.coverage is not None
    assert report.coverage.upper > 0.9  # CV+ covers more rather than less
    assert report.notes == ()


def test_training_rows_given_as_hold_out_are_noticed(good: Surrogate) -> None:
    record = good.record
    assert any("training rows" in note for note in audit(good, record.x, record.target).notes)


def test_pure_noise_is_not_trusted() -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(200, 3, generator=generator, dtype=torch.float64)
    report = audit(_fit(x, torch.randn(200, generator=generator, dtype=torch.float64)))
    assert report.verdict is Verdict.DO_NOT
    assert report.skill.kind == "collapsed"


def test_a_collapsed_surrogate_is_not_trusted() -> None:
    report = audit(_fit(*TRUTH.sample(200, seed=0), strength=1e3))
    assert report.verdict is Verdict.DO_NOT
    assert report.skill.kind == "collapsed"


def test_a_linear_truth_needs_no_more_than_a_plane() -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(200, 3, generator=generator, dtype=torch.float64)
    report = audit(_fit(x, x @ torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64), epochs=150))
    assert report.verdict is Verdict.TRUST
    assert "a plane is enough" in _sentence(report, "skill")


def test_a_noisy_plane_is_better_served_by_a_plane() -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(200, 3, generator=generator, dtype=torch.float64)
    y = x.sum(1) + 0.3 * torch.randn(200, generator=generator, dtype=torch.float64)
    report = audit(_fit(x, y))
    assert report.verdict is Verdict.DO_NOT
    assert "use the plane" in _sentence(report, "skill")


def test_waves_that_were_not_learned_are_not_trusted() -> None:
    truth = Oscillatory(dim=10, seed=0, difficulty=5.0)
    surrogate = _fit(*truth.sample(300, seed=0), bounds=truth.bounds, epochs=60)
    assert audit(surrogate).verdict is Verdict.DO_NOT
    assert gradient_field(surrogate, truth).wrong_way_rate > 0.3


def test_a_record_without_inputs_leaves_the_rest(good: Surrogate, tmp_path: Any) -> None:
    good.save(tmp_path / "m.safetensors", include_data=False)
    report = audit(Surrogate.load(tmp_path / "m.safetensors"))
    assert (report.directions, report.density, report.agreement_at_data) == (None, None, None)
    assert _grade(report, "direction") == _grade(report, "density") == "unknown"
    assert report.verdict is Verdict.TRUST  # skill and agreement in the box are still good


@pytest.fixture(scope="module")
def process() -> SingleTaskGP:
    x, y = TRUTH.sample(60, noise_std=0.02, seed=0)
    model = SingleTaskGP(
        x, y[:, None], input_transform=Normalize(4, bounds=TRUTH.bounds), outcome_transform=Standardize(1)
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fit_gpytorch_mll(ExactMarginalLogLikelihood(model.likelihood, model))
    return model


def test_a_botorch_process_is_audited(process: SingleTaskGP) -> None:
    report = audit(process, *HOLD_OUT, bounds=TRUTH.bounds)
    assert report.verdict is Verdict.TRUST
    assert report.agreement_in_box is None
    assert _grade(report, "agreement") == "unknown"
    assert any("never saw" in note for note in report.notes)


def test_a_torch_module_is_audited() -> None:
    torch_module = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 1))
    with torch.no_grad():
        for parameter in torch_module.parameters():
            parameter.fill_(0.3)
    report = audit(torch_module, *HOLD_OUT, bounds=TRUTH.bounds)
    assert report.verdict is Verdict.DO_NOT


def test_a_callable_of_arrays_is_audited() -> None:
    def exact(x: np.ndarray) -> np.ndarray:
        return TRUTH.evaluate_true(torch.from_numpy(x)).numpy()

    right = audit(exact, HOLD_OUT[0].numpy(), HOLD_OUT[1].numpy())
    assert right.verdict is Verdict.TRUST
    wrong = audit(lambda x: -exact(x), HOLD_OUT[0].numpy(), HOLD_OUT[1].numpy())
    assert wrong.verdict is Verdict.DO_NOT
    assert wrong.skill.r2 < 0


def test_the_report_repeats_reads_and_is_plain(good: Surrogate) -> None:
    report = audit(good, *HOLD_OUT)
    assert audit(good, *HOLD_OUT) == report
    text = report.summary()
    assert max(map(len, text.splitlines())) <= 98
    assert text.startswith("Gradients: TRUST ")
    parsed = json.loads(json.dumps(report.to_dict(), allow_nan=False))
    assert parsed["verdict"] == "trust"
    assert parsed["tails"]["derivative_proxy"] == report.tails.derivative_proxy


def test_a_figure_that_is_no_number_becomes_none(good: Surrogate) -> None:
    few = audit(good, *(part[:12] for part in HOLD_OUT))
    assert few.directions is not None
    if math.isnan(few.directions.share):
        assert few.to_dict()["directions"]["share"] is None
    assert _grade(few, "direction") == "unknown"


@pytest.mark.parametrize(
    ("grades", "verdict"),
    [
        (["good", "good", "good"], Verdict.TRUST),
        (["good", "good", "unknown"], Verdict.TRUST),
        (["good", "unknown", "good"], Verdict.TRUST),
        (["good", "unknown", "unknown"], Verdict.CARE),
        (["caution", "good", "good"], Verdict.CARE),
        (["good", "caution", "good"], Verdict.CARE),
        (["bad", "good", "good"], Verdict.DO_NOT),
        (["good", "good", "bad"], Verdict.DO_NOT),
        (["caution", "bad", "unknown"], Verdict.DO_NOT),
    ],
)
def test_one_bad_finding_is_enough_and_trust_takes_good_ones(grades: list[Grade], verdict: Verdict) -> None:
    topics = ("skill", "agreement", "direction")
    findings = [
        Finding(topic=topic, grade=grade, sentence="")
        for topic, grade in zip(topics, grades, strict=True)
    ]  # fmt: skip
    assert decide(findings) is verdict


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({"x": HOLD_OUT[0]}, "y: expected x and y together"),
        ({"y": HOLD_OUT[1]}, "x: expected x and y together"),
        ({"x": HOLD_OUT[0][:9], "y": HOLD_OUT[1][:9]}, "at least 10 rows"),
        ({"x": HOLD_OUT[0][:, :3], "y": HOLD_OUT[1]}, "bounds"),
        ({"bounds": [[0.0], [1.0]]}, "bounds"),
        ({"feature_names": ["a"]}, "feature_names: expected 4"),
    ],
)
def test_arguments_that_cannot_be_used(good: Surrogate, arguments: dict[str, Any], expected: str) -> None:
    with pytest.raises(InputError, match=expected):
        audit(good, **arguments)


def test_a_model_without_record_needs_rows(process: SingleTaskGP) -> None:
    with pytest.raises(InputError, match="hold-out rows"):
        audit(process, bounds=TRUTH.bounds)


def test_values_that_are_not_finite_are_refused() -> None:
    with pytest.raises(InputError, match="finite values at the rows"):
        audit(lambda x: x.sum(-1) / 0.0 * 0.0, *HOLD_OUT)


@pytest.mark.slow
def test_the_verdict_goes_with_the_true_share_of_wrong_directions() -> None:
    """On instances other than those that the thresholds were set on."""
    rank = {Verdict.TRUST: 0, Verdict.CARE: 1, Verdict.DO_NOT: 2}
    ranks, wrong = [], []
    for family in FAMILIES.values():
        for dim, n, noise in ((10, 100, 0.1), (10, 1000, 0.1), (4, 300, 0.02), (6, 300, 0.5)):
            truth = family(dim=dim, seed=101)
            surrogate = fit(
                *truth.sample(n, noise_std=noise, seed=101), bounds=truth.bounds, strength=1e-3,
                hidden=(32, 32), epochs=60 if n > 500 else 150,
            )  # fmt: skip
            ranks.append(rank[audit(surrogate).verdict])
            wrong.append(gradient_field(surrogate, truth).wrong_way_rate)
    trusted = [rate for rate, verdict in zip(wrong, ranks, strict=True) if verdict == 0]
    assert len(trusted) >= 4
    assert max(trusted) < 0.05
    assert spearmanr(ranks, wrong).statistic > 0.6
