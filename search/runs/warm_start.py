"""Trials of earlier runs that a new search may learn from."""

from core.errors import InputError
from search.runs.journal import TrialRecord
from search.runs.run import Run
from search.runs.storage import Storage
from search.space.reader import read_space
from search.space.space import Space


def known_trials(space: Space, storage: Storage) -> list[TrialRecord]:
    """Ended trials of the runs that `search.warm_start` names, which this space could suggest; in the order named.

    Raises:
        InputError: there is no such run, or its values mean something else: it has another corpus, objective,
            validation or proxy.
    """
    found: list[TrialRecord] = []
    for name in space.search.warm_start:
        run = Run.open(storage, name)
        theirs = read_space(run.path / "space.yaml")
        for key in ("objective", "validation", "proxy"):
            here, there = getattr(space.search, key), getattr(theirs.search, key)
            if here != there:
                raise InputError(f"search.warm_start: run {name} has search.{key} {there}, this space {here}")
        if theirs.corpus != space.corpus:
            raise InputError(f"search.warm_start: run {name} is of corpus {theirs.corpus}, this space {space.corpus}")
        ended = [each for each in run.journal.trials() if each.status in ("finished", "stopped", "failed")]
        found += [each for each in ended if space.holds(each.values)]
    return found
