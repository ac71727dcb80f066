"""The table of methods: grids from weak to strong, all of one length, and how they grow at an edge."""

import math
from itertools import pairwise

import pytest

from surrogate_opt.errors import InputError
from surrogate_opt.penalties import METHODS, STUDIED, Strength, get_method

WITH_STRENGTH = [method for method in METHODS.values() if method.num_points > 1]


def severity(strength):
    """Grows with the strength, whichever device it is."""
    weights = strength.dreg + strength.igp + strength.datagrad + strength.spectreg
    return (weights + strength.dropout + (strength.weight_decay or 0.0), -strength.spectral_bound)


def test_the_grids_of_the_design():
    assert tuple(METHODS) == (*STUDIED, "datagrad", "spectreg", "weight_decay", "dropout")
    half_decades = [0.0, 1e-4, 10**-3.5, 1e-3, 10**-2.5, 1e-2, 10**-1.5, 1e-1]
    for name in ("dreg", "igp", "dreg+igp", "spectreg"):
        method = METHODS[name]
        assert [method.level(k) for k in method.positions()] == pytest.approx(half_decades)
        assert method.paper == (0.03 if name == "spectreg" else 1e-2)
    dropout = METHODS["dropout"]
    assert [dropout.level(k) for k in (0, 7, 14)] == pytest.approx([0.0, 0.5, 0.75])  # never all of them
    sn = [METHODS["sn"].level(k) for k in METHODS["sn"].positions()]
    assert (sn[0], sn[6], sn[-1]) == pytest.approx((8.0, 1.0, 2**-0.5))
    assert METHODS["sn"].paper == 1.0
    assert {method.num_points for method in WITH_STRENGTH} == {8}


@pytest.mark.parametrize("method", WITH_STRENGTH, ids=lambda method: method.name)
def test_grids_and_their_extensions_go_from_weak_to_strong(method):
    first = -4 if method.weakest is None else method.weakest
    levels = [method.at(method.level(position)) for position in range(first, 14)]
    assert all(severity(a) < severity(b) for a, b in pairwise(levels))


@pytest.mark.parametrize(
    ("name", "positions", "chosen", "expected"),
    [
        ("dreg", list(range(8)), 7, [8]),
        ("dreg", list(range(8)), 0, []),
        ("dreg", list(range(8)), 3, []),
        ("igp", list(range(10)), 9, [10]),
        ("sn", list(range(8)), 0, [-1]),
        ("sn", list(range(-2, 8)), -2, [-3]),
        ("sn", list(range(8)), 7, [8]),
        ("none", [0], 0, []),
    ],
)
def test_extension_at_an_edge(name, positions, chosen, expected):
    assert METHODS[name].extend(positions, chosen) == expected


def test_what_each_method_sets():
    assert METHODS["none"].at(3.0) == Strength(dreg=0.0, igp=0.0, spectral_bound=math.inf)
    assert METHODS["dreg"].at(0.5) == Strength(dreg=0.5)
    assert METHODS["igp"].at(0.5) == Strength(igp=0.5)
    assert METHODS["sn"].at(0.5) == Strength(spectral_bound=0.5)
    assert METHODS["dreg+igp"].at(0.5) == Strength(dreg=0.5, igp=0.5)
    for name in ("datagrad", "spectreg", "weight_decay", "dropout"):
        assert METHODS[name].at(0.5) == Strength(**{name: 0.5})
    numbers = Strength(dreg=0.5, weight_decay=0.1).to_dict()
    assert {name: value for name, value in numbers.items() if value} == {
        "dreg": 0.5,
        "spectral_bound": math.inf,
        "weight_decay": 0.1,
    }
    assert Strength(**numbers) == Strength(dreg=0.5, weight_decay=0.1)
    with pytest.raises(InputError, match="spectral_bound: expected a finite one where it is exact"):
        Strength(spectral_exact=True)


def test_an_unknown_method_is_named():
    with pytest.raises(InputError, match=r"penalty: expected one of none, dreg, .* got 'dregg'"):
        get_method("dregg")
