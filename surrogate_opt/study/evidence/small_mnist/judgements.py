"""What decides each claim: test accuracies of regularizers at their chosen weights, paired by run."""

from __future__ import annotations

from typing import Final

import numpy as np
from jaxtyping import Float

from surrogate_opt.study.evidence.claim import Judgement, describe, no_worse_verdict, weakest
from surrogate_opt.study.evidence.small_mnist.cells import Method, Network
from surrogate_opt.study.evidence.small_mnist.choice import NAMES, ChosenRuns
from surrogate_opt.study.evidence.small_mnist.leads import ahead, ahead_at_all_sizes, all_positive
from surrogate_opt.study.evidence.small_mnist.protocol import TABLE_METHODS

MARGIN: Final = 0.1
"""Points of accuracy that may be lacking where a paper calls two regularizers about equal."""

_NETWORKS: Final[tuple[Network, ...]] = ("plain", "dropout", "batchnorm")
_BY_GRADIENTS: Final[tuple[Method, ...]] = ("spectreg", "datagrad")
_TABLE_2: Final[tuple[Method, ...]] = ("confidence", *_BY_GRADIENTS)
_FIGURE_2: Final[tuple[Method, ...]] = (*_TABLE_2, "jacreg")


def regularizers_alone(runs: ChosenRuns) -> Judgement:
    """Table 1, its row without a base normalizer against the column without a regularizer."""
    regularized = [runs.of(method, network="plain", weight_decay=0.0) for method in _BY_GRADIENTS]
    bare = [runs.of("none", network=network, weight_decay=0.0) for network in _NETWORKS]
    return ahead(regularized, bare)


def best_with_dropout(runs: ChosenRuns) -> Judgement:
    """Table 1, DataGrad with dropout against the other eight cells."""
    rivals = [
        runs.of(method, network=network, weight_decay=0.0)
        for network in _NETWORKS
        for method in TABLE_METHODS
        if (network, method) != ("dropout", "datagrad")
    ]
    best = runs.of("datagrad", weight_decay=0.0)
    ours, verdict, _ = ahead([best], rivals)
    return ours, verdict, f"{best.name}: {best.accuracies.mean():.2f}"


def batch_norm_gains_less(runs: ChosenRuns) -> Judgement:
    """Table 1, gains by a regularizer without batch normalization less those with it."""

    def gain(method: Method, network: Network) -> Float[np.ndarray, " runs"]:
        none = runs.of("none", network=network, weight_decay=0.0)
        return runs.of(method, network=network, weight_decay=0.0).over(none)

    plain = {f"{NAMES[method]}'s gain": gain(method, "plain") for method in _BY_GRADIENTS}
    lost = {
        f"{NAMES[method]}'s gain over that with batch normalization": gain(method, "plain")
        - gain(method, "batchnorm")
        for method in _BY_GRADIENTS
    }
    return all_positive(plain | lost)


def dropout_helps(runs: ChosenRuns) -> Judgement:
    """Table 1, dropout alone against nothing."""
    bare = runs.of("none", network="plain", weight_decay=0.0)
    return ahead([runs.of("none", weight_decay=0.0)], [bare])


def batch_norm_is_useless(runs: ChosenRuns) -> Judgement:
    """Table 1, batch normalization alone is no better than nothing."""
    bare = runs.of("none", network="plain", weight_decay=0.0)
    normalized = runs.of("none", network="batchnorm", weight_decay=0.0)
    ours, _, means = ahead([bare], [normalized])
    verdict = no_worse_verdict(bare.over(normalized), MARGIN)
    return ours, verdict, f"no better: by {MARGIN} points at most; {means}"


def decay_helps(runs: ChosenRuns) -> Judgement:
    """Table 4, weight decay against none, without a regularizer."""
    ours, verdict, means = ahead([runs.of("none")], [runs.of("none", weight_decay=0.0)])
    return ours, verdict, f"the first with weight decay; {means}"


def best_without_decay(runs: ChosenRuns) -> Judgement:
    """Table 4, DataGrad against SpectReg and none, all without weight decay."""
    others = [runs.of("spectreg", weight_decay=0.0), runs.of("none", weight_decay=0.0)]
    return ahead([runs.of("datagrad", weight_decay=0.0)], others)


def all_help(runs: ChosenRuns) -> Judgement:
    """Table 2, each regularizer against none."""
    return ahead([runs.of(method) for method in _TABLE_2], [runs.of("none")])


def datagrad_best_alone(runs: ChosenRuns) -> Judgement:
    """Table 2, DataGrad against its two rivals."""
    return ahead([runs.of("datagrad")], [runs.of("confidence"), runs.of("spectreg")])


def beside_confidence(runs: ChosenRuns) -> Judgement:
    """Table 2, DataGrad with the confidence penalty against either alone."""
    return ahead([runs.beside_confidence("datagrad")], [runs.of("confidence"), runs.of("datagrad")])


