"""What penalties cost: time and memory of a training step, and how exact its gradient is in float32.

A step is forward pass, loss, backward pass and AdamW, on random inputs. It is timed in two ways: in closed
form, as this project trains stacks, and by autograd with the penalties for torch modules. Of perceptrons the
latter is, under DREG, the pseudocode of its paper (Appendix A.3) with the slopes written out, and averaged
over rows before they meet the weights, which saves most: to watch the layers of any module has a cost of its
own. Memory is what autograd saves for the backward pass; beside it, all that a step holds: also parameters,
their gradients, AdamW's two moments and inputs. Passing scratch space is left out.
"""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Mapping
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import ClassVar, Final, Literal

import numpy as np
import torch
from jaxtyping import Float, Int
from pydantic import BaseModel, ConfigDict
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from surrogate_opt.networks import StackedMLP
from surrogate_opt.penalties import Strength
from surrogate_opt.penalties.modules.confidence import Confidence
from surrogate_opt.penalties.modules.dreg import DREG
from surrogate_opt.penalties.modules.jacobian import DataGrad, FrobReg, JacReg, SpectReg
from surrogate_opt.penalties.modules.module_penalty import ModulePenalty
from surrogate_opt.penalties.modules.slopes import CLOSED_FORMS
from surrogate_opt.study.evidence.cell import EvidenceCell
from surrogate_opt.study.evidence.small_mnist.lenet import LeNet5
from surrogate_opt.study.store import StoredOutcome
from surrogate_opt.study.strict_specs import Positive, hashed_key, mixed_seed
from surrogate_opt.training.losses import CROSS_ENTROPY
from surrogate_opt.training.optimizer import StackAdamW
from surrogate_opt.training.step import ClosedFormGradient, Controls

NAME: Final = "penalty-cost"
CELL_VERSION = 3
NUM_CLASSES = 10
STRENGTH: Final = 1e-3
"""Of every penalty; what a step costs does not depend on it."""

_RATE: Final = 1e-3
_STATE: Final = 4  # numbers a parameter: itself, its gradient, two moments

_PENALTIES: Final[dict[str, type[ModulePenalty]]] = {
    "dreg": DREG,
    "datagrad": DataGrad,
    "spectreg": SpectReg,
    "frobreg": FrobReg,
    "jacreg": JacReg,
    "confidence": Confidence,
}
_STACKED: Final = {
    "none": Strength(),
    "dreg": Strength(dreg=STRENGTH),
    "datagrad": Strength(datagrad=STRENGTH),
}
_MODULES: Final = {"relu": nn.ReLU, "silu": nn.SiLU}

Step = Callable[[], object]


class CostSpec(BaseModel):
    """What is timed.

    Attributes:
        widths: of the perceptrons, inputs to outputs: the DREG paper's for MNIST, and one of 10^3 parameters.
        activations: of their hidden layers.
        seeds: repetitions on each.
        lenets: repetitions on LeNet-5, the other paper's network.
        batch_size: rows a step.
        members: of a stack.
        rounds: steps of each method, taken in turns; times are their medians.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    widths: tuple[tuple[Positive, ...], ...] = (
        (10, 32, 16, NUM_CLASSES),
        (784, 32, 16, NUM_CLASSES),
        (784, 128, 64, NUM_CLASSES),
        (784, 256, 128, NUM_CLASSES),
        (784, 512, 256, NUM_CLASSES),
    )
    activations: tuple[Literal["relu", "silu"], ...] = ("relu", "silu")
    seeds: Positive = 3
    lenets: Positive = 8
    batch_size: Positive = 64
    members: Positive = 4
    rounds: Positive = 40

    def cells(self, folder: Path) -> list[CostCell]:
        """A cell for each network and repetition; no data are read from the folder."""
        perceptrons = [
            CostCell(spec=self, widths=widths, activation=activation, instance=seed)
            for widths in self.widths
            for activation in self.activations
            for seed in range(self.seeds)
        ]
        return perceptrons + [CostCell(spec=self, instance=seed) for seed in range(self.lenets)]


class CostCell(EvidenceCell):
    """All methods on one network: a perceptron, or LeNet-5 where there are no widths."""

    family: ClassVar[str] = NAME
    spec: CostSpec
    widths: tuple[int, ...] = ()
    activation: Literal["relu", "silu"] = "relu"

    @property
    def place(self) -> str:
        """What the cell is called in messages."""
        return f"{self.network}, {self.activation}, repetition {self.instance}"

    @property
    def network(self) -> str:
        """The widths, or ``lenet``."""
        return "-".join(map(str, self.widths)) or "lenet"

    @property
    def key(self) -> str:
        """Hash of all that determines the result, and of nothing else."""
        settings = self.spec.model_dump(mode="json", include={"batch_size", "members", "rounds"})
        return hashed_key(NAME, CELL_VERSION, settings, self.widths, self.activation, self.instance)


def run_cost_cell(cell: CostCell) -> StoredOutcome:
    """Round gradients and count memory at initial weights, then time steps in closed form and by autograd."""
    x, labels = _batch(cell)
    model = _model(cell)
    figures = {
        name: {"rounding": _rounding(model, name, x, labels)} | _memory(model, name, x, labels)
        for name in ("none", *_PENALTIES)
    }
    seconds = _seconds(_autograd_steps(model, x, labels), cell.spec.rounds)
    closed: dict[str, float] = {}
    if cell.widths:
        closed = _seconds(_closed_form_steps(cell, x, labels), cell.spec.rounds)
    place = {"network": cell.network, "activation": cell.activation, "repetition": cell.instance}
    place["parameters"] = sum(parameter.numel() for parameter in model.parameters())
    rows = [
        place
        | {"method": name, "seconds": seconds[name], "closed_form_seconds": closed.get(name, math.nan)}
        | own
        for name, own in figures.items()
    ]
    return StoredOutcome(truth={}, rows=rows, arrays={})


def _batch(cell: CostCell) -> tuple[Tensor, Int[Tensor, " n"]]:
    generator = torch.Generator().manual_seed(mixed_seed(cell.instance, 1))
    shape = (cell.widths[0],) if cell.widths else (1, 28, 28)
    x = torch.randn(cell.spec.batch_size, *shape, generator=generator)
    return x, torch.randint(NUM_CLASSES, (len(x),), generator=generator)


def _model(cell: CostCell) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(mixed_seed(cell.instance, 2))
        if not cell.widths:
            return LeNet5()
        layers: list[nn.Module] = []
        for n_in, n_out in pairwise(cell.widths):
            layers += [nn.Linear(n_in, n_out), _MODULES[cell.activation]()]
        return nn.Sequential(*layers[:-1])


def _loss(model: nn.Module, name: str) -> Callable[[Tensor, Tensor], Tensor]:
    """Cross-entropy with a penalty, or without any."""
    if name == "none":
        return lambda x, labels: cross_entropy(model(x), labels)
    if name == "dreg" and isinstance(model, nn.Sequential):
        return partial(_loss_by_pseudocode, model)
    penalty = _PENALTIES[name](model)

    def loss(x: Tensor, labels: Tensor) -> Tensor:
        logits, value = penalty.with_output(x, labels)
        return cross_entropy(logits, labels) + STRENGTH * value

    return loss


def _loss_by_pseudocode(model: nn.Sequential, x: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy with DREG, the slopes written out and averaged first."""
    parts = []
    for layer in model:
        if isinstance(layer, nn.Linear):
            x = layer(x)
            norms = layer.weight.square().sum(1)
        else:
            slope = CLOSED_FORMS["relu" if isinstance(layer, nn.ReLU) else "silu"](x)
            parts.append(slope.square().mean(0) @ norms)
            x = layer(x)
    penalty = torch.stack([*parts, norms.sum()]).mean()
    return cross_entropy(x, labels) + STRENGTH * penalty


