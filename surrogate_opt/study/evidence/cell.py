"""What the cells of the experiments have in common."""

from __future__ import annotations

from typing import ClassVar

from pydantic import BaseModel, ConfigDict


class EvidenceCell(BaseModel):
    """A piece of an experiment that is computed and stored at once.

    Attributes:
        family: the experiment, by the store's name for it.
        instance: what its pairs are numbered by, a run or a seed.
    """

    model_config = ConfigDict(frozen=True)

    family: ClassVar[str]
    instance: int
