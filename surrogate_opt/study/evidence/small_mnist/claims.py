"""The claims of Tables 1, 2, 4, 6 and of Figure 2."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import pandas as pd

from surrogate_opt.study.evidence.claim import Finding, Judgement, named_claims, named_findings
from surrogate_opt.study.evidence.small_mnist import judgements
from surrogate_opt.study.evidence.small_mnist.cells import NAME
from surrogate_opt.study.evidence.small_mnist.choice import ChosenRuns, MissingRowsError
from surrogate_opt.study.text_tables import MISSING

_JUDGED: Final[tuple[tuple[str, str, str, Callable[[ChosenRuns], Judgement]], ...]] = (
    (
        "alone",
        "SpectReg and DataGrad each beat the unregularized network, dropout and batch normalization",
        "97.59, 97.56; 96.99, 97.29, 96.89 (Table 1)",
        judgements.regularizers_alone,
    ),
    (
        "best",
        "dropout with DataGrad is the best of all",
        "97.98, the next one 97.65 (Table 1)",
        judgements.best_with_dropout,
    ),
    (
        "batchnorm",
        "with batch normalization SpectReg and DataGrad gain less than without",
        "+0.05, +0.00; +0.60, +0.57 (Table 1)",
        judgements.batch_norm_gains_less,
    ),
    (
        "dropout",
        "dropout alone improves on the unregularized network",
        "97.29; 96.99 (Table 1)",
        judgements.dropout_helps,
    ),
    (
        "batchnorm-alone",
        "batch normalization alone does not",
        "96.89; 96.99 (Table 1)",
        judgements.batch_norm_is_useless,
    ),
    (
        "all-help",
        "the confidence penalty (CP), SpectReg and DataGrad each improve on dropout",
        "97.57, 97.79, 97.89; 97.39 (Table 2)",
        judgements.all_help,
    ),
    (
        "datagrad",
        "of these three DataGrad is the best",
        "97.89; 97.57, 97.79 (Table 2)",
        judgements.datagrad_best_alone,
    ),
    (
        "with-cp",
        "DataGrad with CP is better than either",
        "98.07; 97.57, 97.89 (Table 2)",
        judgements.beside_confidence,
    ),
    (
        "spectreg-with-cp",
        "SpectReg with CP is better than either",
        "97.89; 97.57, 97.79 (Table 2)",
        judgements.spectreg_beside_confidence,
    ),
    (
        "decay",
        "SpectReg and DataGrad each improve on dropout more than weight decay does",
        "97.69, 97.95; 97.40 (Table 4)",
        judgements.over_decay,
    ),
    (
        "decay-alone",
        "weight decay itself improves on dropout without it",
        "97.40; 97.25 (Table 4)",
        judgements.decay_helps,
    ),
    (
        "without-decay",
        "without weight decay DataGrad is better than SpectReg and none",
        "97.95; 97.69, 97.25 (Table 4)",
        judgements.best_without_decay,
    ),
    (
        "projection",
        "SpectReg, a random projection, is no worse than FrobReg, the whole Jacobian",
        "97.79; 97.76 (Table 6)",
        judgements.projection_loses_nothing,
    ),
    (
        "logits",
        "SpectReg, on logits, is better than JacReg, on probabilities",
        "97.79; 97.63, significant (Table 6)",
        judgements.logits_over_probabilities,
    ),
    (
        "one-hot",
        "SpectReg is no worse than projections on one label (OneHot) and on a random one (RandomOneHot)",
        "slightly better, no figures (Section 5.1)",
        judgements.one_hot_behind,
    ),
    (
        "one-hot-helps",
        "OneHot and RandomOneHot each improve on dropout",
        "no figures (Section 5.1)",
        judgements.one_hot_helps,
    ),
    (
        "sizes",
        "DataGrad is the best at every number of training images",
        "Figure 2",
        judgements.best_at_all_sizes,
    ),
    (
        "jacreg",
        "JacReg is worse than CP, SpectReg and DataGrad at every number of training images",
        "Figure 2",
        judgements.jacreg_behind,
    ),
    (
        "cp-evaporates",
        "SpectReg is better than CP at few training images, and its lead is gone at many",
        "Figure 2",
        judgements.spectreg_over_confidence,
    ),
    (
        "shrink",
        "what regularizers gain shrinks as training images are added",
        "Figure 2",
        judgements.gains_shrink,
    ),
    (
        "last",
        "regularizers still help at the most training images",
        "up to 20,000 (Figure 2)",
        judgements.gains_last,
    ),
)

CLAIMS: Final = named_claims(NAME, ((name, text, reported) for name, text, reported, _ in _JUDGED))


def find_small_mnist(table: pd.DataFrame) -> list[Finding]:
    """Judge the claims by the rows of all cells; those that lack rows are not run."""
    runs = ChosenRuns(table)
    judged: dict[str, Judgement] = {}
    for name, _, _, judge in _JUDGED:
        try:
            judged[name] = judge(runs)
        except MissingRowsError:
            judged[name] = MISSING, "not run", ""
    return named_findings(NAME, judged)
