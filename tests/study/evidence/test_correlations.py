"""Rank correlations against SciPy and against regressions of ranks."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from surrogate_opt.study.evidence.ghosts.correlations import (
    partial_correlations,
    pooled,
    spearman_matrix,
    within_data_sets,
)

PLACE = {"data_set": ("problem", "instance", "n"), "instance": ("problem", "instance")}


def drawn(count, seed=0):
    generator = np.random.default_rng(seed)
    z = generator.normal(size=count)
    x = np.round(z + generator.normal(size=count), 1)  # with ties
    return x, x**3 - z + 0.5 * generator.normal(size=count), z


def test_ranks_correlate_as_scipy_says():
    values = np.stack(drawn(40), 1)
    np.testing.assert_allclose(spearman_matrix(values), stats.spearmanr(values).statistic)
    flat = spearman_matrix(np.stack([np.ones(5), np.arange(5.0)], 1))
    assert np.isnan(flat[0, 1])
    assert flat[1, 1] == pytest.approx(1.0)


def test_what_a_third_explains_is_left_out():
    x, y, z = (stats.rankdata(part) for part in drawn(60))

    def residual(target):
        design = np.stack([np.ones_like(z), z], 1)
        return target - design @ np.linalg.lstsq(design, target, rcond=None)[0]

    expected = np.corrcoef(residual(x), residual(y))[0, 1]
    found = partial_correlations(spearman_matrix(np.stack([x, y, z], 1)), 2)
    assert found[0, 1] == pytest.approx(expected)
    assert np.isnan(found[0, 2])


def table(num_instances=6, rows=12):
    parts = []
    for instance in range(num_instances):
        for n in (100, 300):
            x, y, z = drawn(rows, seed=10 * instance + n)
            place = {"problem": "smooth", "instance": instance, "n": n}
            parts.append(pd.DataFrame({"x": x, "y": y + 5.0 * instance, "z": z, **place}))
    return pd.concat(parts, ignore_index=True)


@pytest.mark.parametrize("given", [None, "z"])
def test_the_mean_over_instances_is_that_of_their_data_sets(given):
    rows = table()
    found = within_data_sets(rows, ["x", "z"], ["y"], given=given, **PLACE)["x", "y"]

    def one(group):
        matrix = spearman_matrix(group[["x", "y", "z"]].to_numpy())
        return (partial_correlations(matrix, 2) if given else matrix)[0, 1]

    each = [[one(data) for _, data in own.groupby("n")] for _, own in rows.groupby("instance")]
    np.testing.assert_allclose(found.each, np.mean(each, 1))
    assert found.low < found.value < found.high
    assert found.value == pytest.approx(np.mean(each))


def test_rows_without_numbers_and_data_sets_without_ranks_are_left_out():
    rows = table()
    few = rows[rows["instance"] < 2].groupby(["instance", "n"]).head(3)
    found = within_data_sets(few, ["x"], ["y"], **PLACE)["x", "y"]
    assert found.each.empty
    assert np.isnan(found.value)
    spoilt = rows.copy()
    spoilt.loc[spoilt.index[::4], "y"] = np.nan
    found, expected = (within_data_sets(part, ["x"], ["y"], **PLACE) for part in (spoilt, spoilt.dropna()))
    assert found["x", "y"].value == expected["x", "y"].value


def test_the_pooled_one_is_that_of_all_rows_and_its_interval_widens_with_fewer_instances():
    rows = table(num_instances=20)
    found, few = (
        pooled(part, ["x"], ["y"], instance=("problem", "instance"))["x", "y"]
        for part in (rows, rows[rows["instance"] < 4])
    )
    assert found.value == pytest.approx(stats.spearmanr(rows["x"], rows["y"]).statistic)
    assert found.low < found.value < found.high
    assert few.high - few.low > found.high - found.low
