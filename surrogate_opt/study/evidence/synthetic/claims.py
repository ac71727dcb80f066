"""The claims of Tables 1 and 2 and Figure 1, judged over instances."""

from __future__ import annotations

from typing import Final

import numpy as np
import pandas as pd
from jaxtyping import Float

from surrogate_opt.study.evidence.claim import (
    Claim,
    Finding,
    describe,
    directional_verdict,
    equivalence_verdict,
    sized_verdict,
)
from surrogate_opt.study.text_tables import number, percent

STRONG: Final = 1e-2
"""The strength of Tables 1 and 2."""

FREE: Final = 5.0
"""Percent of the test error that a penalty may cost and still be called free, as in the studies."""

_TIMES_LOWER: Final = {"mean": 4.03, "p90": 4.75, "max": 2.62}
_TABLE_2: Final = {
    "smooth": (-1.02, 65.1),
    "piecewise": (0.0, 78.9),
    "sparse": (4.12, 88.2),
    "oscillatory": (0.45, 32.4),
    "entangled": (2.11, 54.3),
}
_REPORTED_MEAN: Final = 4.11e-5
_REPORTED_MSE: Final = 0.113
_FITTED_R2: Final = 0.1

CLAIMS: Final = (
    *(
        Claim(name=f"families-{name}", statement=statement, reported=reported)
        for name, statement, reported in (
            ("mean", "DREG at 10^-2 lowers the mean gradient norm 4 times", "4.03 times (Table 1)"),
            ("p90", "DREG at 10^-2 lowers the 90th percentile 5 times", "4.75 times (Table 1)"),
            ("max", "DREG lowers the largest gradient norm 3 times", "2.62 times (Section 6.1)"),
            ("free", "DREG at 10^-2 leaves the test error as it is", "1.00 times (Table 1)"),
            (
                "fitted",
                "gradient norms of Table 1 are those of a network that has learned its target",
                "mean 4.11e-5 at MSE 0.113",
            ),
            (
                "plateau",
                "the strongest strength that validation allows lowers the 90th percentile",
                "Figure 1: norms drop, error stays",
            ),
            ("seeds", "DREG lowers the spread of the test error over seeds", "Section 5, no figure"),
        )
    ),
    *(
        Claim(
            name=f"families-{family}-{figure}",
            statement=f"{family}: DREG at 10^-2 "
            + ("lowers the 90th percentile" if figure == "p90" else _error_claim),
            reported=f"{change:+.1f}%" if figure == "p90" else f"{change:+.2f}% (+ is better)",
        )
        for family, changes in _TABLE_2.items()
        for figure, change in zip(("error", "p90"), changes, strict=True)
        for _error_claim in ("lowers the test error" if change > 1.0 else "leaves the test error as it is",)
    ),
)


def find_synthetic(table: pd.DataFrame) -> list[Finding]:
    """Judge the claims; the unit is an instance, averaged over seeds and activations."""
    means = _by_instance(table)
    weak, strong = (means.xs(strength, level="strength") for strength in (0.0, STRONG))
    found = [
        *(_reduction(name, weak[name], strong[name], times) for name, times in _TIMES_LOWER.items()),
        _free("families-free", _percent_less(weak["test_mse"], strong["test_mse"])),
        _fitted(table),
        _plateau(table),
        _seeds(table),
    ]
    for family, (change, lower) in _TABLE_2.items():
        if family not in weak.index.get_level_values("problem"):
            continue
        own, penalized = (part.xs(family, level="problem") for part in (weak, strong))
        error = _percent_less(own["test_mse"], penalized["test_mse"])
        r2 = f"R² {own['r2'].mean():.2f} to {penalized['r2'].mean():.2f}"
        name = f"families-{family}-error"
        if change > 1.0:
            described = describe(error, digits=1, unit="%")
            found.append(Finding(claim=name, ours=described, verdict=sized_verdict(error, change), remark=r2))
        else:
            found.append(_free(name, error, r2))
        p90 = _percent_less(own["p90"], penalized["p90"])
        found.append(
            Finding(
                claim=f"families-{family}-p90",
                ours=describe(p90, digits=1, unit="%"),
                verdict=sized_verdict(p90, lower),
            )
        )
    return found


def _by_instance(table: pd.DataFrame) -> pd.DataFrame:
    return table.groupby(["problem", "instance", "strength"])[
        ["mean", "p90", "max", "test_mse", "valid_mse", "r2"]
    ].mean()


