"""Runs as tables, and searches."""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from core.errors import InputError
from search.cli.local import export_here, launch_here
from search.cli.shared_arguments import open_storage
from search.runs.confirmed import confirmed_configurations, select_trial
from search.runs.run import Run as Folder


class Run:
    """A search that has been launched, in Python or on the command line.

    Attributes:
        name: Name of the run.
        path: Folder of the run.
    """

    def __init__(self, name: str, storage: str | Path | None = None) -> None:
        """The run with this name.

        Args:
            name: Name of the run.
            storage: Folder or URL of runs and feature stores; None: the folder `storage`.

        Raises:
            InputError: The storage has no such run. The message lists those that it has.
        """
        self._storage = open_storage(None if storage is None else str(storage))
        self._folder = Folder.open(self._storage, name)
        self.name, self.path = name, self._folder.path

    @property
    def info(self) -> dict[str, Any]:
        """State, times, versions, seed and metric of the run, as `run.json` has them."""
        return self._folder.info()

    def trials(self) -> list[dict[str, Any]]:
        """The trials in the order of their numbers, one dict each, from which pandas and polars make a table.

        `objective` is the best value so far, lower is better. `confirmed_mean` is the mean of fresh seeds, None
        without them. Every hyperparameter has its path as key, such as `loss.margin`; a trial without it lacks the key.
        """
        means = {known.record.number: known.mean for known in confirmed_configurations(self._folder)}
        return [
            {
                "trial": record.number,
                "status": record.status,
                "epoch": record.epoch,
                "objective": record.objective,
                "confirmed_mean": means.get(record.number),
                "seconds": record.seconds,
                "error": record.error,
                **record.values,
            }
            for record in self._folder.journal.trials()
        ]

    @property
    def best(self) -> dict[str, Any] | None:
        """The trial that `export` takes: confirmed ones first, by their mean; None if no trial has a detector."""
        try:
            number = select_trial(self._folder, 1).record.number
        except InputError:
            return None
        return next(row for row in self.trials() if row["trial"] == number)

    @property
    def bundle(self) -> Path:
        """Folder of the newest bundle that the search has exported, for `load`.

        Raises:
            InputError: There is none.
        """
        exported = [self.path / "export", *sorted(self.path.glob("export-[0-9][0-9][0-9]"))]
        existing = [folder for folder in exported if folder.is_dir()]
        if not existing:
            raise InputError(f"run {self.name}: has exported no detector; export() does")
        return existing[-1]

    def export(
        self,
        output: str | Path | None = None,
        *,
        rank: int = 1,
        trial: int | None = None,
        with_weights: bool = False,
        score_eval: bool = False,
    ) -> Path:
        """Exports the detector of a trial as a bundle and returns its folder; as `spooftune export` does.

        Args:
            output: New folder of the bundle; None: `export-rank1` or the like in the run's folder.
            rank: Rank of the trial; 1 is the best.
            trial: Number of the trial, which then counts instead of the rank.
            with_weights: Whether the pretrained weights of the front end are copied into the bundle.
            score_eval: Whether the bundle is scored on eval too. The run records every look at eval.

        Raises:
            InputError: No trial has that rank or number, the folder is not empty, or corpus or weights are not those of
                the launch.
        """
        return export_here(
            self.name,
            self._storage,
            changes=[],
            output=None if output is None else Path(output),
            rank=rank,
            trial=trial,
            with_weights=with_weights,
            score_eval=score_eval,
            command="Run.export",
        )[0]


def search(
    space: str | Path | Mapping[str, Any],
    *,
    changes: Mapping[str, Any] | None = None,
    name: str | None = None,
    storage: str | Path | None = None,
    address: str | None = None,
    score_eval: bool = False,
) -> Run:
    """Searches a space as `spooftune launch` does, with the same output, and returns the run once it has ended.

    A search that Ctrl-C or SIGTERM has ended early is a run as well: its `info["state"]` says so.

    Args:
        space: YAML file of the space, or the space as a dict.
        changes: Dotted key -> value that replaces the one of the space, such as `{"search.trials": 20}`.
        name: Name of the run; None: the name of the space, and a number.
        storage: Folder or URL of runs and feature stores; None: that of the space.
        address: Address of the Ray cluster that this machine belongs to; None: a Ray is started here, and ended.
        score_eval: Whether the exported detector is scored on eval. The run records every look at eval.

    Raises:
        InputError: The space has mistakes or cannot run here, or this process is connected to Ray already.
        Unavailable: Ray cannot be reached, or the storage was lost.
        KeyboardInterrupt: The search was interrupted before or after its trials.
    """
    if "ray" in sys.modules and sys.modules["ray"].is_initialized():
        raise InputError("this process is connected to Ray already, and a search starts its own; call ray.shutdown()")
    try:
        run, _ = launch_here(
            space if isinstance(space, Mapping) else Path(space),
            changes=[f"{key}={json.dumps(value)}" for key, value in (changes or {}).items()],
            storage=None if storage is None else str(storage),
            name=name,
            score_eval=score_eval,
            address=address,
            command="spooftune.search",
        )
    finally:
        if "ray" in sys.modules:
            sys.modules["ray"].shutdown()
    return Run(run.name, run.path.parent.parent)