def _autograd_steps(model: nn.Module, x: Tensor, labels: Tensor) -> dict[str, Step]:
    optimizer = torch.optim.AdamW(model.parameters(), lr=_RATE, fused=True)

    def step(loss: Callable[[Tensor, Tensor], Tensor]) -> None:
        optimizer.zero_grad()
        loss(x, labels).backward()  # type: ignore[no-untyped-call]
        optimizer.step()

    return {name: partial(step, _loss(model, name)) for name in ("none", *_PENALTIES)}


def _closed_form_steps(cell: CostCell, x: Float[Tensor, "n d"], labels: Int[Tensor, " n"]) -> dict[str, Step]:
    members = cell.spec.members
    seeds = [mixed_seed(cell.instance, 3)] * members

    def made(strength: Strength) -> Step:
        stack = StackedMLP(cell.widths, members, cell.activation)
        stack.initialize(seeds)
        strengths = [strength] * members
        gradient = ClosedFormGradient(stack, Controls.of(strengths, stack.flat, seeds), CROSS_ENTROPY)
        optimizer = StackAdamW(stack, gradient.flat, strengths, learning_rate=_RATE, weight_decay=0.01)

        def step() -> None:
            gradient(x[None], labels[None])
            optimizer.step()

        return step

    return {name: made(strength) for name, strength in _STACKED.items()}


def _seconds(steps: Mapping[str, Step], rounds: int) -> dict[str, float]:
    """Median time of each step, all taken in turns, so that what disturbs one disturbs all."""
    taken: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(rounds + 1):
        for name, step in steps.items():
            begin = time.perf_counter()
            step()
            taken[name].append(time.perf_counter() - begin)
    return {name: float(np.median(times[1:])) for name, times in taken.items()}  # the first one warms up


def _memory(model: nn.Module, name: str, x: Tensor, labels: Tensor) -> dict[str, float]:
    """Bytes that autograd saves, and that a step holds; tensors that share memory are counted once."""
    sizes: dict[int, int] = {}
    kept: list[Tensor] = []  # so that no address is used twice

    def pack(saved: Tensor) -> Tensor:
        kept.append(saved)
        storage = saved.untyped_storage()
        sizes[storage.data_ptr()] = storage.nbytes()
        return saved

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda saved: saved):
        value = _loss(model, name)(x, labels)
        torch.autograd.grad(value, list(model.parameters()), allow_unused=True)
    parameters = list(model.parameters())
    counted = {tensor.untyped_storage().data_ptr() for tensor in (*parameters, x)}
    saved = sum(size for address, size in sizes.items() if address not in counted)
    held = _STATE * sum(map(_num_bytes, parameters)) + _num_bytes(x)
    return {"saved_bytes": float(saved), "held_bytes": float(saved + held)}


def _num_bytes(tensor: Tensor) -> int:
    return tensor.numel() * tensor.element_size()


def _rounding(model: nn.Module, name: str, x: Tensor, labels: Tensor) -> float:
    """Relative error of the penalty's gradient by the parameters in float32; without one, of the loss's."""

    def gradient(dtype: torch.dtype) -> Float[Tensor, " parameters"]:
        own = copy.deepcopy(model).to(dtype)
        value = (
            cross_entropy(own(x.to(dtype)), labels)
            if name == "none"
            else _PENALTIES[name](own)(x.to(dtype), labels)
        )
        parts = torch.autograd.grad(value, list(own.parameters()), allow_unused=True)
        return torch.cat([part.flatten().double() for part in parts if part is not None])

    exact = gradient(torch.float64)
    return float((gradient(torch.float32) - exact).norm() / exact.norm())
