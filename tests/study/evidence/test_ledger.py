"""Which stored cells the claims rest on: those of the fullest preset that is whole."""

from typing import ClassVar

import pytest
from pydantic import BaseModel

from surrogate_opt.study.evidence.cell import EvidenceCell
from surrogate_opt.study.evidence.claim import Claim, Finding
from surrogate_opt.study.evidence.experiment import LONG, PROTOCOL, QUICK, Experiment, Preset
from surrogate_opt.study.evidence.ledger import standing
from surrogate_opt.study.store import ResultsStore, StoredOutcome
from surrogate_opt.study.text_tables import MISSING


class Spec(BaseModel):
    pass


class Cell(EvidenceCell):
    family: ClassVar[str] = "made"
    spec: Spec = Spec()

    @property
    def place(self):
        return self.key

    @property
    def key(self):
        return f"cell {self.instance}"


def outcome(cell):
    return StoredOutcome(truth={}, rows=[{"run": cell.instance}], arrays={})


def preset(runs, cuts=""):
    return Preset(cells=lambda folder: [Cell(instance=run) for run in range(runs)], cuts=cuts)


EXPERIMENT = Experiment(
    name="made",
    title="made",
    protocol="made",
    claims=(Claim(name="made-claim", statement="it holds", reported="always"),),
    presets={
        PROTOCOL: preset(4),
        LONG: preset(3, "three runs"),
        QUICK: preset(2, "two runs"),
        "smoke": preset(1, "one run"),
    },
    compute=outcome,
    find=lambda rows: [Finding(claim="made-claim", ours=f"{len(rows)} runs", verdict="reproduced")],
    summarize=lambda rows: rows,
)


@pytest.mark.parametrize(
    ("stored", "ours", "verdict", "cuts"),
    [
        (0, MISSING, "not run", ""),
        (1, MISSING, "not run", ""),
        (2, "2 runs", "not run at protocol", "two runs"),
        (3, "3 runs", "not run at protocol", "three runs"),
        (4, "4 runs", "reproduced", ""),
    ],
)
def test_claims_rest_on_the_fullest_preset_that_is_whole(tmp_path, stored, ours, verdict, cuts):
    file = tmp_path / "results.db"
    with ResultsStore(file) as store:
        for cell in EXPERIMENT.presets[PROTOCOL].cells(tmp_path)[:stored]:
            store.put(cell, EXPERIMENT.compute(cell), 0.0)
    found = standing(EXPERIMENT, file)
    assert [(finding.ours, finding.verdict) for finding in found.findings] == [(ours, verdict)]
    assert (found.missing, found.total, found.cuts) == (4 - stored, 4, cuts)


def test_nothing_is_run_without_a_file(tmp_path):
    found = standing(EXPERIMENT, tmp_path / "results.db")
    assert [finding.verdict for finding in found.findings] == ["not run"]
    assert (found.missing, found.total) == (4, 4)
