"""The metrics of a countermeasure for all utterances, for every attack and for every condition."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.evaluation import metrics
from core.evaluation.detection_cost import DetectionCosts, act_dcf, cllr, min_cllr, min_dcf

Array = NDArray[Any]


def core_metrics(scores: Array, llrs: Array, labels: Array, costs: DetectionCosts) -> dict[str, Any]:
    """EER, AUC, detection costs and Cllr of utterances of both classes.

    Args:
        scores: CM scores `(n_utterances,)`.
        llrs: Log-likelihood ratios, or scores that are read as such, `(n_utterances,)`.
        labels: `(n_utterances,)`, 1 = bona fide, 0 = spoof.
        costs: Prior and costs of the detection costs.

    Returns:
        `eer`, `auc`, `min_dcf`, `act_dcf`, `cllr` and `min_cllr` in bits, `n_bona_fide`, `n_spoof`.

    Raises:
        ValueError: A class is missing, or a score is not finite.
    """
    bona_fide, spoof = scores[labels == 1], scores[labels == 0]
    return {
        "eer": metrics.eer(bona_fide, spoof)[0],
        "auc": metrics.auc(bona_fide, spoof),
        "min_dcf": min_dcf(bona_fide, spoof, costs),
        "act_dcf": act_dcf(llrs[labels == 1], llrs[labels == 0], costs),
        "cllr": cllr(llrs[labels == 1], llrs[labels == 0]),
        "min_cllr": min_cllr(bona_fide, spoof),
        "n_bona_fide": len(bona_fide),
        "n_spoof": len(spoof),
    }


def by_attack(scores: Array, llrs: Array, labels: Array, attacks: Array, costs: DetectionCosts) -> dict[str, Any]:
    """`core_metrics` of each attack against all bona fide utterances, by attack in sorted order.

    Args:
        scores: As in `core_metrics`, and so are `llrs`, `labels` and `costs`.
        llrs: See there.
        labels: See there.
        attacks: Attack of each utterance, `(n_utterances,)`.
        costs: See there.
    """
    # Sorted once: sorting what is sorted already costs little.
    order = np.argsort(scores, kind="stable")
    scores, llrs, labels, attacks = scores[order], llrs[order], labels[order], attacks[order]
    names = np.unique(attacks[labels == 0])
    chosen = {str(name): (labels == 1) | (attacks == name) for name in names}
    return {name: core_metrics(scores[rows], llrs[rows], labels[rows], costs) for name, rows in chosen.items()}


def by_condition(
    scores: Array, llrs: Array, labels: Array, conditions: Mapping[str, Array], costs: DetectionCosts
) -> dict[str, Any]:
    """`core_metrics` of the utterances of each value of each condition, such as `{"codec": {"alaw": {...}}}`.

    A value with one class only has `n_bona_fide` and `n_spoof` alone. Utterances whose value is `-` are left out.

    Args:
        scores: As in `core_metrics`, and so are `llrs`, `labels` and `costs`.
        llrs: See there.
        labels: See there.
        conditions: Name of a condition -> its value for each utterance, `(n_utterances,)`.
        costs: See there.
    """
    found: dict[str, Any] = {}
    for condition, values in conditions.items():
        for value in np.unique(values[values != "-"]):
            rows = values == value
            sizes = int(np.sum(labels[rows] == 1)), int(np.sum(labels[rows] == 0))
            both = min(sizes) > 0
            found.setdefault(condition, {})[str(value)] = (
                core_metrics(scores[rows], llrs[rows], labels[rows], costs)
                if both
                else {"n_bona_fide": sizes[0], "n_spoof": sizes[1]}
            )
    return found
