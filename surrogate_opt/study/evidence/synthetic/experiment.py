"""The experiment on the synthetic families."""

from __future__ import annotations

from typing import Final

from surrogate_opt.study.evidence.experiment import PROTOCOL, QUICK, Experiment, Preset
from surrogate_opt.study.evidence.synthetic.cells import NAME, SyntheticSpec, run_synthetic_cell
from surrogate_opt.study.evidence.synthetic.claims import CLAIMS, find_synthetic, summarize_synthetic
from surrogate_opt.study.evidence.synthetic.picture import draw_synthetic

SYNTHETIC: Final = Experiment(
    name=NAME,
    title="Five families under DREG (DREG paper, Tables 1 and 2, Figure 1)",
    protocol=(
        "Ten inputs, 2,000 training, 500 validation, 1,000 test rows, six strengths up to 10^-2; MLP "
        "(64, 64), ReLU and poly, 10 instances x 3 seeds; pairs share instance. The paper states neither "
        "network, recipe, noise nor units: ours are targets of unit deviation, inputs in [-1, 1], "
        "one-cycle AdamW, noise 0.1, and gradients in these coordinates."
    ),
    claims=CLAIMS,
    presets={
        PROTOCOL: Preset(cells=SyntheticSpec().cells),
        QUICK: Preset(
            cells=SyntheticSpec(instances=4, activations=("relu",)).cells, cuts="4 instances, ReLU alone"
        ),
        "smoke": Preset(
            cells=SyntheticSpec(
                instances=2, seeds=2, num_train=100, num_valid=50, num_test=100, epochs=10, hidden=(16,)
            ).cells,
            cuts="2 instances, 100 rows, one layer of 16, 10 epochs",
        ),
    },
    compute=run_synthetic_cell,
    find=find_synthetic,
    summarize=summarize_synthetic,
    draw=draw_synthetic,
)
