"""Error rates of the speaker verification (ASV) behind a countermeasure, for the partitions of a corpus."""

from collections.abc import Collection, Sequence
from pathlib import Path

from core.corpora.corpus import LA19_IDS, PARTITIONS, Corpus, Utterance
from core.errors import InputError
from core.evaluation.score_file import read_asv_scores
from core.evaluation.tandem import (
    LA19_ASV,
    LA19_ATTACKS,
    AsvErrorRates,
    asv_error_rates,
    foreign_attacks,
    tdcf_costs,
)
from search.space.space import Space

NEEDS_ASV = "dev_min_tdcf"
"""Objective that needs the error rates of an ASV system."""


def asv_of_corpus(space: Space, corpus: Corpus, partitions: Sequence[str]) -> dict[str, AsvErrorRates]:
    """Error rates of the ASV by partition; partitions without known ones are left out.

    They are those of the score files that `corpus.asv_scores` names. For ASVspoof 2019 LA in its own layout, the rates
    of the organisers' ASV on the same partition are known.

    Args:
        space: The space.
        corpus: Its corpus; the protocols of the partitions are read.
        partitions: Partitions of the corpus.

    Raises:
        InputError: A score file cannot be read, belongs to other attacks, or its ASV is useless.
    """
    known: dict[str, AsvErrorRates] = {}
    problems: list[str] = []
    for partition in partitions:
        file = space.corpus.asv_scores.get(partition)
        try:
            if file is not None:
                known[partition] = asv_of_file(
                    Path(file), corpus.partition(partition), name=f"corpus.asv_scores.{partition}"
                )
            elif partition in LA19_ASV and _is_la19(space, corpus.partition(partition), partition):
                known[partition] = LA19_ASV[partition]
        except InputError as error:
            problems.extend(error.problems)
    if problems:
        raise InputError(problems)
    return known


def asv_of_file(path: Path, utterances: Sequence[Utterance], *, name: str) -> AsvErrorRates:
    """Error rates of an ASV from its scores of a partition.

    Args:
        path: Score file with the lines `attack key score`.
        utterances: Utterances of the partition.
        name: Name of the option, for messages.

    Raises:
        InputError: The file cannot be read, belongs to other attacks, or its ASV is useless.
    """
    scores = read_asv_scores(path)
    reason = foreign_attacks(scores.attacks, attacks_of(utterances))
    if reason:
        raise InputError(f"{name}: {path} does not belong to {utterances[0].partition} of this corpus: {reason}")
    rates = asv_error_rates(scores.target, scores.nontarget, scores.spoof)
    try:
        tdcf_costs(rates)
    except ValueError as error:
        raise InputError(f"{name}: {path}: {error}") from error
    return rates


def la19_asv(utterances: Sequence[Utterance]) -> AsvErrorRates | None:
    """Rates of the organisers' ASV on a partition of ASVspoof 2019 LA; None for train, on which they are unknown.

    Raises:
        InputError: The partition has attacks that are not those of the same partition of ASVspoof 2019 LA.
    """
    partition = utterances[0].partition
    if partition not in LA19_ASV:
        return None
    foreign = sorted(attacks_of(utterances) - LA19_ATTACKS[partition])
    if foreign:
        known = LA19_ATTACKS[partition]
        raise InputError(
            f"--asv-rates la19: {partition} has the attack {foreign[0]}; ASVspoof 2019 LA's {partition} has "
            f"{min(known)} to {max(known)}. Give the ASV scores of this corpus: --asv-scores {partition}=FILE"
        )
    return LA19_ASV[partition]


def objective_problems(space: Space, known: Collection[str], needed: Collection[str]) -> list[str]:
    """Reasons why the objective of a space cannot be computed.

    Args:
        space: The space.
        known: Partitions with known error rates of an ASV.
        needed: Partitions by which a trial is judged.
    """
    if space.search.objective != NEEDS_ASV:
        return []
    return [
        f"search.objective: {NEEDS_ASV} needs the errors of an ASV system on {partition}, which are known only for "
        f"ASVspoof 2019 LA's dev. Name its score file, with lines `attack key score`: "
        f"corpus: {{asv_scores: {{{partition}: FILE}}}}; or take another objective, such as dev_min_dcf"
        for partition in sorted(set(needed) - set(known))
    ]


def attacks_of(utterances: Sequence[Utterance]) -> set[str]:
    """Known attacks of the spoofed utterances."""
    return {utterance.attack_id for utterance in utterances if not utterance.label} - {"-"}


def _is_la19(space: Space, utterances: Sequence[Utterance], partition: str) -> bool:
    """Whether a partition is that of ASVspoof 2019 LA: by layout, ids and attacks."""
    prefix = dict(zip(PARTITIONS, LA19_IDS, strict=True))[partition]
    return (
        space.corpus.layout.name == "asvspoof2019_la"
        and all(utterance.utterance_id.startswith(prefix) for utterance in utterances)
        and attacks_of(utterances) <= LA19_ATTACKS[partition]
    )
