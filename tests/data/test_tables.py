"""CSV tables, files of bounds and assignments against hand-made cases and NumPy."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from surrogate_opt import data
from surrogate_opt.errors import InputError

SIBLINGS = {
    "concrete": "compressive_strength_mpa",
    "kin8nm": "distance",
    "energy": "heating_load",
    "yacht": "residuary_resistance",
    "power-plant": "electrical_output_mw",
}
GOOD_ROWS = [f"{i},{i * i / 7},{3 - i}" for i in range(12)]


def _write(folder: Path, header: str, rows: list[str], name: str = "table.csv") -> Path:
    path = folder / name
    path.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    return path


def test_read_csv_splits_inputs_and_target_and_keeps_every_digit(tmp_path: Path) -> None:
    path = _write(tmp_path, " a , b,target", ["", *GOOD_ROWS[:6], "", ",,", *GOOD_ROWS[6:], ""])
    table = data.read_csv(path, "b")
    assert table.feature_names == ("a", "target")
    assert table.target_name == "b"
    assert table.x.dtype == table.y.dtype == np.float64
    np.testing.assert_array_equal(table.x, [[i, 3 - i] for i in range(12)])
    np.testing.assert_array_equal(table.y, [i * i / 7 for i in range(12)])


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_read_csv_takes_every_line_end_and_a_byte_order_mark(
    tmp_path: Path, newline: str, encoding: str
) -> None:
    path = tmp_path / "table.csv"
    path.write_bytes(newline.join(["größe,b,c", *GOOD_ROWS]).encode(encoding))
    assert data.read_csv(path, "c").feature_names == ("größe", "b")


def _replaced(row: int, text: str) -> list[str]:
    return [*GOOD_ROWS[:row], text, *GOOD_ROWS[row + 1 :]]


BAD_TABLES: dict[str, tuple[str, list[str], list[str]]] = {
    "target not there": ("a,b,C_max", GOOD_ROWS, ["'c_maks'", "'a', 'b', 'C_max'", "mean 'C_max'"]),
    "text": ("a,b,c_maks", _replaced(4, "1,steel,2"), ["'b' holds text", "1 of 12", "row 6", "'steel'"]),
    "decimal comma": ("a,b,c_maks", _replaced(4, '1,"2,5",2'), ["'b' holds text", "row 6", "'2,5'"]),
    "underscore": ("a,b,c_maks", _replaced(4, "1,1_000,2"), ["'b' holds text", "row 6"]),
    "empty cell": ("a,b,c_maks", _replaced(0, ",1,2"), ["'a' misses a value", "1 of 12", "row 2"]),
    "nan": ("a,b,c_maks", _replaced(11, "1,1,NaN"), ["'c_maks' misses a value", "row 13", "'NaN'"]),
    "infinite": ("a,b,c_maks", _replaced(1, "1,-inf,1"), ["'b' is infinite", "row 3"]),
    "overflow": ("a,b,c_maks", _replaced(1, "1,1e999,1"), ["'b' is infinite", "row 3", "'1e999'"]),
    "constant input": ("a,b,c_maks", [f"{i},7,{i}" for i in range(12)], ["column 'b'", "all are 7"]),
    "constant target": ("a,b,c_maks", [f"{i},{i},0" for i in range(12)], ["target 'c_maks'", "all are 0"]),
    "constant to rounding": (
        "a,b,c_maks",
        [f"{i},{0.1 + 0.2 if i % 2 else 0.3!r},{i}" for i in range(12)],
        ["column 'b'", "all are 0.3"],
    ),
    "too few": ("a,b,c_maks", GOOD_ROWS[:9], ["at least 10 rows", "came 9"]),
    "duplicate name": ("a,c_maks,a", GOOD_ROWS, ["'a' came again", "column 3"]),
    "duplicate target": ("a,c_maks,c_maks", GOOD_ROWS, ["'c_maks' came again"]),
    "blank name": ("a,,c_maks", GOOD_ROWS, ["column 2 has none"]),
    "no input": ("c_maks", [str(i) for i in range(12)], ["at least one input", "only one"]),
    "semicolons": ("a;b;c_maks", [row.replace(",", ";") for row in GOOD_ROWS], ["commas", "a;b;c_maks"]),
    "no header": ("1,2,3", GOOD_ROWS, ["header line"]),
    "short row": ("a,b,c_maks", _replaced(3, "1,2"), ["3 values", "row 5 has 2"]),
    "long row": ("a,b,c_maks", _replaced(3, "1,2,3,4"), ["3 values", "row 5 has 4"]),
    "open quote": ("a,b,c_maks", _replaced(3, '1,"2,3'), ["CSV text"]),
    "row after blank lines": ("a,b,c_maks", ["", "", *_replaced(4, "1,x,2")], ["row 8"]),
}


@pytest.mark.parametrize("case", BAD_TABLES)
def test_read_csv_refuses_with_one_line_that_names_the_place(tmp_path: Path, case: str) -> None:
    header, rows, expected = BAD_TABLES[case]
    with pytest.raises(InputError) as caught:
        data.read_csv(_write(tmp_path, header, rows), "c_maks")
    message = str(caught.value)
    assert "\n" not in message
    for part in ["table.csv", *expected]:
        assert part in message


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "empty"),
        (b"\n \n", "empty"),
        ("a,b\n1,2é\n".encode("latin-1"), "byte 7"),
        ("a,b\n1,2\n".encode("utf-16"), "UTF-8"),
        (b"a,b\n\x00\x00,1\n", "binary"),
        (None, "there is none"),
    ],
)
def test_read_csv_refuses_files_that_are_no_text(
    tmp_path: Path, content: bytes | None, expected: str
) -> None:
    path = tmp_path / "odd.csv"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=expected):
        data.read_csv(path, "b")


def test_read_csv_refuses_a_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot read"):
        data.read_csv(tmp_path, "b")


@pytest.mark.parametrize("name", SIBLINGS)
def test_read_csv_reads_real_tables_as_numpy_does(name: str, real_data: Callable[[str], Path]) -> None:
    path = real_data(f"csv/{name}.csv") / "csv" / f"{name}.csv"
    expected = np.loadtxt(path, delimiter=",", skiprows=1)
    table = data.read_csv(path, SIBLINGS[name])
    header = path.read_text(encoding="utf-8").splitlines()[0].split(",")
    assert [*table.feature_names, table.target_name] == header
    np.testing.assert_array_equal(table.x, expected[:, :-1])
    np.testing.assert_array_equal(table.y, expected[:, -1])


def test_read_bounds_sorts_by_feature_and_ignores_further_columns(tmp_path: Path) -> None:
    path = _write(tmp_path, "upper,name,unit,lower", ["4,b,m,-4", "1e3,a,kg,0"])
    bounds = data.read_bounds(path, ("a", "b"))
    assert bounds.dtype == torch.float64
    assert bounds.tolist() == [[0.0, -4.0], [1000.0, 4.0]]


@pytest.mark.parametrize(
    ("header", "rows", "expected"),
    [
        ("name,low,upper", ["a,0,1", "b,0,1"], "'lower' missing"),
        ("name,lower,upper", ["a,0,1"], "'b' missing"),
        ("name,lower,upper", [], "'a', 'b' missing"),
        ("name,lower,upper", ["a,0,1", "b,0,1", "c,0,1"], "row 4.*'c'"),
        ("name,lower,upper", ["a,0,1", "b,0,1", "a,0,1"], "row 4.*'a' came again"),
        ("name,lower,upper", ["a,0,1", "b,2,1"], "row 3.*'b'; came 2 and 1"),
        ("name,lower,upper", ["a,0,1", "b,1,1"], "row 3.*lower < upper"),
        ("name,lower,upper", ["a,0,1", "b,zero,1"], "'lower' holds text.*row 3.*'zero'"),
        ("name,lower,upper", ["a,0,1", "b,0,nan"], "'upper' misses.*row 3"),
        ("name,lower,upper", ["a,0,1", "b,0,inf"], "'upper' is infinite.*row 3"),
    ],
)
def test_read_bounds_refuses(tmp_path: Path, header: str, rows: list[str], expected: str) -> None:
    with pytest.raises(InputError, match=expected):
        data.read_bounds(_write(tmp_path, header, rows), ("a", "b"))


def test_parse_fixed_maps_columns_to_values() -> None:
    names = ("age_days", "x=y", "z")
    assert data.parse_fixed(["age_days=28", " z = -1e-3", "x=y=2"], names) == {0: 28.0, 2: -1e-3, 1: 2.0}
    assert data.parse_fixed([], names) == {}


@pytest.mark.parametrize(
    ("assignments", "expected"),
    [
        (["age_days"], "name=value"),
        (["=3"], "name=value"),
        (["age_day=3"], "'age_day'.*mean 'age_days'"),
        (["age_days=1", "age_days=1"], "came again"),
        (["age_days="], "a number for 'age_days'"),
        (["age_days=x"], "came 'x'"),
        (["age_days=nan"], "finite"),
        (["age_days=-inf"], "finite"),
    ],
)
def test_parse_fixed_refuses(assignments: list[str], expected: str) -> None:
    with pytest.raises(InputError, match=expected):
        data.parse_fixed(assignments, ("age_days", "water"))


def test_inputs_can_be_chosen_and_columns_ignored(tmp_path: Path) -> None:
    rows = [f"run {i},{i},{i * i / 7},5,{3 - i}" for i in range(12)]
    path = _write(tmp_path, "note,a,b,held,y", rows)
    assert data.read_csv(path, "y", ignore=("note", "held")).feature_names == ("a", "b")
    chosen = data.read_csv(path, "y", inputs=("b", "a"))
    assert chosen.feature_names == ("b", "a")
    np.testing.assert_array_equal(chosen.x[:, 1], np.arange(12))
    assert data.read_csv(path, "y", inputs=("a", "held"), vary=False).x.shape == (12, 2)
    with pytest.raises(InputError, match="'held': expected values that differ"):
        data.read_csv(path, "y", inputs=("a", "held"))
    with pytest.raises(InputError, match="expected the inputs 'a', 'c'; 'c' missing"):
        data.read_csv(path, "y", inputs=("a", "c"))
    with pytest.raises(InputError, match="ignore: expected one of"):
        data.read_csv(path, "y", ignore=("c",))
    with pytest.raises(InputError, match="without the target; came 'y'"):
        data.read_csv(path, "y", ignore=("y",))
