"""The rules that choose a strength, on tables of errors made by hand."""

import math

import numpy as np
import pytest
import torch

from surrogate_opt.errors import InputError, TrainingError
from surrogate_opt.training.selection import check_rule, choose_strength, is_linearized, row_errors

# differences to 1.0 alternate in sign, so that each strength's standard error against a flat one is `spread`
N = 100


def table(*rows):
    """One row a strength, (mean error, spread of its difference to a flat row)."""
    alternating = torch.tensor([1.0, -1.0]).double().repeat(N // 2)
    return torch.stack([mean + spread * alternating for mean, spread in rows])


def none_skipped(errors):
    return torch.zeros(len(errors), dtype=torch.bool)


# a spread s gives a standard error of about s / 10 at n = 100
TABLES = {
    "strongest of the accepted run": ([(1.0, 0), (1.05, 1), (1.09, 1), (1.2, 1)], [], 2, 0),
    "the run ends at the first that is worse": ([(1.0, 0), (1.3, 1), (1.05, 1)], [], 0, 0),
    "the best in the middle": ([(1.3, 1), (1.0, 0), (1.05, 1), (2.0, 1)], [], 2, 1),
    "the best is the strongest": ([(1.3, 1), (1.2, 1), (1.0, 0)], [], 2, 2),
    "a skipped one is passed over": ([(1.0, 0), (1.0, 1), (1.05, 1), (9.0, 1)], [1], 2, 0),
    "a skipped one that is bad is passed over too": ([(1.0, 0), (5.0, 1), (1.05, 1)], [1], 2, 0),
    "a skipped one is not the best": ([(0.5, 0), (1.0, 0), (1.2, 1)], [0], 1, 1),
    "a skipped one is never chosen": ([(1.0, 0), (1.0, 1)], [1], 0, 0),
    "ties are all accepted": ([(1.0, 0), (1.0, 0), (1.0, 0)], [], 2, 0),
    "equal rows but one": ([(1.0, 0), (1.0, 0), (1.0001, 0)], [], 1, 0),
    "failed": ([(1.0, 0), (math.nan, 0), (1.05, 1), (math.inf, 0)], [], 2, 0),
    "all skipped, none failed": ([(1.2, 1), (1.0, 0), (1.05, 1)], [0, 1, 2], 2, 1),
    "all skipped, one failed": ([(math.nan, 0), (1.0, 0), (1.05, 1)], [0, 1, 2], 2, 1),
    "one strength": ([(1.0, 0)], [], 0, 0),
}


@pytest.mark.parametrize("name", TABLES)
def test_plateau_and_best(name):
    rows, skipped, plateau, best = TABLES[name]
    errors = table(*rows)
    mask = none_skipped(errors)
    mask[skipped] = True
    choice = choose_strength(errors, mask, "plateau")
    assert (choice.chosen, choice.best) == (plateau, best)
    assert choice.accepted[choice.best]
    assert choice.accepted[choice.chosen]
    assert not (choice.accepted & choice.skipped).any()
    assert choose_strength(errors, mask, "best").chosen == best
    assert choose_strength(errors, mask).chosen == plateau, "plateau is the default"


def test_the_standard_error_is_that_of_paired_differences():
    """Rows that are hard for every strength cancel: two strengths 0.02 apart, noise of 10 in common."""
    generator = np.random.default_rng(0)
    common = generator.normal(size=N) ** 2 * 10
    errors = torch.from_numpy(np.stack([common, common + 0.02 + 0.05 * generator.normal(size=N)]))
    choice = choose_strength(errors, none_skipped(errors))
    difference = (errors[1] - errors[0]).numpy()
    assert choice.standard_error[1].item() == pytest.approx(difference.std(ddof=1) / math.sqrt(N))
    assert choice.standard_error[0].item() == 0.0
    assert choice.mean_error.tolist() == pytest.approx(errors.mean(1).tolist())
    assert choice.accepted.tolist() == [True, difference.mean() <= difference.std(ddof=1) / math.sqrt(N)]
    assert choice.chosen == 0, "unpaired, a difference of 0.02 would be lost in the noise"


def test_every_strength_failed():
    errors = torch.full((3, N), math.nan)
    with pytest.raises(TrainingError, match="every strength failed"):
        choose_strength(errors, none_skipped(errors))


def test_one_failed_row_makes_a_strength_unusable():
    errors = table((0.1, 0), (1.0, 0))
    errors[0, 3] = math.nan
    choice = choose_strength(errors, none_skipped(errors))
    assert (choice.chosen, choice.skipped.tolist()) == (1, [True, False])


@pytest.mark.parametrize(
    ("error", "linear", "expected"),
    [
        (0.5, 0.5, True),  # no better than a plane
        (0.46, 0.5, True),  # skill 0.08
        (0.44, 0.5, False),  # skill 0.12
        (0.9, 0.5, True),  # worse than a plane
        (0.019, 0.019, False),  # a plane is enough
        (0.3, 0.0201, True),
        (math.nan, 0.5, False),  # failed, not linear
    ],
)
def test_linearized(error, linear, expected):
    errors = torch.full((2, 5), error).double()
    assert is_linearized(errors, torch.full((5,), linear).double()).tolist() == [expected] * 2
    assert is_linearized(errors[0], torch.full((5,), linear).double()).item() is expected


def test_a_rows_error_is_the_mean_over_its_columns():
    y = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    predictions = torch.stack([y + torch.tensor([1.0, 3.0]), y - 2.0])
    assert row_errors(predictions, y).tolist() == [[5.0, 5.0], [4.0, 4.0]]
    assert row_errors(predictions[..., 0], y[:, 0]).tolist() == [[1.0, 1.0], [4.0, 4.0]]


def test_an_unknown_rule_is_named():
    check_rule("plateau")
    with pytest.raises(InputError, match="rule: expected one of plateau, best, got 'strongest'"):
        check_rule("strongest")
    with pytest.raises(InputError, match="rule"):
        choose_strength(table((1.0, 0)), torch.tensor([False]), "strongest")
