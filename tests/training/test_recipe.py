"""The recipe: its learning rate against torch's OneCycleLR, and the values it refuses."""

import math

import pytest
import torch

from surrogate_opt.errors import InputError
from surrogate_opt.training.trainer import TrainingConfig, one_cycle


@pytest.mark.parametrize("num_steps", [7, 10, 60, 1001])
@pytest.mark.parametrize("peak", [5e-3, 1.0])
def test_one_cycle_agrees_with_torchs(num_steps, peak):
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=peak, total_steps=num_steps, cycle_momentum=False
    )
    for step in range(num_steps):
        expected = optimizer.param_groups[0]["lr"]
        assert one_cycle(step, num_steps, peak) == pytest.approx(expected, rel=1e-9, abs=1e-15 * peak)
        optimizer.step()
        if step < num_steps - 1:
            schedule.step()


@pytest.mark.parametrize("num_steps", [1, 2, 3, 4])
def test_one_cycle_of_a_few_steps_stays_in_range(num_steps):
    rates = [one_cycle(step, num_steps, 1.0) for step in range(num_steps)]
    assert all(0.0 < rate <= 1.0 for rate in rates)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("epochs", 0),
        ("epochs", -3),
        ("batch_size", 0),
        ("num_checks", 0),
        ("learning_rate", 0.0),
        ("learning_rate", math.nan),
        ("weight_decay", -1.0),
        ("hidden", (8, 0)),
        ("activation", "sine"),
    ],
)
def test_a_recipe_that_cannot_work_is_named(field, value):
    with pytest.raises(InputError, match=f"^{field}: expected"):
        TrainingConfig(**{field: value})
