"""Confirmation with fresh seeds: which configurations are trained again, their results, and the detector to export."""

import operator
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from core.errors import InputError
from core.seeds import derived_seed
from search.methods.confirmations import FIRST_SEEDS, NUMBER_STRIDE, Confirmation, undecided
from search.runs.journal import TrialRecord
from search.runs.run import Run
from search.runs.trial_folder import TrialFolder

if TYPE_CHECKING:
    from core.config import Experiment
    from search.space.space import Space


ENDED = ("finished", "failed")
"""Statuses of trainings that are not repeated."""


@dataclass(frozen=True)
class ConfirmedConfiguration:
    """A configuration that was trained again with fresh seeds.

    Attributes:
        record: The trial of the search.
        trainings: The trainings that succeeded, best objective first; at least one.
        n_failed: Number of trainings that failed.
    """

    record: TrialRecord
    trainings: tuple[TrialRecord, ...]
    n_failed: int

    @property
    def mean(self) -> float:
        """Mean objective over the seeds."""
        return statistics.fmean(training.objective for training in self.trainings)

    @property
    def half_width(self) -> float | None:
        """Half width of the 95 % confidence interval of the mean; None with fewer than three seeds."""
        return half_width([training.objective for training in self.trainings])

    @property
    def worst(self) -> float:
        """Objective of the worst seed."""
        return self.trainings[-1].objective

    @property
    def median(self) -> TrialRecord:
        """The training with the median objective; of an even number, the better one of the two in the middle."""
        return self.trainings[(len(self.trainings) - 1) // 2]


def half_width(values: Sequence[float]) -> float | None:
    """Half width of the 95 % confidence interval (Student's t) of the mean; None for fewer than three values."""
    n = len(values)
    if n < 3:
        return None
    from scipy import stats

    return float(stats.t.ppf(0.975, n - 1) * statistics.stdev(values) / n**0.5)


def fresh_seed(experiment: "Experiment", index: int) -> int:
    """Seed of the training `index` (from 0) in a confirmation; it differs from the seed in the search."""
    return derived_seed(experiment.seed, "confirmation", index) % 2**31


def confirmation_candidates(space: "Space", run: Run, confirmation: Confirmation) -> list[TrialRecord]:
    """Trials whose configurations are trained again: the best ones and the baseline, if the search has tried it."""
    ranked = run.ranked()
    best = ranked[: confirmation.top]
    if space.search.baseline:
        from search.space.configurations import baseline

        values = baseline(space)
        best += [record for record in ranked if record.values == values and record not in best][:1]
    return best


def confirmation_trainings(space: "Space", run: Run, confirmation: Confirmation) -> list[dict[str, Any]]:
    """The trainings of a confirmation that are needed as far as the record shows, ended ones included.

    A race needs more of them as its rounds end. They follow from the values of the rounds that have ended, and not from
    the time at which trainings ended.

    Returns:
        One dict per training with `number`, `values` and `confirmation_seed`. The first seeds of all configurations
        come first, then the second seeds, and so on.
    """
    records = confirmation_candidates(space, run, confirmation)
    n_seeds = _n_seeds(run, [record.number for record in records], confirmation)
    return [
        {
            "number": record.number * NUMBER_STRIDE + index,
            "values": record.values,
            "confirmation_seed": fresh_seed(space.experiment(record.values), index),
        }
        for index in range(confirmation.seeds)
        for record in records
        if index < n_seeds[record.number]
    ]


def _n_seeds(run: Run, numbers: Sequence[int], confirmation: Confirmation) -> dict[int, int]:
    """Number of trainings per configuration, by number of the trial: repeats the rounds of a race from the record."""
    if confirmation.level is None:
        return dict.fromkeys(numbers, confirmation.seeds)
    ended = {training.number: training for training in run.confirmation().journal.trials() if training.status in ENDED}
    n_seeds = dict.fromkeys(numbers, FIRST_SEEDS)
    while True:
        wanted = {number: [number * NUMBER_STRIDE + index for index in range(n)] for number, n in n_seeds.items()}
        if not all(training in ended for trainings in wanted.values() for training in trainings):
            return n_seeds
        # A configuration with a failed training comes last, so it needs no further seed.
        values = {
            number: [ended[training].objective for training in trainings]
            for number, trainings in wanted.items()
            if all(ended[training].status == "finished" for training in trainings)
        }
        racing = list(values)
        further = undecided(list(values.values()), seeds=confirmation.seeds, level=confirmation.level)
        if not further:
            return n_seeds
        for index in further:
            n_seeds[racing[index]] += 1


def confirmed_configurations(run: Run) -> list[ConfirmedConfiguration]:
    """The configurations that were trained again.

    Returns:
        The configurations whose trainings have all ended, at least one with success; sorted by the mean, best first.
        In a race the first two trainings are enough: an interrupted one would else show only those that are out.
        Configurations with failed trainings come last. Empty if the run has no confirmation.
    """
    confirmation = run.confirmation()
    if not (confirmation.path / "run.json").exists():
        return []
    info, trainings = confirmation.info(), confirmation.journal.trials()
    ended = {training.number: training for training in trainings if training.status in ENDED}
    numbers_by_trial: dict[int, list[int]] = {}
    for number in info["wanted"]:
        numbers_by_trial.setdefault(number // NUMBER_STRIDE, []).append(number)
    records = {record.number: record for record in run.journal.trials()}
    configurations = []
    for trial, numbers in numbers_by_trial.items():
        needed = numbers[:FIRST_SEEDS] if info.get("race") else numbers
        known = [ended[number] for number in numbers if number in ended]
        finished = [training for training in known if training.status == "finished"]
        if ended.keys() >= set(needed) and finished and trial in records:
            best_first = tuple(sorted(finished, key=lambda training: training.objective))
            n_failed = len(known) - len(finished)
            configurations.append(ConfirmedConfiguration(records[trial], best_first, n_failed))
    return sorted(configurations, key=lambda configuration: (configuration.n_failed > 0, configuration.mean))


class Race(NamedTuple):
    """How many trainings a race took.

    Attributes:
        trainings: Number of trainings that have ended.
        at_most: Number of trainings with all seeds for every configuration.
        level: Probability at which the race is settled.
        settled: Whether no further training is needed.
    """

    trainings: int
    at_most: int
    level: float
    settled: bool

    @property
    def words(self) -> str:
        """The race in one line."""
        if not self.settled:
            return f"race: not settled yet, {self.trainings} trainings of at most {self.at_most}"
        saved = f"{self.at_most - self.trainings} saved"
        return f"race: settled at level {self.level:g} after {self.trainings} of {self.at_most} trainings, {saved}"


def race_of(run: Run) -> Race | None:
    """The race of a run's confirmation; None if the confirmation is no race, or has not started."""
    confirmation = run.confirmation()
    if not (confirmation.path / "run.json").exists():
        return None
    info = confirmation.info()
    if not info.get("race"):
        return None
    ended = {training.number for training in confirmation.journal.trials() if training.status in ENDED}
    wanted = set(info["wanted"])
    race = info["race"]
    return Race(len(wanted & ended), int(race["at_most"]), float(race["level"]), wanted <= ended)


def race_data(run: Run) -> dict[str, Any] | None:
    """The race of a run's confirmation as plain data; None as for `race_of`."""
    race = race_of(run)
    return None if race is None else {**race._asdict(), "saved": race.at_most - race.trainings}


def best_in_search(configurations: Sequence[ConfirmedConfiguration]) -> ConfirmedConfiguration | None:
    """The confirmed configuration with the best value in the search; None if there is no confirmed configuration.

    Its mean over fresh seeds is usually worse than its value in the search. The difference is the selection bias.
    """
    key = operator.attrgetter("record.objective", "record.number")
    return min(configurations, key=key, default=None)


class SelectedTrial(NamedTuple):
    """A trial whose detector is exported.

    Attributes:
        record: The trial of the search.
        checkpoint: File of the detector. For a confirmed configuration it is the detector of the median training.
        confirmed: The results of the confirmation; None if the configuration was not confirmed.
    """

    record: TrialRecord
    checkpoint: Path
    confirmed: ConfirmedConfiguration | None


def select_trial(run: Run, rank: int, number: int | None = None) -> SelectedTrial:
    """Selects the trial whose detector is exported, by its rank or by its number.

    Confirmed configurations have the first ranks, by the mean over their seeds. The other trials follow, by their
    objective. A trial without a whole checkpoint has no rank.

    Args:
        run: The run.
        rank: Rank of the trial, from 1.
        number: Number of the trial; if given, the rank is ignored.

    Raises:
        InputError: The run has no trial with this rank, or with this number, that has a detector.
    """
    candidates = _candidates(run)
    if number is not None:
        matches = [candidate for candidate in candidates if candidate.record.number == number]
        if not matches:
            known = ", ".join(map(str, sorted(candidate.record.number for candidate in candidates)))
            raise InputError(f"run {run.name}: trial {number} has no detector to export; these have: {known}")
        selected = matches[0].selected()
        if selected is None:
            raise InputError(f"run {run.name}: trial {number} has no whole checkpoint; choose another trial")
        return selected
    if rank < 1:
        raise InputError(f"run {run.name}: no trial of rank {rank}; {len(candidates)} trials have a detector to export")
    n_whole = 0
    for candidate in candidates:
        selected = candidate.selected()
        n_whole += selected is not None
        if selected is not None and n_whole == rank:
            return selected
    raise InputError(f"run {run.name}: no trial of rank {rank}; {n_whole} trials have a detector to export")


class _Candidate(NamedTuple):
    """A trial that may be exported: its record, and the training in a folder whose detector it would be."""

    record: TrialRecord
    folder: TrialFolder
    training: int
    confirmed: ConfirmedConfiguration | None = None

    def selected(self) -> SelectedTrial | None:
        """The trial with its checkpoint; None if it has no whole one."""
        path = self.folder.checkpoint(self.training)
        return None if path is None else SelectedTrial(self.record, path, self.confirmed)


def _candidates(run: Run) -> list[_Candidate]:
    """The trials in the order of their ranks. Their checkpoints have not been read yet."""
    configurations, trainings = confirmed_configurations(run), run.confirmation()
    first = [_Candidate(known.record, trainings, known.median.number, known) for known in configurations]
    numbers = {known.record.number for known in configurations}
    rest = [record for record in run.ranked() if record.number not in numbers]
    return [*first, *(_Candidate(record, run, record.number) for record in rest)]
