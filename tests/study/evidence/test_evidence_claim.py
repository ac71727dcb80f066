"""Verdicts from paired differences."""

import numpy as np
import pytest

from surrogate_opt.study.evidence.claim import describe, directional_verdict, equivalence_verdict

STEADY = np.linspace(0.5, 1.5, 12)


@pytest.mark.parametrize(
    ("tables", "verdict"),
    [
        ([STEADY], "reproduced"),
        ([STEADY, STEADY], "reproduced"),
        ([STEADY, -STEADY], "not reproduced"),
        ([STEADY[:3]], "reproduced in direction"),  # 3 pairs decide nothing
        ([np.array([9.0, -1.0, -1.0, -1.0, -1.0, -1.0, 2.0, 0.5])], "reproduced in direction"),
        ([np.zeros(12)], "not reproduced"),
        ([np.append(STEADY, np.nan)], "not reproduced"),
    ],
)
def test_verdicts_need_both_rank_tests_and_the_mean(tables, verdict):
    assert directional_verdict(*tables) == verdict


def test_no_difference_to_speak_of_needs_its_interval_within_the_margin():
    around_zero = np.array([0.2, -0.1, 0.1, -0.2, 0.05, -0.05])
    assert equivalence_verdict(around_zero, 0.5) == "reproduced"
    assert equivalence_verdict(around_zero, 0.1) == "reproduced in direction"
    assert equivalence_verdict(around_zero + 1.0, 0.5) == "not reproduced"
    assert equivalence_verdict(np.append(around_zero, np.nan), 0.5) == "not reproduced"


def test_a_description_has_mean_interval_and_count():
    text = describe(np.array([1.0, 2.0, 3.0, -0.5]), digits=1, unit=" points")
    assert text.startswith("+1.4 points [")
    assert text.endswith("3 of 4 pairs")