def _percent_less(base: pd.Series, other: pd.Series) -> Float[np.ndarray, " n"]:
    less: Float[np.ndarray, " n"] = (100.0 * (1.0 - other / base)).to_numpy()
    return less


def _reduction(name: str, base: pd.Series, other: pd.Series, reported: float) -> Finding:
    """How many times lower; judged by the logarithms."""
    logs = np.log((base / other).to_numpy())
    times = float(np.exp(logs.mean()))
    return Finding(
        claim=f"families-{name}",
        ours=f"{times:.2f} times lower (geometric mean); percent: "
        + describe(_percent_less(base, other), digits=1, unit="%"),
        verdict=sized_verdict(logs, np.log(reported)),
    )


def _free(name: str, change: Float[np.ndarray, " n"], remark: str = "") -> Finding:
    return Finding(
        claim=name,
        ours=describe(change, digits=1, unit="%") + f"; free: within {FREE:.0f}%",
        verdict=equivalence_verdict(change, FREE),
        remark=remark,
    )


def _fitted(table: pd.DataFrame) -> Finding:
    """The gradients of surrogates that learned something, beside the paper's.

    A function whose gradient is g all over the box spreads by g times the inputs' standard deviation at most,
    1 / sqrt(3), and its R² is at most 2 cov / var <= 2 spread / deviation of the target.
    """
    fitted = table[(table["r2"] > _FITTED_R2) & ~table["failed"].astype(bool)]
    least = float(fitted["mean"].min())
    bound = 2.0 * _REPORTED_MEAN / np.sqrt(3.0) / np.sqrt(_REPORTED_MSE)
    hollow = table[table["r2"] <= _FITTED_R2]["mean"]
    beside = f"; those with less: {hollow.min():.2g} to {hollow.max():.2g}" if len(hollow) else ""
    return Finding(
        claim="families-fitted",
        ours=f"least mean norm with R² over {_FITTED_R2}: {least:.2g}{beside}",
        verdict="reproduced" if least <= _REPORTED_MEAN else "not reproduced",
        remark=f"norms of 4e-5 beside an MSE of 0.113 leave an R² of at most {bound:.0e}: a constant",
    )


def _plateau(table: pd.DataFrame) -> Finding:
    """At the strongest strength whose validation error is within 5% of that without a penalty."""
    means = _by_instance(table)
    lower, error, chosen = [], [], []
    for _, own in means.groupby(level=["problem", "instance"]):
        strengths = own.droplevel(["problem", "instance"])
        base = strengths.loc[0.0]
        allowed = strengths[strengths["valid_mse"] <= (1.0 + FREE / 100.0) * base["valid_mse"]]
        best = allowed.iloc[-1]
        chosen.append(float(allowed.index[-1]))
        lower.append(100.0 * (1.0 - best["p90"] / base["p90"]))
        error.append(100.0 * (1.0 - best["test_mse"] / base["test_mse"]))
    return Finding(
        claim="families-plateau",
        ours=f"p90 {describe(np.array(lower), digits=1, unit='%')}; "
        f"test error {describe(np.array(error), digits=1, unit='%')}",
        verdict=directional_verdict(np.array(lower)),
        remark=f"median strength {np.median(chosen):.0e}",
    )


def _seeds(table: pd.DataFrame) -> Finding:
    groups = table.groupby(["problem", "instance", "activation", "strength"])["test_mse"]
    spread = (100.0 * groups.std(ddof=1) / groups.mean()).groupby(["problem", "instance", "strength"]).mean()
    weak, strong = (spread.xs(strength, level="strength") for strength in (0.0, STRONG))
    less = (weak - strong).to_numpy()
    return Finding(
        claim="families-seeds",
        ours=f"{number(float(weak.mean()), 1)}% to {number(float(strong.mean()), 1)}% of the error; "
        + describe(less, digits=1, unit=" points"),
        verdict=directional_verdict(less),
    )


def summarize_synthetic(table: pd.DataFrame) -> pd.DataFrame:
    """Means over instances, seeds and activations, a row a family and strength."""
    figures = ("mean", "p90", "max", "proxy", "linearity_error", "test_mse", "r2")
    means = table.groupby(["problem", "strength"], sort=False)[list(figures)].mean().reset_index()
    collapsed = table.assign(low=table["r2"] < _FITTED_R2).groupby(["problem", "strength"], sort=False)["low"]
    shown = means.assign(collapsed=[percent(float(share)) for share in collapsed.mean()])
    return shown.map(lambda value: value if isinstance(value, str) else f"{value:.3g}")
