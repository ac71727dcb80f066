"""What the gradient regularization paper says of its penalties in Section 5, on random networks."""

from __future__ import annotations

import math
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import ClassVar, Final, Literal

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float, Int
from pydantic import BaseModel, ConfigDict
from torch import Tensor, nn
from torch.func import jacrev, vmap

from surrogate_opt.penalties.modules.jacobian import (
    DataGrad,
    FrobReg,
    JacobianPenalty,
    JacReg,
    RandomOneHot,
    SpectReg,
)
from surrogate_opt.study.evidence import experiment
from surrogate_opt.study.evidence.cell import EvidenceCell
from surrogate_opt.study.evidence.claim import (
    Finding,
    Judgement,
    Verdict,
    describe,
    named_claims,
    named_findings,
    no_worse_verdict,
    weakest,
)
from surrogate_opt.study.evidence.experiment import Experiment, Preset
from surrogate_opt.study.store import StoredOutcome
from surrogate_opt.study.strict_specs import Positive, hashed_key, mixed_seed

NAME: Final = "identities"
Activation = Literal["relu", "silu"]
CELL_VERSION = 2
_ACTIVATIONS: Final[tuple[Activation, ...]] = ("relu", "silu")
_WIDTHS: Final = (6, 16, 12, 5)
_NUM_INPUTS: Final = 32
_OF_BIASES: Final[dict[str, type[JacobianPenalty]]] = {
    "frobreg": FrobReg,
    "spectreg": SpectReg,
    "datagrad": DataGrad,
    "jacreg": JacReg,
}
_ROUNDING: Final = 1e-12
"""Relative; what float64 leaves of an identity."""

_UNBIASED: Final = 0.02
"""By so much the mean of projections may be off and still be called unbiased: what their number can tell."""


