"""What a study of model-predictive control consists of: validated strictly, cut into cells."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field, field_validator
from surrogate_problems.plants import PLANTS, Plant, make_plant

from surrogate_opt.data.checks import LARGEST_SEED
from surrogate_opt.loops.mpc import PLANNERS
from surrogate_opt.penalties import METHODS, STUDIED
from surrogate_opt.study.strict_specs import Positive, budget_spec, hashed_key, known_names, mixed_seed
from surrogate_opt.training.selection import Rule

CELL_VERSION = 2
"""Raise it when a change alters what a cell computes: stored cells of other versions are not used."""

GRADIENT_FREE: Final = ("mppi", "cem")
"""Those that never see a surrogate's gradient: the control group."""

FAMILY_PREFIX: Final = "family:"


class ControlStudySpec(BaseModel):
    """A study of methods against each other in closed loops with plants.

    Attributes:
        name: of the study and of its folder.
        plants: names of plants; an instance of a family's plant is a new plant, of the others new data and
            starts alone.
        methods: names of the methods; on an instance all learn from the same data.
        controllers: names of planners; the first is the headline.
        instances: how many instances of each plant: data sets and starts.
        first_instance: seed of the first one; defaults were tuned on instances 0 to 9, reports use others.
        num_train: numbers of transitions to learn from; every method is trained on each.
        starts: of the closed loops of an instance.
        sampled_starts: likewise under a planner without gradients, which takes many times as long; at most so
            many, the first ones of ``starts``.
        data_noise: factor on the plants' process and measurement noise in the data.
        loop_noise: likewise in the closed loops.
        hidden: widths of the hidden layers.
        activation: of the hidden layers.
        train_steps: of the optimizer, for every network; epochs are rounded up.
        batch_size: rows per step.
        learning_rate: peak of the one-cycle schedule.
        weight_decay: AdamW's.
        rule: how the strength is chosen: "plateau", the strongest that is no worse than the best, or "best".
        seed: of folds, initial weights, minibatches and closed loops.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")] = "control"
    plants: tuple[str, ...] = ("pendulum", "cart_pole", "cstr", "van_der_pol")
    methods: tuple[str, ...] = STUDIED
    controllers: tuple[str, ...] = ("ilqr", "cem")
    instances: Positive = 10
    first_instance: Annotated[int, Field(ge=0, le=LARGEST_SEED)] = 100
    num_train: Annotated[tuple[Annotated[int, Field(ge=50)], ...], Field(min_length=1)] = (100, 2000)
    starts: Positive = 20
    sampled_starts: Positive = 5
    data_noise: Annotated[float, Field(ge=0.0, le=100.0)] = 1.0
    loop_noise: Annotated[float, Field(ge=0.0, le=100.0)] = 1.0
    hidden: Annotated[tuple[Positive, ...], Field(min_length=1)] = (32, 32)
    activation: str = "silu"
    train_steps: Positive = 3000
    batch_size: Positive = 32
    learning_rate: Annotated[float, Field(gt=0.0)] = 1e-2
    weight_decay: Annotated[float, Field(ge=0.0)] = 1e-2
    rule: Rule = "plateau"
    seed: Annotated[int, Field(ge=0, le=LARGEST_SEED)] = 0

    @field_validator("plants")
    @classmethod
    def _known_plants(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        return known_names("plants", names, tuple(PLANTS))

    @field_validator("methods")
    @classmethod
    def _known_methods(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        return known_names("methods", names, tuple(METHODS))

    @field_validator("controllers")
    @classmethod
    def _known_controllers(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        return known_names("controllers", names, tuple(PLANNERS))

    def starts_of(self, controller: str) -> int:
        """Closed loops of an instance under a controller."""
        return min(self.starts, self.sampled_starts) if controller in GRADIENT_FREE else self.starts

    def cells(self) -> list[ControlCell]:
        """One cell for each plant, instance and number of transitions."""
        return [
            ControlCell(spec=self, plant=plant, instance=self.first_instance + number, num_train=num_train)
            for number in range(self.instances)
            for plant in self.plants
            for num_train in self.num_train
        ]


class ControlCell(BaseModel):
    """One data set of one plant: every method on the same data and in the same loops, stored as a whole."""

    model_config = ConfigDict(frozen=True)

    spec: ControlStudySpec
    plant: str
    instance: int
    num_train: int

    @property
    def family(self) -> str:
        """The plant, by the store's name for it."""
        return self.plant

    @property
    def place(self) -> str:
        """What the cell is called in messages."""
        return f"{self.plant} {self.instance}, {self.num_train} transitions"

    @property
    def seed(self) -> int:
        """Of data, training and loops, whatever the number of transitions: fewer are the first of more."""
        return mixed_seed(self.spec.seed, self.instance, *self.plant.encode())

    @property
    def keeps_models(self) -> bool:
        """Whether its surrogates are stored, for the pictures: those of the first instance are."""
        return self.instance == self.spec.first_instance

    def make_plant(self) -> Plant:
        """The truth."""
        options = {"seed": self.instance} if self.plant.startswith(FAMILY_PREFIX) else {}
        return make_plant(self.plant, **options)

    @property
    def key(self) -> str:
        """Hash of all that determines the result, and of nothing else."""
        aside = {"name", "plants", "instances", "first_instance", "num_train"}
        determining = self.spec.model_dump(mode="json", exclude=aside) | {"keeps_models": self.keeps_models}
        return hashed_key("control", CELL_VERSION, self.plant, self.instance, self.num_train, determining)


BUDGETS: dict[str, ControlStudySpec] = {
    "smoke": ControlStudySpec(
        name="control-smoke",
        plants=("van_der_pol",),
        methods=("none", "dreg"),
        controllers=("ilqr",),
        instances=2,
        num_train=(200,),
        starts=4,
        train_steps=300,
    ),
    "default": ControlStudySpec(),
    "full": ControlStudySpec(
        name="control-full", plants=tuple(PLANTS), controllers=("ilqr", "shooting", "mppi", "cem")
    ),
}


def make_control_spec(
    budget: str = "default", path: Path | None = None, **changes: object
) -> ControlStudySpec:
    """A budget's study, with a TOML file's values over it, and the given ones over these.

    Raises:
        InputError: an unknown budget, name or key, or a value out of range; one line.
    """
    return budget_spec(BUDGETS, budget, path, changes)
