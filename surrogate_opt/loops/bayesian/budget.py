"""How much work goes into the next proposal."""

from __future__ import annotations

from dataclasses import dataclass, fields

from surrogate_opt.data.checks import check_count
from surrogate_opt.errors import InputError


@dataclass(frozen=True, kw_only=True)
class AcquisitionBudget:
    """How much work goes into optimizing an acquisition.

    Attributes:
        num_restarts: ascents of L-BFGS-B; half of them start near the best evaluations.
        raw_samples: Sobol points among which the other half's starts are chosen, and as many points near the
            best evaluations.
        max_iterations: of each ascent.
        num_samples: of the posterior, for the acquisitions that need samples.
        num_fantasies: imagined evaluations of the knowledge gradient.
        num_candidates: points on which Thompson sampling draws the objective.
    """

    num_restarts: int = 6
    raw_samples: int = 256
    max_iterations: int = 20
    num_samples: int = 128
    num_fantasies: int = 16
    num_candidates: int = 1000

    def __post_init__(self) -> None:
        least = {"num_restarts": 2}
        for field in fields(self):
            check_count(f"budget.{field.name}", getattr(self, field.name), least.get(field.name, 1))
        if self.raw_samples < self.num_restarts:
            raise InputError(
                f"budget.raw_samples: expected at least num_restarts, {self.num_restarts}; "
                f"came {self.raw_samples}"
            )