class IdentitiesSpec(BaseModel):
    """What is checked.

    Attributes:
        networks: random ones under each activation.
        draws: of each random projection, at each of 32 inputs.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    networks: Positive = 20
    draws: Positive = 400

    def cells(self, folder: Path) -> list[IdentitiesCell]:
        """A cell for each network and activation; no data are read from the folder."""
        return [
            IdentitiesCell(spec=self, activation=activation, instance=number)
            for number in range(self.networks)
            for activation in _ACTIVATIONS
        ]


class IdentitiesCell(EvidenceCell):
    """One random network."""

    family: ClassVar[str] = NAME
    spec: IdentitiesSpec
    activation: Activation

    @property
    def place(self) -> str:
        """What the cell is called in messages."""
        return f"{self.activation}, network {self.instance}"

    @property
    def key(self) -> str:
        """Hash of all that determines the result, and of nothing else."""
        return hashed_key(NAME, CELL_VERSION, self.spec.draws, self.activation, self.instance)


def run_identities_cell(cell: IdentitiesCell) -> StoredOutcome:
    """Compare penalties with full Jacobians, in float64."""
    generator = torch.Generator().manual_seed(mixed_seed(cell.instance, *cell.activation.encode()))
    model = _network(cell.activation, generator)
    x = torch.randn(_NUM_INPUTS, _WIDTHS[0], generator=generator, dtype=torch.float64)
    labels = torch.randint(_WIDTHS[-1], (_NUM_INPUTS,), generator=generator)
    linear = _layer(_WIDTHS[0], _WIDTHS[-1], generator).double()
    with torch.no_grad():
        jacobians = vmap(jacrev(model))(x)
        weight_decay = float(linear.weight.square().sum())
        by_error, frobenius = float(DataGrad(model)(x, labels)), float(FrobReg(linear)(x))
    whole = float(jacobians.square().sum((1, 2)).mean())
    shape = cell.spec.draws, _NUM_INPUTS, _WIDTHS[-1]
    sphere = nn.functional.normalize(torch.randn(shape, generator=generator, dtype=torch.float64), dim=-1)
    projected = torch.einsum("snm,nmd->snd", sphere, jacobians).norm(dim=-1)
    norms = [float(layer.weight.detach().norm()) for layer in model.modules() if isinstance(layer, nn.Linear)]
    mean_square = float(np.mean(np.square(norms)))
    mean = partial(_mean_of_draws, x=x, draws=cell.spec.draws)
    row = {
        "normal": _WIDTHS[-1] * mean(SpectReg(model, seed=cell.instance)) / whole - 1.0,
        "one_hot": mean(RandomOneHot(model, seed=cell.instance)) / whole - 1.0,
        "sphere": _WIDTHS[-1] * float(projected.square().mean()) / whole - 1.0,
        "above_spectral": float((projected / torch.linalg.matrix_norm(jacobians, 2)).max()) - 1.0,
        "datagrad": abs(by_error / _projected_by_error(model, jacobians, x, labels) - 1.0),
        "linear": abs(frobenius / weight_decay - 1.0),
        "above_product": float(jacobians.flatten(1).norm(dim=1).max()) / math.prod(norms) - 1.0,
        "above_mean": float(jacobians.square().sum((1, 2)).max()) / mean_square ** len(norms) - 1.0,
    }
    row |= {
        f"biases_{name}": _share_of_biases(model, penalty(model)(x, labels))
        for name, penalty in _OF_BIASES.items()
    }
    place = {"activation": cell.activation, "network": cell.instance}
    return StoredOutcome(truth={}, rows=[place | row], arrays={})


def _network(activation: Activation, generator: torch.Generator) -> nn.Module:
    layers: list[nn.Module] = []
    for n_in, n_out in pairwise(_WIDTHS):
        layers += [_layer(n_in, n_out, generator), nn.ReLU() if activation == "relu" else nn.SiLU()]
    return nn.Sequential(*layers[:-1]).double()


def _layer(n_in: int, n_out: int, generator: torch.Generator) -> nn.Linear:
    layer = nn.Linear(n_in, n_out, device="meta").to_empty(device="cpu")
    nn.init.kaiming_uniform_(layer.weight, generator=generator)
    nn.init.uniform_(layer.bias, -0.5, 0.5, generator=generator)
    return layer


@torch.no_grad()
def _mean_of_draws(penalty: JacobianPenalty, x: Tensor, draws: int) -> float:
    return sum(float(penalty(x)) for _ in range(draws)) / draws


@torch.no_grad()
def _projected_by_error(
    model: nn.Module, jacobians: Float[Tensor, "n m d"], x: Float[Tensor, "n d"], labels: Int[Tensor, " n"]
) -> float:
    """E ||J^T (softmax(g) - y)||^2."""
    error = model(x).softmax(1) - nn.functional.one_hot(labels, _WIDTHS[-1])
    return float(torch.einsum("nm,nmd->nd", error, jacobians).square().sum(1).mean())


def _share_of_biases(model: nn.Module, value: Tensor) -> float:
    """Norm of a penalty's gradient by the biases, over that by all parameters."""
    names, parameters = zip(*model.named_parameters(), strict=True)
    gradients = torch.autograd.grad(value, parameters, allow_unused=True, materialize_grads=True)
    by_name = dict(zip(names, gradients, strict=True))
    biases = torch.cat([own.flatten() for name, own in by_name.items() if name.endswith("bias")])
    everything = torch.cat([own.flatten() for own in gradients])
    return float(biases.norm() / everything.norm())


