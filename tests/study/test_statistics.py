"""Paired statistics against SciPy, brute force and closed forms, and the verdicts they lead to."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from surrogate_opt.errors import InputError
from surrogate_opt.study.paired_tests import (
    bootstrap_interval,
    effect_size,
    holm,
    rank_correlation,
    sign_p,
    t_p,
    wilcoxon_p,
)
from surrogate_opt.study.statistics import (
    ERROR_MARGIN,
    REGRET_MARGIN,
    Margin,
    Pairing,
    compare,
    compare_table,
)

TIED = [
    [1.0, 1.0, -1.0, 2.0],
    [0.0, 0.0, 1.0, -2.0, 3.0, 3.0],
    [0.0, -1.0],
    [5.0],
    [-1.0, -1.0, -1.0, -1.0, -1.0],
    [0.0, 2.0, 2.0, -2.0, 4.0, -1.0, 0.5, 0.5],
]


def brute_force_wilcoxon(differences: np.ndarray) -> float:
    """Every pattern of signs, one by one: ranks of all, zeros dropped after ranking."""
    ranks = stats.rankdata(np.abs(differences))[differences != 0]
    observed = ranks[differences[differences != 0] > 0].sum()
    sums = [np.dot(signs, ranks) for signs in itertools.product((0, 1), repeat=ranks.size)]
    below = np.mean([s <= observed + 1e-9 for s in sums])
    above = np.mean([s >= observed - 1e-9 for s in sums])
    return float(min(1.0, 2 * min(below, above)))


@pytest.mark.parametrize("differences", TIED)
def test_wilcoxon_with_ties_and_zeros_equals_every_sign_pattern(differences: list[float]) -> None:
    array = np.array(differences)
    assert wilcoxon_p(array) == pytest.approx(brute_force_wilcoxon(array), abs=1e-12)


@pytest.mark.parametrize("n", [1, 5, 10, 11, 30, 50])
def test_wilcoxon_without_ties_equals_scipy_exact(n: int) -> None:
    differences = np.random.default_rng(n).normal(0.3, 1.0, n)
    assert wilcoxon_p(differences) == pytest.approx(
        stats.wilcoxon(differences, method="exact").pvalue, rel=1e-9
    )


@pytest.mark.parametrize("n", [300, 301])
def test_wilcoxon_on_either_side_of_the_switch_to_the_approximation(n: int) -> None:
    differences = np.random.default_rng(0).normal(0.1, 1.0, n)
    # The normal approximation at n = 300 is good to well under 1% of a p-value near 0.3.
    assert wilcoxon_p(differences) == pytest.approx(
        stats.wilcoxon(differences, method="exact").pvalue, rel=0.01
    )


@pytest.mark.parametrize("n", [2, 10, 40])
def test_t_equals_scipy(n: int) -> None:
    rng = np.random.default_rng(n)
    a, b = rng.normal(size=n), rng.normal(0.4, 1.0, n)
    assert t_p(a - b) == pytest.approx(stats.ttest_rel(a, b).pvalue, rel=1e-9)
    assert effect_size(a - b) == pytest.approx(np.mean(a - b) / np.std(a - b, ddof=1))


@pytest.mark.parametrize(
    ("differences", "expected"),
    [
        ([1.0] * 10, 2 / 2**10),
        ([1.0] * 9 + [-1.0], 2 * 11 / 2**10),
        ([0.0, 0.0, 1.0, -1.0], 1.0),
        ([0.0] * 10, 1.0),
        ([], 1.0),
    ],
)
def test_sign_test_closed_form(differences: list[float], expected: float) -> None:
    assert sign_p(np.array(differences)) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("differences", "expected"),
    [([1.0, 2.0], 1.0), ([-1.0, -2.0], -1.0), ([3.0, -1.0, -2.0], 0.0), ([0.0, 0.0], 0.0), ([], 0.0)],
)
def test_rank_correlation_closed_form(differences: list[float], expected: float) -> None:
    assert rank_correlation(np.array(differences)) == expected


@pytest.mark.parametrize(
    ("p", "expected"),
    [
        # Holm's step-down worked by hand: 4 x 0.005, 3 x 0.01, 2 x 0.03, 1 x 0.04 (raised to the one before).
        ([0.01, 0.04, 0.03, 0.005], [0.03, 0.06, 0.06, 0.02]),
        ([0.5, 0.9], [1.0, 1.0]),
        ([0.02, 0.02], [0.04, 0.04]),
        ([0.03], [0.03]),
        ([], []),
    ],
)
def test_holm_known_examples(p: list[float], expected: list[float]) -> None:
    np.testing.assert_allclose(holm(np.array(p)), expected, rtol=1e-12)


@given(st.lists(st.floats(0.0, 1.0), min_size=1, max_size=12))
def test_holm_keeps_order_and_lies_between_none_and_bonferroni(p: list[float]) -> None:
    array = np.array(p)
    corrected = holm(array)
    assert np.all(corrected >= array)
    assert np.all(corrected <= np.minimum(1.0, array * array.size) + 1e-15)
    order = np.argsort(array, kind="stable")
    assert np.all(np.diff(corrected[order]) >= 0)


# 95% wanted. 400 samples have a standard error of 0.011; skewed differences cost a little more at n = 10.
@pytest.mark.parametrize(
    ("n", "skewed", "least"), [(10, False, 0.92), (30, False, 0.92), (10, True, 0.85), (40, True, 0.89)]
)
def test_bootstrap_interval_covers(n: int, skewed: bool, least: float) -> None:
    rng = np.random.default_rng(7)
    covered = 0
    for seed in range(400):
        sample = rng.exponential(1.0, n) - 1.0 if skewed else rng.normal(0.0, 1.0, n)
        lower, upper = bootstrap_interval(sample, seed=seed, num_resamples=1000)
        covered += lower <= 0.0 <= upper
    assert least <= covered / 400 <= 0.99


def test_bootstrap_interval_of_many_agrees_with_the_normal_one() -> None:
    sample = np.random.default_rng(0).normal(1.0, 2.0, 2000)
    half = 1.96 * sample.std() / math.sqrt(2000)
    lower, upper = bootstrap_interval(sample, seed=0, num_resamples=2000)
    # 2,000 resamples fix a 2.5% quantile to about 6% of the standard error.
    assert lower == pytest.approx(sample.mean() - half, abs=0.1 * half)
    assert upper == pytest.approx(sample.mean() + half, abs=0.1 * half)


def test_bootstrap_is_seeded_and_says_nothing_on_one_value() -> None:
    sample = np.random.default_rng(0).normal(size=12)
    assert bootstrap_interval(sample, seed=3) == bootstrap_interval(sample, seed=3)
    assert bootstrap_interval(sample, seed=3) != bootstrap_interval(sample, seed=4)
    assert bootstrap_interval(sample[:1], seed=0) == (-math.inf, math.inf)
    assert all(math.isnan(end) for end in bootstrap_interval(sample[:0], seed=0))


BASE = np.linspace(1.0, 2.0, 12)
JITTER = 0.01 * np.random.default_rng(1).normal(size=12)
CASES = [
    ("ahead", BASE - 0.5 + JITTER, BASE, ERROR_MARGIN),
    ("behind", BASE + 0.5 + JITTER, BASE, ERROR_MARGIN),
    ("level", BASE + JITTER, BASE, ERROR_MARGIN),
    ("level", BASE, BASE, ERROR_MARGIN),
    ("level", BASE, BASE, Margin()),
    ("level", BASE + JITTER, BASE, REGRET_MARGIN),
    ("undecided", BASE + 30 * JITTER, BASE, REGRET_MARGIN),
    ("too few to say", (BASE - 0.5)[:9], BASE[:9], ERROR_MARGIN),
    ("too few to say", [1.0], [2.0], ERROR_MARGIN),
    ("too few to say", [], [], ERROR_MARGIN),
]


@pytest.mark.parametrize(("verdict", "values", "rival_values", "margin"), CASES)
def test_verdicts(verdict: str, values: np.ndarray, rival_values: np.ndarray, margin: Margin) -> None:
    assert compare(values, rival_values, margin=margin).verdict == verdict


def test_ten_instances_are_enough() -> None:
    assert compare(BASE[:10] - 0.5, BASE[:10], margin=ERROR_MARGIN).verdict == "ahead"


def test_all_differences_zero() -> None:
    row = compare(BASE, BASE, margin=REGRET_MARGIN)
    assert (row.p_t, row.p_wilcoxon, row.p_sign, row.effect_size) == (1.0, 1.0, 1.0, 0.0)
    assert (row.difference, row.lower, row.upper) == (0.0, 0.0, 0.0)


def test_constant_difference() -> None:
    row = compare(np.full(10, 1.5), np.full(10, 1.0), margin=REGRET_MARGIN)
    assert (row.effect_size, row.p_t) == (math.inf, 0.0)
    assert row.p_wilcoxon == pytest.approx(2 / 2**10)
    assert (row.lower, row.upper) == (0.5, 0.5)


@pytest.mark.parametrize("sign", [1, -1])
def test_ranks_and_mean_that_disagree_decide_nothing(sign: int) -> None:
    # Slightly ahead on 11 of 12, far behind on one: Wilcoxon sees "ahead", the mean "behind"; or the reverse.
    values = BASE - sign * 0.01
    values[0] += sign * 10.0
    row = compare(values, BASE, margin=Margin())
    assert row.p_corrected < 0.05
    assert sign * row.rank_correlation < 0 < sign * row.difference
    assert row.verdict == "undecided"


@pytest.mark.parametrize(("shift", "side"), [(-0.5, "values"), (0.5, "rival"), (0.0, "values")])
@pytest.mark.parametrize("gap", [math.nan, math.inf])
def test_missing_values_are_counted_and_never_help_their_side(shift: float, side: str, gap: float) -> None:
    values, rival_values = BASE + shift, BASE.copy()
    (values if side == "values" else rival_values)[3] = gap
    row = compare(values, rival_values, margin=REGRET_MARGIN)
    assert (row.num_instances, row.missing, row.rival_missing) == (
        11,
        int(side == "values"),
        int(side != "values"),
    )
    assert row.difference == pytest.approx(shift)
    assert row.verdict == "undecided"


def test_missing_rival_values_leave_ahead_standing() -> None:
    rival_values = BASE.copy()
    rival_values[3] = math.nan
    assert compare(BASE - 0.5, rival_values, margin=REGRET_MARGIN).verdict == "ahead"


def test_margins() -> None:
    assert ERROR_MARGIN.allowed(2.0) == pytest.approx(0.1)
    assert REGRET_MARGIN.allowed(2.0) == 0.05
    assert Margin(absolute=1.0, relative=0.5).allowed(-2.0) == 2.0
    for bad in (-1.0, math.nan, math.inf):
        with pytest.raises(InputError, match="margin"):
            Margin(absolute=bad)


def test_clusters_are_the_unit() -> None:
    rng = np.random.default_rng(0)
    values, rival_values = rng.normal(size=60), rng.normal(size=60)
    clusters = np.tile([f"instance {index}" for index in range(12)], 5)
    row = compare(values, rival_values, margin=REGRET_MARGIN, clusters=clusters)
    averaged = compare(
        values.reshape(5, 12).mean(0), rival_values.reshape(5, 12).mean(0), margin=REGRET_MARGIN
    )
    # np.unique sorts the labels as text, so the bootstrap draws others; the tests are the same.
    assert row.num_instances == 12
    for name in ("difference", "p_t", "p_wilcoxon", "p_sign", "effect_size", "mean", "rival_mean"):
        assert getattr(row, name) == pytest.approx(getattr(averaged, name)), name
    assert row.upper == pytest.approx(averaged.upper, abs=0.05)


def test_copies_of_an_instance_add_no_evidence() -> None:
    values, rival_values = BASE[:9] - 0.5, BASE[:9]
    row = compare(
        np.tile(values, 4), np.tile(rival_values, 4), margin=ERROR_MARGIN, clusters=np.tile(np.arange(9), 4)
    )
    assert (row.num_instances, row.verdict) == (9, "too few to say")


def test_table_is_corrected_as_a_whole_and_keeps_its_order() -> None:
    rng = np.random.default_rng(0)
    rows = [
        Pairing(
            method=f"m{index}",
            rival="none",
            metric="regret",
            values=BASE - shift + 0.3 * rng.normal(size=12),
            rival_values=BASE,
            margin=REGRET_MARGIN,
        )
        for index, shift in enumerate((0.0, 0.5, 0.2, 0.3))
    ]
    table = compare_table(rows)
    assert [row.method for row in table] == ["m0", "m1", "m2", "m3"]
    raw = np.array([row.p_wilcoxon for row in table])
    np.testing.assert_allclose([row.p_corrected for row in table], holm(raw))
    assert table[1].p_corrected == pytest.approx(4 * raw[1])
    assert compare_table([]) == []


def test_a_table_can_be_too_long_for_ten_instances() -> None:
    row = Pairing(values=BASE[:10] - 0.5, rival_values=BASE[:10], margin=ERROR_MARGIN)
    assert {found.verdict for found in compare_table([row] * 25, num_resamples=100)} == {"ahead"}
    assert "ahead" not in {found.verdict for found in compare_table([row] * 26, num_resamples=100)}


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.floats(-10, 10), st.floats(-10, 10)), min_size=1, max_size=16),
    st.integers(0, 3),
)
def test_swapping_flips_every_sign(pairs: list[tuple[float, float]], seed: int) -> None:
    values, rival_values = np.array(pairs).T
    there = compare(values, rival_values, margin=REGRET_MARGIN, seed=seed, num_resamples=200)
    back = compare(rival_values, values, margin=REGRET_MARGIN, seed=seed, num_resamples=200)
    assert back.difference == -there.difference
    assert back.rank_correlation == -there.rank_correlation
    assert (back.p_wilcoxon, back.p_sign) == (there.p_wilcoxon, there.p_sign)
    assert back.lower == pytest.approx(-there.upper, abs=1e-9)
    assert back.upper == pytest.approx(-there.lower, abs=1e-9)
    assert (back.verdict == "behind") == (there.verdict == "ahead")
    for name, sign in (("effect_size", -1), ("p_t", 1)):
        assert getattr(back, name) == pytest.approx(sign * getattr(there, name), nan_ok=True)


@given(st.lists(st.floats(-1, 1), min_size=1, max_size=20))
def test_p_values_are_probabilities(differences: list[float]) -> None:
    array = np.array(differences)
    for p in (wilcoxon_p(array), sign_p(array)):
        assert 0.0 < p <= 1.0


@pytest.mark.parametrize(
    ("values", "rival_values", "clusters", "name"),
    [
        ([1.0, 2.0], [1.0], None, "rival_values"),
        ([[1.0, 2.0]], [[1.0, 2.0]], None, "values"),
        ([1.0, 2.0], [1.0, 2.0], [0], "clusters"),
    ],
)
def test_bad_input_is_named(values: object, rival_values: object, clusters: object, name: str) -> None:
    with pytest.raises(InputError, match=f"^{name}: expected"):
        compare(values, rival_values, margin=REGRET_MARGIN, clusters=clusters)  # type: ignore[arg-type]


def test_to_dict_holds_every_field() -> None:
    row = compare(BASE, BASE, margin=REGRET_MARGIN)
    assert row.to_dict()["verdict"] == "level"
    assert row.to_dict()["num_instances"] == 12
