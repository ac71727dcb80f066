"""What a study of Bayesian optimization consists of: validated strictly, cut into cells."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field, field_validator

from surrogate_opt.data.checks import LARGEST_SEED
from surrogate_opt.study.bayesian.problems import PROBLEMS, StudyProblem
from surrogate_opt.study.strict_specs import Positive, budget_spec, hashed_key, known_names, mixed_seed

CELL_VERSION = 2
"""Raise it when a change alters what a cell computes: stored cells of other versions are not used."""

MODELS: Final = (
    "ensemble:none",
    "ensemble:dreg",
    "ensemble:igp",
    "ensemble:sn",
    "ensemble:dreg+igp",
    "last_layer",
    "deep_kernel",
    "gp",
    "sobol",
)
"""Kinds of models, an ensemble with its penalty; "sobol" proposes without a model."""


class BayesianStudySpec(BaseModel):
    """A study of models against each other in Bayesian optimization.

    Attributes:
        name: of the study and of its folder.
        problems: names of families and of BoTorch's functions.
        models: of `MODELS`; on an instance all of them start from the same points and meet the same noise.
        default_model: whose verdict against "gp" is the headline; of no consequence to what is computed.
        instances: how many instances of each problem.
        first_instance: seed of the first one; defaults were tuned on instances 0 to 9, reports use others.
        dim: inputs of the families.
        evaluations: of the truth in one run, the first points among them.
        noise_std: of what the loop is told, in standard deviations of the truth.
        seed: of first points, noise and models.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")] = "bayesian"
    problems: tuple[str, ...] = tuple(PROBLEMS)
    models: tuple[str, ...] = MODELS
    default_model: str = "last_layer"
    instances: Positive = 10
    first_instance: Annotated[int, Field(ge=0, le=LARGEST_SEED)] = 200
    dim: Positive = 10
    evaluations: Annotated[int, Field(ge=6)] = 30
    noise_std: Annotated[float, Field(ge=0.0, le=10.0)] = 0.0
    seed: Annotated[int, Field(ge=0, le=LARGEST_SEED)] = 0

    @field_validator("problems")
    @classmethod
    def _known_problems(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        return known_names("problems", names, tuple(PROBLEMS))

    @field_validator("models")
    @classmethod
    def _known_models(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        return known_names("models", names, MODELS)

    @field_validator("default_model")
    @classmethod
    def _known_default(cls, name: str) -> str:
        return known_names("default_model", (name,), MODELS)[0]

    def cells(self) -> list[BayesianCell]:
        """One cell for each run: an instance of a problem, and a model."""
        return [
            BayesianCell(spec=self, problem=problem, instance=self.first_instance + number, model=model)
            for number in range(self.instances)
            for problem in self.problems
            for model in self.models
        ]


class BayesianCell(BaseModel):
    """One run: a model's search on one instance of a problem, stored as a whole.

    Runs on the same instance are paired through their seed; a model added to a study adds its own cells.
    """

    model_config = ConfigDict(frozen=True)

    spec: BayesianStudySpec
    problem: str
    instance: int
    model: str

    @property
    def family(self) -> str:
        """The problem, by the store's name for it."""
        return self.problem

    @property
    def place(self) -> str:
        """What the cell is called in messages."""
        return f"{self.model} on {self.problem} {self.instance}"

    @property
    def kind(self) -> StudyProblem:
        """What the problem is."""
        return PROBLEMS[self.problem]

    @property
    def dim(self) -> int:
        """Number of inputs."""
        return self.kind.dim(self.spec.dim)

    @property
    def num_initial(self) -> int:
        """First points, drawn before any model: d + 1, from 5 to half of all."""
        return min(max(5, self.dim + 1), self.spec.evaluations // 2)

    @property
    def seed(self) -> int:
        """Of first points, noise, models and points of measurement; the same for every model."""
        return mixed_seed(self.spec.seed, self.instance, *self.problem.encode())

    @property
    def key(self) -> str:
        """Hash of all that determines the result, and of nothing else."""
        aside = {"name", "problems", "models", "default_model", "instances", "first_instance", "dim"}
        determining = self.spec.model_dump(mode="json", exclude=aside) | {
            "dim": self.dim,
            "num_initial": self.num_initial,
        }
        return hashed_key("bayesian", CELL_VERSION, self.problem, self.instance, self.model, determining)


BUDGETS: dict[str, BayesianStudySpec] = {
    "smoke": BayesianStudySpec(
        name="bayesian-smoke",
        problems=("sparse", "branin"),
        models=("last_layer", "gp"),
        instances=2,
        dim=3,
        evaluations=12,
    ),
    "default": BayesianStudySpec(problems=("hartmann6", "sparse", "rastrigin5")),
    "full": BayesianStudySpec(name="bayesian-full"),
}


def make_bayesian_spec(
    budget: str = "default", path: Path | None = None, **changes: object
) -> BayesianStudySpec:
    """A budget's study, with a TOML file's values over it, and the given ones over these.

    Raises:
        InputError: an unknown budget, name or key, or a value out of range; one line.
    """
    return budget_spec(BUDGETS, budget, path, changes)
