"""Surrogates as BoTorch models: the same figures in the same raw units."""

from __future__ import annotations

import pytest
import torch

from surrogate_opt.adapters.botorch.calibration import held_out_scale
from surrogate_opt.adapters.botorch.conversion import to_botorch
from surrogate_opt.adapters.botorch.members import VARIANCE_FLOOR
from surrogate_opt.errors import InputError
from surrogate_opt.surrogate import Surrogate


def test_an_uncalibrated_model_says_what_the_surrogate_says(make_surrogate):
    surrogate = make_surrogate()
    x = surrogate.record.x[:6]
    mean, std = surrogate.predict(x)
    posterior = to_botorch(surrogate, calibration=1.0).posterior(x)
    floor = VARIANCE_FLOOR * surrogate.output_scale**2
    torch.testing.assert_close(posterior.mean[:, 0], mean)
    torch.testing.assert_close(posterior.variance[:, 0], std.square() + floor)


def test_several_surrogates_are_several_outputs(make_surrogate):
    each = [make_surrogate(seed=seed) for seed in (0, 0, 1)]
    each[1].scaling = each[2].scaling
    model = to_botorch(each, calibration=1.0)
    x = each[0].record.x[:4].unsqueeze(1)
    assert model.num_outputs == 3
    expected = torch.stack([surrogate.value(x) for surrogate in each], dim=-1)
    torch.testing.assert_close(model.posterior(x).mean, expected)


def test_each_output_has_its_own_calibration_from_held_out_residuals(make_surrogate):
    each = [make_surrogate(seed=seed) for seed in (0, 1)]
    x = each[0].record.x[:4]
    calibrated = to_botorch(each).posterior(x).variance
    raw = to_botorch(each, calibration=1.0).posterior(x).variance
    for position, surrogate in enumerate(each):
        unit = surrogate.scaling.unit(surrogate.record.x)
        scale = held_out_scale(surrogate.stack, unit, surrogate.record.residuals / surrogate.output_scale)
        floor = VARIANCE_FLOOR * surrogate.output_scale**2
        assert abs(scale - 1.0) > 0.1
        torch.testing.assert_close(calibrated[:, position] - floor, scale**2 * (raw[:, position] - floor))


def test_kept_rows_meet_their_own_residuals(make_surrogate):
    """Where a surrogate keeps some of its rows, calibration takes the residuals of these."""
    surrogate = make_surrogate()
    record = surrogate.record
    rows = torch.arange(5, 20)
    part = type(record)(
        target=record.target,
        out_of_fold=record.out_of_fold,
        linear_out_of_fold=record.linear_out_of_fold,
        holders=record.holders,
        rows=rows,
        x=record.x[rows],
    )
    surrogate.record = part
    unit = surrogate.scaling.unit(part.x)
    expected = held_out_scale(surrogate.stack, unit, record.residuals[rows] / surrogate.output_scale)
    assert float(to_botorch(surrogate).outputs[0].calibration) == expected


def test_without_data_a_number_is_wanted(make_surrogate, tmp_path):
    make_surrogate().save(tmp_path / "model", include_data=False)
    loaded = Surrogate.load(tmp_path / "model")
    with pytest.raises(InputError, match=r"calibration: expected a number .* without training data"):
        to_botorch(loaded)
    assert to_botorch(loaded, calibration=2.0).num_outputs == 1


@pytest.mark.parametrize("wrong", [None, 3, [1, 2], "model"])
def test_other_things_are_refused(wrong):
    with pytest.raises(InputError, match="surrogates: expected a Surrogate or a sequence of them"):
        to_botorch(wrong)


def test_surrogates_must_match(make_surrogate):
    with pytest.raises(InputError, match=r"outputs: expected the same num_inputs in each, got \[3, 2\]"):
        to_botorch([make_surrogate(), make_surrogate(d=2)])
