"""Arrays and CSV tables in: checks with one clear line each, scaling, folds, distances to data."""

from surrogate_opt.data.checks import check_bounds, check_seed, check_xy, data_bounds, unit_box
from surrogate_opt.data.distances import nearest_distance, neighbour_pairs
from surrogate_opt.data.folds import early_stopping_slices, make_folds, thinned
from surrogate_opt.data.linear import (
    MIN_NONLINEAR_SHARE,
    MIN_NONLINEAR_SKILL,
    MIN_R2,
    LinearFit,
    fit_linear,
)
from surrogate_opt.data.scaling import Scaling
from surrogate_opt.data.tables import Table, parse_fixed, read_bounds, read_csv

__all__ = [
    "MIN_NONLINEAR_SHARE",
    "MIN_NONLINEAR_SKILL",
    "MIN_R2",
    "LinearFit",
    "Scaling",
    "Table",
    "check_bounds",
    "check_seed",
    "check_xy",
    "data_bounds",
    "early_stopping_slices",
    "fit_linear",
    "make_folds",
    "nearest_distance",
    "neighbour_pairs",
    "parse_fixed",
    "read_bounds",
    "read_csv",
    "thinned",
    "unit_box",
]
