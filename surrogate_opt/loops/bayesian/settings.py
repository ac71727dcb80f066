"""What a loop is asked to do: settings that are checked once, never change, and go into its file."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass
from numbers import Real
from typing import Any

from surrogate_opt.adapters.botorch.registry import make_fitter
from surrogate_opt.data.checks import check_count, check_seed, listed
from surrogate_opt.errors import InputError
from surrogate_opt.loops.bayesian.acquisition import check_acquisition
from surrogate_opt.loops.bayesian.budget import AcquisitionBudget
from surrogate_opt.loops.bayesian.domain import Domain, as_domain
from surrogate_opt.penalties.methods import get_method

RESERVED_NAMES = frozenset(
    {
        *("evaluation", "kind", "y", "status", "best", "predicted_mean", "predicted_std"),
        *("seconds_fit", "seconds_acquisition", "strength", "note"),
    }
)
"""Columns of the history that no input may be called."""


@dataclass(frozen=True, kw_only=True)
class LoopSettings:
    """Settings of a loop; make them with ``check_settings``.

    Attributes:
        bounds: lower and upper limits, two rows of d, raw units.
        model: its name, or None where the user brings a fitter.
        acquisition: its name.
        penalty: how derivatives are controlled.
        strength: "auto", or the method's one number.
        maximize: whether a larger y is better.
        num_initial: evaluations before the first model.
        num_constraints: how many constraint values come with each y.
        integers: indices of integer inputs.
        seed: of every draw.
        feature_names: d names.
        budget: of the acquisition's optimization.
    """

    bounds: tuple[tuple[float, ...], tuple[float, ...]]
    model: str | None
    acquisition: str
    penalty: str
    strength: str | float
    maximize: bool
    num_initial: int
    num_constraints: int
    integers: tuple[int, ...]
    seed: int
    feature_names: tuple[str, ...]
    budget: AcquisitionBudget

    @property
    def domain(self) -> Domain:
        """The points that may be proposed."""
        return as_domain(self.bounds, self.integers)

    def to_json(self) -> str:
        """As text for a file."""
        return json.dumps(asdict(self))

    @staticmethod
    def from_json(text: str) -> LoopSettings:
        """From a file's text.

        Raises:
            ValueError, TypeError or KeyError: the text is damaged.
        """
        values: dict[str, Any] = json.loads(text)
        lower, upper = values["bounds"]
        return check_settings(
            **values
            | {
                "bounds": (lower, upper),
                "budget": AcquisitionBudget(**values["budget"]),
            }
        )


def check_settings(
    *,
    bounds: Any,
    model: str | None,
    acquisition: str,
    penalty: str,
    strength: str | float,
    maximize: bool,
    num_initial: int | None,
    num_constraints: int,
    integers: Any,
    seed: int,
    feature_names: Any,
    budget: AcquisitionBudget,
) -> LoopSettings:
    """Check every setting and fill in the defaults that depend on the number of inputs.

    Raises:
        InputError: a setting that cannot be used.
    """
    domain = as_domain(bounds, integers)
    check_seed(seed)
    check_count("num_constraints", num_constraints, 0)
    if num_initial is not None:
        check_count("num_initial", num_initial, 1)
    check_acquisition(acquisition, model, num_constraints)
    if model is not None:
        make_fitter(model, penalty=penalty, strength=strength, seed=seed)
        if model != "gp":
            _check_strength(penalty, strength)
    lower, upper = domain.box.bounds.tolist()
    return LoopSettings(
        bounds=(tuple(lower), tuple(upper)),
        model=model,
        acquisition=acquisition,
        penalty=penalty,
        strength=strength,
        maximize=bool(maximize),
        num_initial=max(5, domain.dim + 1) if num_initial is None else int(num_initial),
        num_constraints=int(num_constraints),
        integers=domain.integers,
        seed=int(seed),
        feature_names=_check_names(feature_names, domain.dim),
        budget=budget,
    )


def _check_strength(penalty: str, strength: Any) -> None:
    """Refuse a number that no network could be trained with: it would be found out after the first points."""
    if strength == "auto":
        return
    is_number = isinstance(strength, Real) and not isinstance(strength, bool)
    is_bound = math.isfinite(get_method(penalty).at(0.0).spectral_bound)
    least = "over 0" if is_bound else "of at least 0"
    if not is_number or not math.isfinite(strength) or strength < 0.0 or (is_bound and strength == 0.0):
        raise InputError(
            f"strength: expected 'auto' or a finite number {least} for {penalty}; came {strength!r}"
        )
    get_method(penalty).at(float(strength))  # refuses what it cannot be


def _check_names(names: Any, dim: int) -> tuple[str, ...]:
    if names is None:
        return tuple(f"x{column}" for column in range(dim))
    checked = tuple(str(name) for name in names)
    if len(checked) != dim or len(set(checked)) != dim:
        raise InputError(f"feature_names: expected {dim} different names; came {listed(checked)}")
    clash = [name for name in checked if name in RESERVED_NAMES or name.startswith("constraint_")]
    if clash:
        raise InputError(
            f"feature_names: expected names that are no columns of the history; came {listed(clash)}"
        )
    return checked
