"""Logs into trajectories: where they are cut, and what is refused."""

import math

import numpy as np
import pandas as pd
import pytest

from surrogate_opt.dynamics import read_log, trajectories_of
from surrogate_opt.errors import InputError


def log(**changes):
    """Ten rows, level 10 k and valve 100 k at instant k / 2."""
    table = pd.DataFrame(
        {"t": 0.5 * np.arange(10), "level": 10.0 * np.arange(10), "valve": 100.0 * np.arange(10), "run": 0}
    )
    for column, (rows, value) in changes.items():
        table[column] = table[column].astype(object)
        table.loc[rows, column] = value
    return table


def first_levels(trajectories):
    return [(t.states[:, 0] / 10).tolist() for t in trajectories]


def test_a_whole_log_is_one_trajectory():
    (trajectory,) = trajectories_of(log(), ["level", "t"], ["valve"])
    assert trajectory.states[:, 0].tolist() == [10.0 * k for k in range(10)]
    assert trajectory.states[:, 1].tolist() == [0.5 * k for k in range(10)]
    assert trajectory.actions.tolist() == [[100.0 * k] for k in range(9)]


@pytest.mark.parametrize(
    ("table", "options", "expected"),
    [
        # a state that is missing is in no trajectory; an action that is missing ends one with the row's state
        (log(level=(4, math.nan)), {}, [[0, 1, 2, 3], [5, 6, 7, 8, 9]]),
        (log(valve=(4, math.nan)), {}, [[0, 1, 2, 3, 4], [5, 6, 7, 8, 9]]),
        (log(valve=(9, math.nan)), {}, [[0, 1, 2, 3, 4, 5, 6, 7, 8, 9]]),
        (log(level=([1, 3, 8], math.nan)), {}, [[4, 5, 6, 7]]),
        (log(level=(4, math.inf)), {}, [[0, 1, 2, 3], [5, 6, 7, 8, 9]]),
        (log().drop(index=[4]), {}, [[0, 1, 2, 3, 5, 6, 7, 8, 9]]),
        (log().drop(index=[4]), {"time": "t"}, [[0, 1, 2, 3], [5, 6, 7, 8, 9]]),
        (log(t=(4, 2.04)), {"time": "t", "dt": 0.5}, [[0, 1, 2, 3, 4, 5, 6, 7, 8, 9]]),
        (log(t=(4, 2.2)), {"time": "t", "dt": 0.5}, [[0, 1, 2, 3], [5, 6, 7, 8, 9]]),
        (log(run=([0, 1, 2], 7)), {"episode": "run"}, [[0, 1, 2], [3, 4, 5, 6, 7, 8, 9]]),
    ],
)
def test_where_a_log_is_cut(table, options, expected):
    assert first_levels(trajectories_of(table, ["level"], ["valve"], **options)) == expected


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"states": ["leval"]}, "table: states: expected one of .*did you mean 'level'"),
        ({"actions": ["valv"]}, "table: actions: expected one of"),
        ({"time": "clock"}, "table: time: expected one of"),
        ({"episode": "runs"}, "table: episode: expected one of"),
        ({"states": []}, "states: expected a list of column names"),
        ({"actions": "valve"}, "actions: expected a list of column names, got 'valve'"),
        ({"time": "t", "dt": 0.0}, "dt: expected a positive time step, got 0.0"),
        ({"time": "t", "dt": -0.5}, "dt: expected a positive"),
        ({"time": "t", "dt": 3.0}, "table: expected rows that follow each other"),
        (
            {"table": log(level=(2, "broken"))},
            "column 'level': expected numbers; 1 of 10 rows hold text, first 'broken'",
        ),
        ({"table": log(level=(slice(None, None, 2), math.nan))}, "expected rows that follow each other"),
    ],
)
def test_bad_logs_are_named(options, message):
    arguments = {"table": log(), "states": ["level"], "actions": ["valve"], **options}
    with pytest.raises(InputError, match=message) as caught:
        trajectories_of(**arguments)
    assert "\n" not in str(caught.value)


def test_a_file_is_its_table(tmp_path):
    path = tmp_path / "log.csv"
    log(level=(4, math.nan)).to_csv(path, index=False)
    assert first_levels(read_log(path, ["level"], ["valve"])) == [[0, 1, 2, 3], [5, 6, 7, 8, 9]]
    path.write_text("level, valve,\n0, 1,\n10, 2,\n")
    assert first_levels(read_log(path, ["level"], ["valve"])) == [[0, 1]]
    with pytest.raises(InputError, match=r"log.csv: states: expected one of"):
        read_log(path, ["speed"], ["valve"])


@pytest.mark.parametrize("content", [b"", b"\xff\xfe\xfa level", b"a,b\n1,2\n1,2,3,4\n"])
def test_files_that_are_no_tables(tmp_path, content):
    path = tmp_path / "log.csv"
    path.write_bytes(content)
    with pytest.raises(InputError, match="expected CSV text in UTF-8") as caught:
        read_log(path, ["a"], ["b"])
    assert "\n" not in str(caught.value)
    with pytest.raises(InputError, match="there is none"):
        read_log(tmp_path / "none.csv", ["a"], ["b"])
    with pytest.raises(InputError, match="cannot read it"):
        read_log(tmp_path, ["a"], ["b"])
