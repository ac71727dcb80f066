"""The kinds of models a loop can be asked for by name."""

from __future__ import annotations

from collections.abc import Sequence

from botorch.models.gpytorch import GPyTorchModel
from botorch.models.model import Model, ModelList
from botorch.models.model_list_gp_regression import ModelListGP
from jaxtyping import Float
from torch import Tensor

from surrogate_opt.adapters.botorch.deep_kernel_fitter import DeepKernelFitter
from surrogate_opt.adapters.botorch.ensemble import EnsembleSurrogate
from surrogate_opt.adapters.botorch.ensemble_fitter import EnsembleFitter
from surrogate_opt.adapters.botorch.fitter import ModelFitter
from surrogate_opt.adapters.botorch.gaussian_process import GaussianProcessFitter
from surrogate_opt.adapters.botorch.last_layer_fitter import LastLayerFitter
from surrogate_opt.data.checks import refuse_unknown

MODEL_NAMES = ("ensemble", "last_layer", "deep_kernel", "gp")


def make_fitter(
    name: str,
    *,
    penalty: str = "dreg",
    strength: str | float = "auto",
    seed: int = 0,
    bounds: Float[Tensor, "2 d"] | None = None,
) -> ModelFitter:
    """A fitter by name.

    Args:
        name: "ensemble", "last_layer", "deep_kernel" or "gp" (BoTorch's SingleTaskGP, the reference).
        penalty: how derivatives are controlled; of no consequence to "gp".
        strength: "auto", or the method's one number.
        seed: of folds, weights and minibatches.
        bounds: the box of the inputs, ``(2, d)``; the unit box where none is given.

    Raises:
        InputError: an unknown name or penalty.
    """
    if name == "ensemble":
        return EnsembleFitter(penalty=penalty, strength=strength, seed=seed, bounds=bounds)
    if name == "last_layer":
        return LastLayerFitter(penalty=penalty, strength=strength, seed=seed, bounds=bounds)
    if name == "deep_kernel":
        return DeepKernelFitter(penalty=penalty, strength=strength, seed=seed, bounds=bounds)
    if name == "gp":
        return GaussianProcessFitter(seed=seed, bounds=bounds)
    refuse_unknown("model", name, MODEL_NAMES)


def join_models(models: Sequence[Model]) -> Model:
    """One model of several outputs from models of one output each, all of one kind.

    Args:
        models: at least one; ensembles need the same number of members.
    """
    ensembles = [model for model in models if isinstance(model, EnsembleSurrogate)]
    if len(ensembles) == len(models):
        return EnsembleSurrogate([output for model in ensembles for output in model.output_members])
    processes = [model for model in models if isinstance(model, GPyTorchModel)]
    if len(processes) == len(models):
        return ModelListGP(*processes)
    return ModelList(*models)
