"""What a study consists of: validated strictly, read from TOML, cut into cells."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, field_validator
from surrogate_problems.families import FAMILIES

from surrogate_opt.auditing.loops_compared import LoopMethod
from surrogate_opt.data.checks import LARGEST_SEED
from surrogate_opt.networks import ACTIVATIONS
from surrogate_opt.penalties import METHODS, STUDIED
from surrogate_opt.study.strict_specs import Positive, budget_spec, hashed_key, known_names, mixed_seed

CELL_VERSION = 2
"""Raise it when a change alters what a cell computes: stored cells of other versions are not used."""


class StudySpec(BaseModel):
    """A study of methods against each other on instances of the synthetic families.

    Attributes:
        name: of the study and of its folder.
        families: names of the synthetic families.
        methods: names of the methods; each is tried over its whole grid of strengths.
        instances: how many instances of each family: new truths with new data.
        first_instance: seed of the first one; defaults were tuned on instances 0 to 9, reports use others.
        dim: inputs.
        num_train: training points.
        noise_std: of the training targets, in standard deviations of the truth.
        hidden: widths of the hidden layers.
        activation: of the hidden layers.
        epochs: passes over the data.
        batch_size: rows per step.
        learning_rate: peak of the one-cycle schedule. A few hundred steps want a higher one than the 5e-3
            that suits ``fit``'s 5,000: R^2 of "none" on instances 0 to 2, smooth to entangled, is 0.94 0.90
            0.66 0.60 0.57 after 120 epochs at 5e-3, and 0.96 0.88 0.85 0.76 0.58 after 50 at 3e-2.
        weight_decay: AdamW's.
        loops: run on the chosen and on the fixed strengths; the first one on every strength.
        starts: of every loop.
        loop_steps: at most so many steps of Adam and descent, half as many of L-BFGS-B.
        seed: of folds, initial weights, minibatches and starts.
        device: where networks are trained.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")] = "default"
    families: tuple[str, ...] = tuple(FAMILIES)
    methods: tuple[str, ...] = STUDIED
    instances: Positive = 10
    first_instance: Annotated[int, Field(ge=0, le=LARGEST_SEED)] = 100
    dim: Positive = 10
    num_train: Annotated[int, Field(ge=20)] = 300
    noise_std: Annotated[float, Field(ge=0.0, le=10.0)] = 0.1
    hidden: Annotated[tuple[Positive, ...], Field(min_length=1)] = (32, 32)
    activation: str = "silu"
    epochs: Positive = 50
    batch_size: Positive = 32
    learning_rate: Annotated[float, Field(gt=0.0)] = 3e-2
    weight_decay: Annotated[float, Field(ge=0.0)] = 1e-2
    loops: Annotated[tuple[LoopMethod, ...], Field(min_length=1)] = ("adam", "gradient_descent", "lbfgsb")
    starts: Positive = 64
    loop_steps: Annotated[int, Field(ge=2)] = 60
    seed: Annotated[int, Field(ge=0, le=LARGEST_SEED)] = 0
    device: str = "cpu"

    @field_validator("families")
    @classmethod
    def _known_families(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        return known_names("families", names, tuple(FAMILIES))

    @field_validator("methods")
    @classmethod
    def _known_methods(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        return known_names("methods", names, tuple(METHODS))

    @field_validator("activation")
    @classmethod
    def _known_activation(cls, name: str) -> str:
        return known_names("activation", (name,), tuple(ACTIVATIONS))[0]

    def cells(self) -> list[Cell]:
        """One cell for each family and instance."""
        return [
            Cell(spec=self, family=family, instance=self.first_instance + number)
            for number in range(self.instances)
            for family in self.families
        ]


class Cell(BaseModel):
    """One instance of one family: every method and strength on the same data, a stack stored as a whole."""

    model_config = ConfigDict(frozen=True)

    spec: StudySpec
    family: str
    instance: int

    @property
    def place(self) -> str:
        """What the cell is called in messages."""
        return f"{self.family} {self.instance}"

    @property
    def data_seed(self) -> int:
        """Of the training data: families of one instance number do not share their random numbers."""
        return mixed_seed(self.instance, *self.family.encode())

    @property
    def seed(self) -> int:
        """Of folds, initial weights, minibatches, starts and points of measurement."""
        return mixed_seed(self.spec.seed, self.instance, *self.family.encode())

    @property
    def key(self) -> str:
        """Hash of all that determines the result, and of nothing else."""
        determining = self.spec.model_dump(
            mode="json", exclude={"name", "families", "instances", "first_instance"}
        )
        return hashed_key(CELL_VERSION, self.family, self.instance, determining)


BUDGETS: dict[str, StudySpec] = {
    "smoke": StudySpec(name="smoke", instances=2, num_train=100, epochs=30, starts=16, loop_steps=40),
    "default": StudySpec(),
    "paper": StudySpec(
        name="paper", num_train=2000, hidden=(64, 64), epochs=100, learning_rate=5e-3, loop_steps=200
    ),
}


def make_spec(budget: str = "default", path: Path | None = None, **changes: object) -> StudySpec:
    """A budget's study, with a TOML file's values over it, and the given ones over these.

    Raises:
        InputError: an unknown budget, name or key, or a value out of range; one line.
    """
    return budget_spec(BUDGETS, budget, path, changes)
