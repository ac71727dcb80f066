"""The ask/tell loop of Bayesian optimization: its state and the order of events; the steps live next door."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd
import torch
from botorch.models.model import Model
from jaxtyping import Float
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from surrogate_opt.adapters.botorch.fitter import ModelFitter
from surrogate_opt.adapters.botorch.registry import make_fitter
from surrogate_opt.data.checks import check_count
from surrogate_opt.errors import InputError, TrainingError
from surrogate_opt.loops.bayesian.budget import AcquisitionBudget
from surrogate_opt.loops.bayesian.fit_cache import FitCache
from surrogate_opt.loops.bayesian.history import history_table
from surrogate_opt.loops.bayesian.ledger import BestEvaluation
from surrogate_opt.loops.bayesian.next_proposal import with_model_proposal, with_sobol_proposal
from surrogate_opt.loops.bayesian.numerics import NumericalError, numerical_work, one_line
from surrogate_opt.loops.bayesian.posterior import means_and_variances
from surrogate_opt.loops.bayesian.recommendation import recommended_point
from surrogate_opt.loops.bayesian.refits import FitterFactory
from surrogate_opt.loops.bayesian.seeds import Purpose, derived_seed
from surrogate_opt.loops.bayesian.settings import check_settings
from surrogate_opt.loops.bayesian.state import LoopState
from surrogate_opt.loops.bayesian.storage import read_campaign, write_campaign
from surrogate_opt.loops.bayesian.table import ModelTable
from surrogate_opt.loops.bayesian.told import check_points, check_told
from surrogate_opt.networks.threads import one_thread


class BayesianLoop:
    """Proposes points of a box, learns from what comes of them, and proposes better ones.

    The first points are a scrambled Sobol sequence. After that, whenever points are asked for and new ones
    have been told, a model is fitted to all evaluations, and an acquisition says where to evaluate next.
    Every draw is a function of the seed and of how many points were told and asked for, so that a loop read
    from a file goes on as it would have.

    No point is proposed twice: two points are the same where no continuous input differs by more than 1e-4 of
    its range. More points asked for before the last ones are told (``q > 1`` too) are chosen one after the
    other with what the pending ones may bring taken into account.

    Evaluations that fail (y, or a constraint, is NaN or beyond 1e150) are recorded and counted. The model
    learns the worst value observed for them, so that it stops promising anything there.

    Args:
        bounds: ``(2, d)``, raw units.
        model: "ensemble", "last_layer", "deep_kernel" or "gp"; or a function from a seed to a
            ``ModelFitter``.
        acquisition: "log_ei", "qlog_ei", "qlog_nei" (the choice with noise), "ucb", "qucb", "mean",
            "thompson" or "knowledge_gradient" (not with ensembles). With constraints one of the first three.
        penalty: how the model's derivatives are controlled.
        strength: "auto", or the penalty's one number. The choice is made anew every 10 evaluations.
        maximize: look for the largest y.
        num_initial: evaluations before the first model, the user's own included; by default max(5, d + 1).
        num_constraints: how many numbers come with each y that are feasible up to 0.
        integers: indices of inputs that take whole numbers only.
        seed: of all draws, from 0 to 2^62.
        feature_names: d names for the history.
        budget: how much work goes into a proposal.

    Raises:
        InputError: an argument that cannot be used.

    Example:
        >>> from surrogate_opt.loops.bayesian import BayesianLoop
        >>> loop = BayesianLoop([[-1.0, -1.0], [1.0, 1.0]], model="gp", num_initial=4)
        >>> for _ in range(6):
        ...     x = loop.ask()
        ...     loop.tell(x, ((x - 0.3) ** 2).sum(1))
        >>> loop.best.y < 0.5
        True
    """

    def __init__(
        self,
        bounds: Any,
        *,
        model: str | FitterFactory = "last_layer",
        acquisition: str = "log_ei",
        penalty: str = "dreg",
        strength: str | float = "auto",
        maximize: bool = False,
        num_initial: int | None = None,
        num_constraints: int = 0,
        integers: Sequence[int] = (),
        seed: int = 0,
        feature_names: Sequence[str] | None = None,
        budget: AcquisitionBudget | None = None,
    ) -> None:
        settings = check_settings(
            bounds=bounds,
            model=model if isinstance(model, str) else None,
            acquisition=acquisition,
            penalty=penalty,
            strength=strength,
            maximize=maximize,
            num_initial=num_initial,
            num_constraints=num_constraints,
            integers=integers,
            seed=seed,
            feature_names=feature_names,
            budget=budget or AcquisitionBudget(),
        )
        self._begin(LoopState(settings=settings), None if isinstance(model, str) else model)

    @classmethod
    def from_state(cls, state: LoopState, *, model: FitterFactory | None = None) -> Self:
        """A loop that goes on from a state.

        Args:
            state: of an earlier loop.
            model: from a seed to a fitter, for a loop that was made with such a function.

        Raises:
            InputError: the function is missing, or the loop names a model of its own.
        """
        named = state.settings.model
        if model is None and named is None:
            raise InputError(
                "model: expected the function from a seed to a fitter that the loop was made with"
            )
        if model is not None and named is not None:
            raise InputError(f"model: expected none, as the loop was made with {named!r}")
        loop = cls.__new__(cls)
        loop._begin(state, model)
        return loop

    def _begin(self, state: LoopState, model: FitterFactory | None) -> None:
        self._state = state
        self._domain = state.settings.domain
        self._cache = FitCache(model or self._named_fitter)

    def ask(self, q: int = 1) -> Float[NDArray[np.float64], "q d"]:
        """The next points to evaluate, raw units; they are pending until they are told.

        Args:
            q: how many.

        Raises:
            InputError: q is under 1, or every point of an integer box is evaluated or pending.
        """
        check_count("q", q, 1)
        state = self._state
        for _ in range(q):
            state = self._with_proposal(state)
        self._state = state
        return np.array([proposal.x for proposal in state.ledger.pending[-q:]])

    def tell(self, x: ArrayLike | Tensor, y: ArrayLike | Tensor, constraints: Any = None) -> None:
        """Record evaluations, of points that were asked for or of any others of the box.

        Args:
            x: ``(n, d)``, or ``(d,)`` for one; raw units.
            y: ``(n,)``, ``(n, 1)``, or one number; NaN or infinite where an evaluation failed. Numbers beyond
                1e150 are taken for infinite.
            constraints: ``(n, m)``, feasible up to 0; ``(n,)`` with one constraint, ``(m,)`` for one point.

        Raises:
            InputError: shapes that do not fit, a point outside of the box, or an integer input that is none.
        """
        settings = self._state.settings
        rows = check_told(self._domain, settings.num_constraints, x, y, constraints)
        self._state = replace(self._state, ledger=self._state.ledger.with_evaluations(self._domain, *rows))

    @property
    def best(self) -> BestEvaluation | None:
        """The best finite feasible observation; None where there is none."""
        return self._state.ledger.best(maximize=self._state.settings.maximize)

    @property
    def pending(self) -> Float[NDArray[np.float64], "p d"]:
        """Points that were asked for and not told yet, raw units."""
        points = [proposal.x for proposal in self._state.ledger.pending]
        return np.array(points, dtype=np.float64).reshape(-1, self._domain.dim)

    @property
    def history(self) -> pd.DataFrame:
        """All evaluations, one row each, raw units and the user's sense.

        Columns: evaluation (from 1), kind ("initial", "model", "user", "fallback"), the inputs by name, y,
        constraint_0 and so on, status ("ok", "failed", "infeasible"), best (so far; NaN while there is none),
        predicted_mean and predicted_std of y when the point was proposed (NaN without a model), seconds_fit
        (0 where the last fit was used once more), seconds_acquisition, strength (the penalty's level; NaN
        without one), note (why a proposal fell back on a Sobol point).
        """
        settings = self._state.settings
        return history_table(
            self._state.ledger.evaluations,
            settings.feature_names,
            settings.num_constraints,
            maximize=settings.maximize,
        )

    @property
    def state(self) -> LoopState:
        """All that decides what the loop does next."""
        return self._state

    @property
    def model(self) -> Model:
        """The model of all evaluations so far, fitted now if it is not yet.

        It takes points of the unit box. Its first output is y, negated unless the loop maximizes; then come
        the constraints that have varied so far; each is over the power of two next to its spread. ``predict``
        speaks in the user's units. Looking at either changes no later proposal.

        Raises:
            InputError: fewer than 3 finite values of y, or all equal.
            TrainingError: no usable model came of the evaluations.
        """
        table = self._cache.table(self._state)
        if table is None:
            raise InputError("model: expected at least 3 finite values of y that differ")
        return self._cache.fit(self._state, table).model

    def predict(
        self, x: ArrayLike
    ) -> tuple[Float[NDArray[np.float64], " n"], Float[NDArray[np.float64], " n"]]:
        """Mean and standard deviation of y at points, by the model of all evaluations so far; raw units.

        Args:
            x: ``(n, d)``, raw units.

        Raises:
            InputError: x of another shape, or what ``model`` refuses.
            TrainingError: as for ``model``.
        """
        points = check_points(self._domain, x)
        model = self.model
        with torch.no_grad():
            mean, variance = means_and_variances(model, self._domain.to_unit(torch.from_numpy(points)))
        table = self._cache.table(self._state)
        assert table is not None, "there is a model"
        unit = float(table.units[0])
        sign = 1.0 if self._state.settings.maximize else -1.0
        return sign * unit * mean[:, 0].numpy(), unit * variance[:, 0].clamp_min(0.0).sqrt().numpy()

    def recommend(self) -> Float[NDArray[np.float64], " d"]:
        """The point of the whole box with the best posterior mean, ``(d,)``, raw units.

        With constraints, among the points where their means are feasible. Where no model can be had it is the
        best observation.

        Raises:
            InputError: there is neither a model nor a finite feasible observation.
        """
        best, table = self.best, self._cache.table(self._state)
        try:
            if table is not None:
                return self._recommended(table)
        except (TrainingError, NumericalError):
            if best is None:
                raise
        if best is None:
            raise InputError("recommend: expected a finite feasible evaluation; there is none so far")
        return best.x

    def save(self, path: str | Path) -> None:
        """Write the loop to a file, which ``load`` and ``Campaign`` read; a file that is there is replaced.

        Raises:
            InputError: the file cannot be written.
        """
        write_campaign(Path(path), self._state)

    @classmethod
    def load(cls, path: str | Path, *, model: FitterFactory | None = None) -> Self:
        """Read a loop, which goes on as the saved one would.

        Args:
            path: a file of ``save`` or of a ``Campaign``.
            model: from a seed to a fitter, for a loop that was made with such a function.

        Raises:
            InputError: the file is missing, damaged or of another kind, or ``model`` does not fit it.
        """
        return cls.from_state(read_campaign(Path(path)), model=model)

    def _recommended(self, table: ModelTable) -> Float[NDArray[np.float64], " d"]:
        settings = self._state.settings
        model = self._cache.fit(self._state, table).model
        with numerical_work(), one_thread():
            point = recommended_point(
                model,
                self._domain,
                best=table.best_points,
                budget=settings.budget,
                seed=derived_seed(settings.seed, Purpose.RECOMMENDATION, table.num_evaluations),
            )
        return np.array(self._domain.to_raw(point).tolist())

    def _with_proposal(self, state: LoopState) -> LoopState:
        """The state after one more point was proposed."""
        settings, ledger = state.settings, state.ledger
        table = self._cache.table(state)
        begun = len(ledger.evaluations) + len(ledger.pending) >= settings.num_initial
        if not begun or table is None or not table.is_informative:
            return replace(state, ledger=with_sobol_proposal(settings, ledger, kind="initial"))
        try:
            fit = self._cache.fit(state, table)
        except TrainingError as error:
            note = f"model: {one_line(error)}"
            return replace(state, ledger=with_sobol_proposal(settings, ledger, kind="fallback", note=note))
        last = state.last_refit
        is_new = last is None or last.num_evaluations != fit.record.num_evaluations
        return replace(
            state,
            ledger=with_model_proposal(settings, ledger, fit, seconds_fit=fit.seconds if is_new else 0.0),
            last_refit=fit.record,
        )

    def _named_fitter(self, seed: int) -> ModelFitter:
        settings = self._state.settings
        assert settings.model is not None, "checked when the loop was made"
        return make_fitter(settings.model, penalty=settings.penalty, strength=settings.strength, seed=seed)
