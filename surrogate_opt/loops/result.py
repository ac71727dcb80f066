"""What minimize hands back: the best point, every end point, and distinct candidates among them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from surrogate_opt.adapters.box import as_box
from surrogate_opt.errors import InputError
from surrogate_opt.types import Trajectories

Array = npt.NDArray[np.float64] | Tensor
Status = Literal["converged", "max_steps", "failed"]
Method = Literal["adam", "gradient_descent", "lbfgsb", "slsqp"]


@dataclass(frozen=True, kw_only=True)
class Candidates:
    """Distinct end points, the best first.

    Attributes:
        x: the points, ``(k, d)``, raw units.
        value: the model's value there, ``(k,)``, in the user's sense.
        start: which start each came from, ``k`` indices.
    """

    x: Array
    value: Array
    start: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class MinimizeResult:
    """Where a loop ended, from every start.

    Arrays are NumPy's unless tensors were given. Values are the bare model's, in the user's sense (largest is
    best after ``maximize=True``); the order of the end points is by what the loop followed, which a guard
    changes.

    Attributes:
        x: the best end point among those that meet the constraints, ``(d,)``, raw units; where none does, the
            one that breaks them least.
        fun: the model's value there; NaN if it was not finite at any start.
        ends: every end point, ``(n, d)``, raw units.
        end_values: the model's values there, ``(n,)``.
        followed_values: what the loop minimized there: guarded, and negated by ``maximize``, ``(n,)``.
        feasible: end points that meet the constraints, n entries.
        statuses: how each loop stopped: "converged", "max_steps", or "failed" where a value was not finite or
            the solver found no way on (a kink, or constraints that cannot be met).
        trajectories: the paths, tensors; their values are what the loop minimized.
        method: the loop.
        bounds: ``(2, d)``, raw units, with fixed inputs at zero width.
    """

    x: Array
    fun: float
    ends: Array
    end_values: Array
    followed_values: Array
    feasible: tuple[bool, ...]
    statuses: tuple[Status, ...]
    trajectories: Trajectories
    method: Method
    bounds: Array

    def candidates(self, num: int = 5, min_distance: float = 0.1) -> Candidates:
        """Pick distinct end points: from the best on, each at least a distance from those picked before.

        Args:
            num: at most so many.
            min_distance: root mean square over the free inputs, in widths of the box.

        Returns:
            The candidates, fewer where the end points fall together; none where no end point is feasible and
            finite.

        Raises:
            InputError: num under 1 or a negative distance.
        """
        if num < 1:
            raise InputError(f"num: expected 1 or more, got {num}")
        if not min_distance >= 0:
            raise InputError(f"min_distance: expected 0 or more, got {min_distance}")
        box = as_box(self.bounds)
        unit = box.to_unit(torch.as_tensor(self.ends))
        num_free = max(1, int(box.free.sum()))
        followed = torch.as_tensor(self.followed_values)
        usable = torch.tensor(self.feasible) & followed.isfinite()
        picked: list[int] = []
        for i in followed.argsort(stable=True).tolist():
            if len(picked) == num:
                break
            if not usable[i]:
                continue
            distance = ((unit[picked] - unit[i]).square().sum(-1) / num_free).sqrt()
            if not picked or float(distance.min()) >= min_distance:
                picked.append(i)
        return Candidates(x=self.ends[picked], value=self.end_values[picked], start=tuple(picked))
