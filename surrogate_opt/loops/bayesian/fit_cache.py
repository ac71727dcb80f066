"""The fit to all evaluations of a state, made when it is first wanted and kept until more are told."""

from __future__ import annotations

from surrogate_opt.errors import InputError, TrainingError
from surrogate_opt.loops.bayesian.numerics import NumericalError, numerical_work, one_line
from surrogate_opt.loops.bayesian.refits import FitterFactory, Refit, refit
from surrogate_opt.loops.bayesian.state import LoopState
from surrogate_opt.loops.bayesian.table import ModelTable, model_table


class FitCache:
    """Tables and fits of one loop, whose states only ever gain evaluations.

    Args:
        make_fitter: from a seed to a fitter.
    """

    def __init__(self, make_fitter: FitterFactory) -> None:
        self._make_fitter = make_fitter
        self._num_evaluations = -1
        self._table: ModelTable | None = None
        self._fit: Refit | TrainingError | None = None

    def table(self, state: LoopState) -> ModelTable | None:
        """The evaluations as models see them; None where there is too little to fit."""
        if self._num_evaluations != len(state.ledger.evaluations):
            self._num_evaluations = len(state.ledger.evaluations)
            self._fit = None
            self._table = model_table(state.ledger, state.settings.domain, maximize=state.settings.maximize)
        return self._table

    def fit(self, state: LoopState, table: ModelTable) -> Refit:
        """The fit to the state's table; a fit that failed is not tried again.

        Raises:
            TrainingError: no usable model came of it, whatever way it failed: also where numbers left their
                range in the middle of it, or a named model refused the table.
        """
        if self._fit is None:
            try:
                with numerical_work():
                    self._fit = refit(table, self._make_fitter, state.settings.seed, state.last_refit)
            except TrainingError as error:
                self._fit = error
            except (NumericalError, InputError) as error:
                if isinstance(error, InputError) and state.settings.model is None:
                    raise
                self._fit = TrainingError(f"the fit failed ({one_line(error)})")
        if isinstance(self._fit, TrainingError):
            raise TrainingError(str(self._fit))
        return self._fit