def spectreg_beside_confidence(runs: ChosenRuns) -> Judgement:
    """Table 2, SpectReg with the confidence penalty against either alone."""
    return ahead([runs.beside_confidence("spectreg")], [runs.of("confidence"), runs.of("spectreg")])


def over_decay(runs: ChosenRuns) -> Judgement:
    """Table 4, regularizers without weight decay against weight decay alone."""
    regularized = [runs.of(method, weight_decay=0.0) for method in _BY_GRADIENTS]
    ours, verdict, means = ahead(regularized, [runs.of("none")])
    return ours, verdict, f"dropout alone has weight decay, the regularizers have none; {means}"


def projection_loses_nothing(runs: ChosenRuns) -> Judgement:
    """Table 6, SpectReg no worse than FrobReg."""
    spectreg, frobreg = runs.of("spectreg"), runs.of("frobreg")
    ours, _, means = ahead([spectreg], [frobreg])
    verdict = no_worse_verdict(spectreg.over(frobreg), MARGIN)
    return ours, verdict, f"no worse: by {MARGIN} points at most; {means}"


def logits_over_probabilities(runs: ChosenRuns) -> Judgement:
    """Table 6, SpectReg against JacReg."""
    return ahead([runs.of("spectreg")], [runs.of("jacreg")])


def one_hot_behind(runs: ChosenRuns) -> Judgement:
    """Section 5.1, SpectReg no worse than the two one-hot projections."""
    spectreg, one_hots = runs.of("spectreg"), [runs.of("onehot"), runs.of("random_onehot")]
    ours, _, means = ahead([spectreg], one_hots)
    verdict = weakest(no_worse_verdict(spectreg.over(own), MARGIN) for own in one_hots)
    return ours, verdict, f"no worse: by {MARGIN} points at most; {means}"


def one_hot_helps(runs: ChosenRuns) -> Judgement:
    """Section 5.1, the two one-hot projections against none."""
    return ahead([runs.of("onehot"), runs.of("random_onehot")], [runs.of("none")])


def best_at_all_sizes(runs: ChosenRuns) -> Judgement:
    """Figure 2, DataGrad against all at every size."""
    rivals: tuple[Method, ...] = ("none", "confidence", "spectreg", "jacreg")
    sizes = runs.sizes("datagrad", *rivals)
    return ahead_at_all_sizes(
        {
            f"over {NAMES[rival]}": {size: _lead(runs, "datagrad", rival, size) for size in sizes}
            for rival in rivals
        }
    )


def jacreg_behind(runs: ChosenRuns) -> Judgement:
    """Figure 2, JacReg against its peers at every size."""
    sizes = runs.sizes(*_FIGURE_2)
    return ahead_at_all_sizes(
        {
            f"{NAMES[peer]} over JacReg": {size: _lead(runs, peer, "jacreg", size) for size in sizes}
            for peer in _TABLE_2
        }
    )


def spectreg_over_confidence(runs: ChosenRuns) -> Judgement:
    """Figure 2, SpectReg's lead over the confidence penalty at the smallest size, and how far it falls."""
    few, *_, many = runs.sizes("spectreg", "confidence")
    at_few, at_many = (_lead(runs, "spectreg", "confidence", size) for size in (few, many))
    ours, falls, _ = all_positive(
        {f"lead at {few}": at_few, f"lead at {few} over that at {many}": at_few - at_many}
    )
    remark = f"lead at {many} {describe(at_many, digits=2, unit=' points')}; gone: {MARGIN} points at most"
    return ours, weakest([falls, no_worse_verdict(-at_many, MARGIN)]), remark


def gains_shrink(runs: ChosenRuns) -> Judgement:
    """Figure 2, gains at the smallest size less those at the largest."""
    sizes = runs.sizes("none", *_FIGURE_2)
    few, most = sizes[0], sizes[-1]
    gains = {f"{NAMES[method]}'s gain at {few}": _lead(runs, method, "none", few) for method in _FIGURE_2}
    shrinkage = {
        f"{NAMES[method]}'s gain at {few} over that at {most}": _lead(runs, method, "none", few)
        - _lead(runs, method, "none", most)
        for method in _FIGURE_2
    }
    return all_positive(gains | shrinkage)


def gains_last(runs: ChosenRuns) -> Judgement:
    """Figure 2, gains at the largest size."""
    most = runs.sizes("none", *_FIGURE_2)[-1]
    return all_positive(
        {f"{NAMES[method]} at {most}": _lead(runs, method, "none", most) for method in _FIGURE_2}
    )


def _lead(runs: ChosenRuns, method: Method, rival: Method, size: int) -> Float[np.ndarray, " runs"]:
    return runs.of(method, size=size).over(runs.of(rival, size=size))
