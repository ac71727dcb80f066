"""Where the papers contradict themselves or leave out what their figures rest on, and what is done here."""

from __future__ import annotations

from typing import Final

CONTRADICTIONS: Final = (
    (
        "DREG",
        "Section 6.1 has the test error fall by 3.4% (sparse) and 2.8% (entangled), Table 2 by 4.12% and "
        "2.11%; compared here with the table.",
    ),
    ("DREG", "the maximum's reduction by 2.62 times (Section 6.1) is in no table; Table 1 has no maximum."),
    ("DREG", "Section 6.1 has the p90 norm fall by up to 78%, Table 2 by 88.2% on the sparse family."),
    (
        "DREG",
        "Section 4.3 penalizes ||d_l||^2, Equation 5 and the pseudocode d_l; followed here: Equation 5.",
    ),
    ("DREG", "Table 3 does not state DREG's strength; taken here: 10^-2.5, the second abstract's."),
    (
        "DREG",
        "the IGPEN rows of Table 3 lie close to the base rows; read here as a penalty on the gradient of the "
        "batch's mean loss, which is too small by the square of the batch size.",
    ),
    (
        "DREG",
        "Section 6.2 and the fourth finding of 6.3 have spectral normalization suppress tails more than "
        "DREG, the end of 6.3 less; in Table 3 it is more under ReLU, less under polynomials; both compared.",
    ),
    (
        "DREG",
        "Section 6.3 has all tail metrics fall; in Table 3 the 95th percentile rises in six of eight blocks, "
        "and the maximum of POLY 128-64 from 12.5 to 19.7.",
    ),
    (
        "DREG",
        "Section 6.1 sees extreme tails in Table 1, whose p90/mean is 1.20; Sections 2.1 and 3.1 have "
        "compact models spiky, the fifth finding has tails grow with the network.",
    ),
    (
        "DREG",
        "the compact regime ends at 10^5 parameters (Section 4.1); (128, 64) on MNIST has 1.1, (256, 128) "
        "2.4 and (512, 256) 5.4 times as many.",
    ),
    (
        "DREG",
        "double backpropagation costs O(N) of memory in Sections 3.2 and 4.1, O(2x) in Section 3.3.",
    ),
    (
        "DREG",
        "Section 6.3 has p < 1e-7 for 24 of 24 pairs; the least two-sided p-value of the sign test is then "
        "1.2e-7.",
    ),
    (
        "gradient regularization",
        "random projections are N(0, I) in Section 3 and divided by the square root of the number of outputs "
        "in Section 5.1: ten times in SpectReg's weights for ten classes; the code of Figure 1 draws one "
        "for a whole batch; followed here: Section 5.1, one an image.",
    ),
    (
        "gradient regularization",
        "SpectReg is squared in Section 3 and in the code of Figure 1, not in Section 5.1; Claim 1 is of the "
        "squared Frobenius norm, the text calls it the norm; followed here: squared.",
    ),
    (
        "gradient regularization",
        "the introduction has DataGrad outperform all alternatives on MNIST; in Table 1 SpectReg is ahead of "
        "it without dropout (97.59 against 97.56) and with batch normalization (96.94 against 96.89).",
    ),
    (
        "gradient regularization",
        "Adam's initial rate of 0.1 (Section 6.1.1) is probably a typo; every result states its rate.",
    ),
    (
        "gradient regularization",
        "Table 7's errors of 1.6e-5 lie below the squared error of the mean of 100 values with noise 0.1, "
        "1e-4: its unit cannot be right.",
    ),
    (
        "gradient regularization",
        "Section 5.3 has gradient penalties give biases no gradient under ReLU; by Claim 2 DataGrad's "
        "depends on the softmax, and so on the biases.",
    ),
    (
        "gradient regularization",
        "Figure 4 has accuracy collapse beyond a DataGrad weight of 20, Tables 1, 2 and 4 have their optimum "
        "at 50; Table 4's best SpectReg weight of 0.05 is not on the grid.",
    ),
    (
        "gradient regularization",
        "the confidence penalty's grid has 0.003 twice and no 0.0003; taken here: 0.0003 for the first.",
    ),
    (
        "DREG as a general-purpose penalty",
        "960 trainings are 4 activations, 6 regularizers, 8 data sets and 5 seeds: regimes cannot be crossed "
        "with them, and would be among the data sets; here they are crossed, 3,840 trainings.",
    ),
    (
        "DREG as a general-purpose penalty",
        "p <= 0.031 is 1/32, the least one-sided p-value that Wilcoxon's test can give on five pairs.",
    ),
)
"""Paper, and what is amiss."""
