"""The ensemble as a model of a loop: fold members, spread by what they say of rows they never saw."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from surrogate_opt.adapters.botorch.calibration import held_out_scale
from surrogate_opt.adapters.botorch.ensemble import EnsembleSurrogate
from surrogate_opt.adapters.botorch.fitter import FitterState
from surrogate_opt.adapters.botorch.members import OutputMembers
from surrogate_opt.adapters.botorch.refitting import FoldRefitter, RefitRecipe
from surrogate_opt.networks.threads import one_thread


class EnsembleFitter:
    """Refits an ensemble of fold members from where it was, and calibrates its spread anew.

    Args:
        penalty: the method of derivative control.
        strength: "auto", or the method's one number.
        seed: of folds, initial weights and minibatch order.
        recipe: how members are trained.
        bounds: the box of the inputs, ``(2, d)``; the unit box where none is given.

    Raises:
        InputError: an unknown penalty.
    """

    def __init__(
        self,
        *,
        penalty: str = "dreg",
        strength: str | float = "auto",
        seed: int = 0,
        recipe: RefitRecipe | None = None,
        bounds: Float[Tensor, "2 d"] | None = None,
    ) -> None:
        self._seed = seed
        recipe = RefitRecipe() if recipe is None else recipe
        self._refitter = FoldRefitter(recipe, penalty=penalty, strength=strength, seed=seed, bounds=bounds)

    @one_thread()
    def fit(
        self, x: Float[Tensor, "n d"], y: Float[Tensor, " n"], *, choose_strength: bool
    ) -> EnsembleSurrogate:
        """See ``ModelFitter``."""
        fitted = self._refitter.refit(x, y, choose_strength=choose_strength)
        scale = held_out_scale(fitted.stack, fitted.x, fitted.residuals, seed=self._seed)
        members = OutputMembers(fitted.stack, fitted.scaling, calibration=scale, trend=fitted.trend)
        return EnsembleSurrogate([members])

    def state(self) -> FitterState:
        """See ``ModelFitter``."""
        return self._refitter.state()

    def restore(self, state: FitterState) -> None:
        """See ``ModelFitter``."""
        self._refitter.restore(state)
