"""Verdicts from paired differences."""

import numpy as np
import pytest

from surrogate_opt.study.evidence.claim import (
    Claim,
    Finding,
    deciding_p,
    describe,
    directional_verdict,
    in_words,
    no_worse_verdict,
    sized_verdict,
)

CLAIM = Claim(name="a", statement="more is more", reported="2", why="it is less")


@pytest.mark.parametrize(
    ("verdict", "words"), [("not reproduced", "1; odd; why: it is less"), ("reproduced", "1; odd")]
)
def test_why_is_said_where_a_claim_fails(verdict, words):
    assert in_words(CLAIM, Finding(claim="a", ours="1", remark="odd", verdict=verdict)) == words


STEADY = np.linspace(0.5, 1.5, 12)


@pytest.mark.parametrize(
    ("tables", "verdict"),
    [
        ([STEADY], "reproduced"),
        ([STEADY, STEADY], "reproduced"),
        ([STEADY, -STEADY], "not reproduced"),
        ([STEADY[:3]], "reproduced in direction"),  # 3 pairs decide nothing
        ([np.array([9.0, -1.0, -1.0, -1.0, 2.0, 0.5, 0.7, 0.1])], "not reproduced"),  # may as well be chance
        ([np.append(np.arange(5.0, 12.0), [-0.1, -0.2, -0.3])], "reproduced in direction"),  # by ranks alone
        ([np.zeros(12)], "not reproduced"),
        ([np.append(STEADY, np.nan)], "not reproduced"),
        ([np.empty(0)], "not reproduced"),
        # a few large positive pairs among many negative ones bear nothing out, however small p is
        (
            [np.append(np.full(44, -0.1) - 0.001 * np.arange(44), [5.0, 6.0, 7.0, 8.0, 9.0, 10.0])],
            "not reproduced",
        ),
    ],
)
def test_verdicts_need_both_rank_tests_and_the_mean(tables, verdict):
    assert directional_verdict(*tables) == verdict


def test_a_corrected_p_value_decides_in_place_of_the_tests_own():
    assert deciding_p(STEADY) < 0.001 < deciding_p(STEADY, STEADY[:5]) < 0.1
    assert deciding_p(STEADY, np.array([np.nan])) == deciding_p(np.empty(0)) == 1.0
    assert directional_verdict(STEADY, p=0.2) == "reproduced in direction"
    assert directional_verdict(-STEADY, p=0.001) == "not reproduced"


def test_being_no_worse_needs_the_lower_end_above_the_margin():
    around_zero = np.array([0.2, -0.1, 0.1, -0.2, 0.05, -0.05])
    assert no_worse_verdict(around_zero, 0.5) == "reproduced"
    assert no_worse_verdict(around_zero + 9.0, 0.5) == "reproduced"  # much better is no worse
    assert no_worse_verdict(around_zero, 0.1) == "reproduced in direction"
    assert no_worse_verdict(around_zero - 1.0, 0.5) == "not reproduced"
    for spoilt, margin in ((np.append(around_zero, np.nan), 0.5), (np.empty(0), 0.5), (around_zero, np.nan)):
        assert no_worse_verdict(spoilt, margin) == "not reproduced"


def test_the_size_counts_where_the_paper_gives_one():
    assert sized_verdict(STEADY, 1.1) == "reproduced"
    assert sized_verdict(STEADY, 3.0) == "reproduced in direction"
    assert sized_verdict(-STEADY, 1.0) == "not reproduced"


def test_a_description_has_mean_interval_and_count():
    text = describe(np.array([1.0, 2.0, 3.0, -0.5]), digits=1, unit=" points")
    assert text.startswith("+1.4 points [")
    assert text.endswith("3 of 4 pairs")