TITLE: Final = "Identities of gradient penalties (gradient regularization paper, Section 5)"
PROTOCOL: Final = (
    "20 random networks 6-16-12-5 under ReLU and SiLU each, 32 random inputs, 400 draws of each random "
    "projection; penalties for torch modules against full Jacobians in float64."
)
_WHY: Final = {"biases": "the softmax's weights in the Jacobian depend on logits, and so on biases"}
CLAIMS: Final = named_claims(
    NAME,
    (
        (
            "unbiased",
            "normal, unit and one-hot projections estimate the Frobenius norm without bias, up to a constant",
            "Claim 1",
        ),
        ("datagrad", "DataGrad is the projection of the logits' Jacobian by softmax(g) - y", "Claim 2"),
        ("linear", "of one linear layer FrobReg is weight decay", "Section 5.2"),
        ("product", "under ReLU the product of the layers' weight norms bounds FrobReg", "Section 5.2"),
        ("mean", "so does the total weight norm, by the means' inequality", "Section 5.2"),
        ("spectral", "a unit projection's norm is a lower bound to the spectral norm", "Section 5.1"),
        ("biases", "under ReLU no gradient penalty gives the biases a gradient", "Section 5.3"),
    ),
    _WHY,
)


def find_identities(table: pd.DataFrame) -> list[Finding]:
    """Judge the claims by the rows of all cells: exact ones by rounding, unbiased ones by their interval."""
    relu = table[table["activation"] == "relu"]
    found: dict[str, Judgement] = {
        "unbiased": _unbiased(table),
        "datagrad": _exact(table["datagrad"], "relative difference"),
        "linear": _exact(table["linear"], "relative difference"),
        "product": _exact(relu["above_product"], "Jacobian's norm over the product, less 1,"),
        "spectral": _exact(table["above_spectral"], "projection's norm over the spectral norm, less 1,"),
        "mean": _exact(relu["above_mean"], "squared norm over the bound, less 1,"),
        "biases": _biases(table),
    }
    return named_findings(NAME, found)


def _biases(table: pd.DataFrame) -> Judgement:
    columns = {f"biases_{name}": penalty.__name__ for name, penalty in _OF_BIASES.items()}
    relu, silu = (table[table["activation"] == name][list(columns)] for name in _ACTIVATIONS)
    ours, verdict, _ = _exact(relu.max(axis=1, skipna=False), "share of a penalty's gradient")
    shown = (
        f"{activation} {', '.join(f'{label} {own[name].mean():.2g}' for name, label in columns.items())}"
        for activation, own in (("ReLU", relu), ("SiLU", silu))
    )
    return ours, verdict, f"means: {'; '.join(shown)}"


def _exact(values: pd.Series, what: str) -> Judgement:
    """At most rounding above zero, on every network."""
    largest = float(values.max(skipna=False))
    verdict: Verdict = "reproduced" if largest <= _ROUNDING else "not reproduced"
    return f"{what} at most {largest:.1g} on {len(values)} networks", verdict, ""


def _unbiased(table: pd.DataFrame) -> Judgement:
    names = {"normal": "normal", "sphere": "unit", "one_hot": "one-hot"}
    off = {label: table[name].to_numpy(dtype=float) for name, label in names.items()}
    verdicts = [no_worse_verdict(sign * own, _UNBIASED) for own in off.values() for sign in (1.0, -1.0)]
    shown = "; ".join(f"{label} {describe(100.0 * own, digits=2, unit='%')}" for label, own in off.items())
    return f"relative difference: {shown}", weakest(verdicts), "of the squared norm, as the proof has it"


def summarize_identities(table: pd.DataFrame) -> pd.DataFrame:
    """Every figure's mean and largest value, a row a figure and activation."""
    figures = table.drop(columns="network").melt(id_vars="activation", var_name="figure")
    found = figures.groupby(["figure", "activation"], sort=False)["value"].agg(["mean", "max"]).reset_index()
    return found.map(lambda value: value if isinstance(value, str) else f"{value:.1g}")


_PAPER: Final = IdentitiesSpec()
IDENTITIES: Final = Experiment(
    name=NAME,
    title=TITLE,
    protocol=PROTOCOL,
    claims=CLAIMS,
    presets={
        experiment.PROTOCOL: Preset(cells=_PAPER.cells),
        "smoke": Preset(
            cells=_PAPER.model_copy(update={"networks": 3, "draws": 40}).cells, cuts="3 networks, 40 draws"
        ),
    },
    compute=run_identities_cell,
    find=find_identities,
    summarize=summarize_identities,
)
