"""What the trainings with fresh seeds say: which configurations were confirmed, and which detector is exported."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from core.errors import InputError
from core.seeds import derived_seed
from search.methods.confirmations import SEEDS, Confirmation
from search.runs.journal import TrialRecord
from search.runs.run import Run

if TYPE_CHECKING:
    from core.config import Experiment
    from search.space.space import Space


@dataclass(frozen=True)
class Confirmed:
    """A configuration that was trained again.

    Attributes:
        record: Its trial in the search.
        trainings: With fresh seeds, those that gave a detector, best first.
        n_failed: Trainings that did not.
    """

    record: TrialRecord
    trainings: tuple[TrialRecord, ...]
    n_failed: int

    @property
    def mean(self) -> float:
        """Mean over the seeds of the best objective."""
        return statistics.fmean(each.objective for each in self.trainings)

    @property
    def half_width(self) -> float | None:
        """Half of the 95 % interval of the mean; None with fewer than three seeds."""
        return half_width([each.objective for each in self.trainings])

    @property
    def worst(self) -> float:
        """The objective of the worst seed."""
        return self.trainings[-1].objective

    @property
    def median(self) -> TrialRecord:
        """The training in the middle (of an even number, the better one of the two): what one may expect."""
        return self.trainings[(len(self.trainings) - 1) // 2]


def half_width(values: Sequence[float]) -> float | None:
    """Half of the 95 % interval of the mean of some values (Student's t); None of fewer than three."""
    n = len(values)
    if n < 3:
        return None
    from scipy import stats

    return float(stats.t.ppf(0.975, n - 1) * statistics.stdev(values) / n**0.5)


def fresh_seed(experiment: "Experiment", index: int) -> int:
    """The seed of a configuration's training of that index, from 0: unlike that of the search."""
    return derived_seed(experiment.seed, "confirmation", index) % 2**31


def chosen(space: "Space", run: Run, confirmation: Confirmation) -> list[TrialRecord]:
    """The trials whose configurations are to be trained again: the best ones, and the paper's where it was tried."""
    ranked = run.ranked()
    best = ranked[: confirmation.top]
    if space.search.baseline:
        from search.space.configurations import baseline

        paper = baseline(space)
        best += [each for each in ranked if each.values == paper and each not in best][:1]
    return best


def to_train(space: "Space", run: Run, confirmation: Confirmation) -> list[dict[str, Any]]:
    """The trainings that are to be, all first seeds first: dicts of `number`, `values` and `confirmation_seed`."""
    records = chosen(space, run, confirmation)
    return [
        {
            "number": record.number * SEEDS + index,
            "values": record.values,
            "confirmation_seed": fresh_seed(space.experiment(record.values), index),
        }
        for index in range(confirmation.seeds)
        for record in records
    ]


def confirmed(run: Run) -> list[Confirmed]:
    """The configurations whose trainings have all ended, best by mean first; those with failed trainings come last."""
    again = run.confirmation()
    if not (again.path / "run.json").exists():
        return []
    ended = {each.number: each for each in again.journal.trials() if each.status in ("finished", "failed")}
    by_trial: dict[int, list[int]] = {}
    for number in again.info()["wanted"]:
        by_trial.setdefault(number // SEEDS, []).append(number)
    records = {each.number: each for each in run.journal.trials()}
    found = []
    for number, wanted in by_trial.items():
        trainings = [ended[each] for each in wanted if each in ended]
        good = sorted((each for each in trainings if each.status == "finished"), key=lambda each: each.objective)
        if len(trainings) == len(wanted) and good and number in records:
            found.append(Confirmed(records[number], tuple(good), len(trainings) - len(good)))
    return sorted(found, key=lambda each: (each.n_failed > 0, each.mean))


def winner(found: Sequence[Confirmed]) -> Confirmed | None:
    """The configuration with the best value in the search; None where nothing was confirmed.

    Its mean over fresh seeds is usually worse than its value in the search: that difference is the selection bias.
    """
    return min(found, key=lambda again: (again.record.objective, again.record.number), default=None)


class Selected(NamedTuple):
    """A trial whose detector is to be exported.

    Attributes:
        record: The trial.
        checkpoint: Where its detector lies.
        confirmed: Its trainings with fresh seeds, the middle one of which gave the detector; None: the search did.
    """

    record: TrialRecord
    checkpoint: Path
    confirmed: Confirmed | None


def selected(run: Run, rank: int, number: int | None = None) -> Selected:
    """The trial of a rank: those that were confirmed come first, by the mean of their seeds, then the others.

    Args:
        run: The run.
        rank: From 1.
        number: A trial's, which goes before the rank.

    Raises:
        InputError: there is no such rank, or no such trial with a detector.
    """
    again, found = run.confirmation(), confirmed(run)
    taken = {each.record.number for each in found}
    rest = [each for each in run.ranked() if each.number not in taken]
    if number is not None:
        numbers = [each.record.number for each in found] + [each.number for each in rest]
        if number not in numbers:
            known = ", ".join(map(str, sorted(numbers)))
            raise InputError(f"run {run.name}: trial {number} has no detector to export; these have: {known}")
        rank = numbers.index(number) + 1
    if not 1 <= rank <= len(found) + len(rest):
        n_trials = len(found) + len(rest)
        raise InputError(f"run {run.name}: no trial of rank {rank}; {n_trials} trials have a detector to export")
    if rank <= len(found):
        best = found[rank - 1]
        path = again.checkpoint(best.median.number)
        assert path is not None
        return Selected(best.record, path, best)
    record = rest[rank - len(found) - 1]
    path = run.checkpoint(record.number)
    assert path is not None
    return Selected(record, path, None)
