"""Metrics of a countermeasure in tandem with speaker verification (ASV): min t-DCF of 2019 and 2021."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from core.evaluation.metrics import checked_scores, closest_points, det_curve, error_counts

P_TARGET, P_NONTARGET, P_SPOOF = 0.9405, 0.0095, 0.05
COST_MISS, COST_FALSE_ALARM = 1.0, 10.0  # the same for the ASV and for the countermeasure


@dataclass(frozen=True)
class AsvErrorRates:
    """Error rates of the speaker verification (ASV) behind a countermeasure, in [0, 1].

    Attributes:
        p_fa: Fraction of impostors (non-targets) that are accepted.
        p_miss: Fraction of target speakers that are rejected.
        p_miss_spoof: Fraction of spoofed utterances that are rejected.
    """

    p_fa: float
    p_miss: float
    p_miss_spoof: float

    def __post_init__(self) -> None:
        for name in ("p_fa", "p_miss", "p_miss_spoof"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} is {getattr(self, name)}; an error rate lies in [0, 1]")


LA19_ASV = {
    "dev": AsvErrorRates(p_fa=0.02444521497919556, p_miss=0.02425876010781671, p_miss_spoof=0.23972909939002512),
    "eval": AsvErrorRates(p_fa=0.024604674888228765, p_miss=0.024581005586592177, p_miss_spoof=0.23934754703985472),
}
"""Error rates of the organisers' ASV on ASVspoof 2019 LA, by partition."""

LA19_ATTACKS = {
    "dev": frozenset(f"A{number:02d}" for number in range(1, 7)),
    "eval": frozenset(f"A{number:02d}" for number in range(7, 20)),
}
"""Attacks of ASVspoof 2019 LA by partition: the rates of `LA19_ASV` hold for them only."""


class KnownAsv(NamedTuple):
    """Error rates of the organisers' ASV on a partition, its name in messages, and the attacks that it has."""

    partition: str
    rates: AsvErrorRates
    attacks: frozenset[str]


KNOWN_ASV = {
    **{
        f"la19-{partition}": KnownAsv(f"ASVspoof 2019 LA's {partition}", rates, LA19_ATTACKS[partition])
        for partition, rates in LA19_ASV.items()
    },
    "asvspoof5-eval": KnownAsv(
        "ASVspoof 5's eval",
        AsvErrorRates(p_fa=0.01881016557566423, p_miss=0.01880141010575793, p_miss_spoof=1 - 0.4607082907604729),
        frozenset(f"A{number}" for number in range(17, 33)),
    ),
}
"""Name -> known error rates. Those of ASVspoof 5 (track 2) are in its evaluation package."""


def asv_error_rates(target: ArrayLike, nontarget: ArrayLike, spoof: ArrayLike) -> AsvErrorRates:
    """Error rates of an ASV system at the threshold of its own equal error rate.

    The threshold is the highest score that the EER point rejects; a score at the threshold is accepted. The organisers
    do the same.

    Args:
        target: ASV scores of target speakers, `(n_target,)`; higher = same speaker.
        nontarget: ASV scores of impostors who do not spoof, `(n_nontarget,)`.
        spoof: ASV scores of spoofed utterances, `(n_spoof,)`.

    Raises:
        ValueError: One of the three arrays is empty, or a score is not finite.
    """
    target, nontarget, spoof = (
        checked_scores("target", target),
        checked_scores("non-target", nontarget),
        checked_scores("spoofed", spoof),
    )
    misses, false_alarms, thresholds = error_counts(target, nontarget)
    threshold = thresholds[max(closest_points(misses, false_alarms)[0] - 1, 0)]
    return AsvErrorRates(
        p_fa=float(np.mean(nontarget >= threshold)),
        p_miss=float(np.mean(target < threshold)),
        p_miss_spoof=float(np.mean(spoof < threshold)),
    )


def tdcf_costs(asv: AsvErrorRates) -> tuple[float, float, float]:
    """C0, C1 and C2 of the tandem detection cost: the costs of the ASV alone, of a CM miss, of a CM false alarm.

    Raises:
        ValueError: C1 or C2 is not positive, since the ASV makes too many errors.
    """
    c0 = P_TARGET * COST_MISS * asv.p_miss + P_NONTARGET * COST_FALSE_ALARM * asv.p_fa
    c1 = P_TARGET * COST_MISS - c0
    c2 = P_SPOOF * COST_FALSE_ALARM * (1 - asv.p_miss_spoof)
    if c1 <= 0 or c2 <= 0:
        raise ValueError(
            f"the t-DCF is undefined behind this ASV: C1 is {c1:.6g} and C2 {c2:.6g}; both must be positive"
        )
    return c0, c1, c2


def min_tdcf_2019(bona_fide: ArrayLike, spoof: ArrayLike, asv: AsvErrorRates) -> float:
    """Lowest normalised tandem detection cost in the form of ASVspoof 2019 ("legacy"), in [0, 1].

    The minimum over thresholds of (C1 Pmiss + C2 Pfa) / min(C1, C2), with the costs and priors of the LA condition.

    Args:
        bona_fide: CM scores `(n_bona_fide,)`; higher = more bona fide.
        spoof: CM scores of spoofed utterances, `(n_spoof,)`.
        asv: Error rates of the ASV on the same partition.

    Raises:
        ValueError: A class is empty, a score is not finite, or the cost is undefined (see `tdcf_costs`).
    """
    _, c1, c2 = tdcf_costs(asv)
    p_miss, p_fa, _ = det_curve(bona_fide, spoof)
    return float(np.min(c1 * p_miss + c2 * p_fa) / min(c1, c2))


def min_tdcf_2021(bona_fide: ArrayLike, spoof: ArrayLike, asv: AsvErrorRates) -> float:
    """Lowest normalised tandem detection cost in the form of ASVspoof 2021, in (0, 1].

    The minimum over thresholds of (C0 + C1 Pmiss + C2 Pfa) / (C0 + min(C1, C2)). Unlike the form of 2019, it includes
    the cost of the ASV alone, so a perfect countermeasure does not reach 0.

    Args:
        bona_fide: CM scores `(n_bona_fide,)`; higher = more bona fide.
        spoof: CM scores of spoofed utterances, `(n_spoof,)`.
        asv: Error rates of the ASV on the same partition.

    Raises:
        ValueError: A class is empty, a score is not finite, or the cost is undefined (see `tdcf_costs`).
    """
    c0, c1, c2 = tdcf_costs(asv)
    p_miss, p_fa, _ = det_curve(bona_fide, spoof)
    return float((c0 + np.min(c1 * p_miss + c2 * p_fa)) / (c0 + min(c1, c2)))


def foreign_attacks(asv: Collection[str], cm: Collection[str]) -> str | None:
    """Reason why ASV scores belong to other utterances than CM scores; None if their attacks are the same.

    The rate at which an ASV rejects spoofed speech depends on the attacks. With the ASV scores of another partition, a
    t-DCF looks right and is wrong.

    Args:
        asv: Attacks of the ASV's spoofed utterances; empty or `-` = unknown.
        cm: Attacks of the countermeasure's spoofed utterances; empty or `-` = unknown.
    """
    known, wanted = set(asv) - {"-"}, set(cm) - {"-"}
    if not known or not wanted or known == wanted:
        return None
    parts = []
    for kind, names in (("has", known - wanted), ("lacks", wanted - known)):
        if names:
            more = f" and {len(names) - 3} more" if len(names) > 3 else ""
            parts.append(f"{kind} {', '.join(sorted(names)[:3])}{more}")
    return f"the attacks differ from those of the CM scores: the ASV {' and '.join(parts)}"
