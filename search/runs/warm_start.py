"""Warm start: trials of earlier runs from which the sampler of a new search learns."""

from core.errors import InputError
from search.runs.journal import TrialRecord
from search.runs.run import Run
from search.runs.storage import Storage
from search.space.reader import read_space
from search.space.space import Space


def warm_start_trials(space: Space, storage: Storage) -> list[TrialRecord]:
    """Ended trials of the runs in `search.warm_start` whose configurations lie in this space.

    Args:
        space: Space of the new search.
        storage: Storage of the earlier runs.

    Returns:
        The trials in the order of the runs.

    Raises:
        InputError: A run is missing, or its values are not comparable: it has another corpus, objective, validation or
            proxy.
    """
    records: list[TrialRecord] = []
    for name in space.search.warm_start:
        run = Run.open(storage, name)
        earlier = read_space(run.path / "space.yaml")
        for key in ("objective", "validation", "proxy"):
            here, there = getattr(space.search, key), getattr(earlier.search, key)
            if here != there:
                raise InputError(f"search.warm_start: run {name} has search.{key} {there}, this space {here}")
        if earlier.corpus != space.corpus:
            raise InputError(f"search.warm_start: run {name} has corpus {earlier.corpus}, this space {space.corpus}")
        ended = [record for record in run.journal.trials() if record.status in ("finished", "stopped", "failed")]
        records += [record for record in ended if space.contains(record.values)]
    return records
