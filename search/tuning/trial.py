"""The training of one trial. Only this module connects Ray with core."""

import math
import sys
import traceback
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

import torch
from pyarrow import fs
from ray import tune

from core import checkpoint, table
from core.errors import InputError, Unavailable
from core.evaluation.folds import VALIDATIONS, Origins
from core.evaluation.tandem import AsvErrorRates
from core.stores.store import FeatureStore
from core.training.fit import fit
from core.training.fit_folds import fit_folds
from search.methods.proxies import PROXIES
from search.methods.ray_internals import whole_checkpoints
from search.runs.retry import with_retries
from search.runs.scratch import clear_scratch, scratch_folder
from search.runs.storage import Storage
from search.runs.trial_folder import CHECKPOINT
from search.space.parameter import Values
from search.space.space import Space, store_name


@dataclass(frozen=True)
class TrialSetup:
    """Settings that all trials of a search share. Every process that trains a trial gets a copy."""

    space: Space
    """Space of the search."""

    storage: str
    """Path or URL of the storage."""

    stores: Mapping[str, Mapping[str, str]]
    """Folders of the feature stores in the storage, by `store_name` and partition."""

    origins: Origins
    """Facts about the utterances by which folds are made."""

    asv: Mapping[str, AsvErrorRates]
    """Error rates of the ASV by partition, where they are known."""

    checkpoints: Mapping[int, str]
    """Latest checkpoint in the storage of every unfinished trial that is resumed, by number."""

    recorded_epochs: Mapping[int, int]
    """Last epoch in the journal of every unfinished trial that is resumed, by number."""


@dataclass(frozen=True)
class TrialConfig:
    """Settings of one trial. Ray carries them as a dict with these keys."""

    number: int
    """Number of the trial."""

    values: Values
    """Hyperparameter values by path."""

    confirmation_seed: int | None = None
    """Fresh seed of a confirmation, which trains without a proxy; None: a trial of the search."""


def run_trial(config: Mapping[str, Any], setup: TrialSetup) -> None:
    """Trains one configuration, from its last checkpoint if it has one, and reports every epoch to Tune.

    A configuration that fails is reported, and the trial ends: Tune repeats a trial after an error, and that only helps
    when a process or a node died. A lost storage is also reported; it ends the search.

    Args:
        config: Fields of a TrialConfig.
        setup: Settings that all trials share.
    """
    torch.set_num_threads(setup.space.search.cpus)
    clear_scratch()
    try:
        _train(TrialConfig(**config), setup)
    except Unavailable as error:
        tune.report({"objective": math.inf, "storage_lost": str(error)})
    except Exception as error:  # noqa: BLE001 - every other error means that the configuration failed
        text = f"{type(error).__name__}: {error}\n\n{traceback.format_exc()}"
        tune.report({"objective": math.inf, "failed": text})
    finally:
        if torch.cuda.is_initialized():
            torch.cuda.empty_cache()  # The next trial uses the same process.


def _train(trial: TrialConfig, setup: TrialSetup) -> None:
    options = setup.space.search
    experiment = setup.space.experiment(trial.values)
    proxy = None
    if trial.confirmation_seed is not None:
        experiment = replace(experiment, seed=trial.confirmation_seed)
    else:
        proxy = table.build("search.proxy", PROXIES, options.proxy)
        experiment = proxy.experiment(experiment) if proxy else experiment
    storage = Storage(setup.storage, options.node_cache)
    folders = setup.stores[store_name(experiment)]
    device = "cuda" if options.gpus and torch.cuda.is_available() else "cpu"
    if device == "cuda" and options.gpus < 1:
        torch.cuda.set_per_process_memory_fraction(options.gpus)
    saved = tune.get_checkpoint()
    resume = _latest_state(saved) if saved is not None else None
    if resume is None and trial.number in setup.checkpoints:
        path = storage.file(setup.checkpoints[trial.number])
        try:
            resume = checkpoint.load(path)
        except InputError as error:  # It was whole when the search was resumed.
            raise Unavailable(f"the checkpoint of trial {trial.number} cannot be read: {error}") from error
    if resume is not None:
        ended = resume["epoch"] == experiment.epochs  # The trial was interrupted after its last checkpoint.
        if ended or (saved is None and resume["epoch"] > setup.recorded_epochs[trial.number]):
            # The search was interrupted before it recorded this epoch, so that the scheduler does not know it yet.
            _report(resume["measured"], resume)
        if ended:
            return
    train, dev = (
        FeatureStore.open(storage.local_store(folders[partition]), verify=True) for partition in ("train", "dev")
    )
    if proxy:
        train = proxy.training_subset(train, experiment.seed)
    folds = table.build("search.validation", VALIDATIONS, options.validation)(train, dev, setup.origins)
    fit_options: dict[str, Any] = {"device": device, "objective": options.objective, "resume": resume}
    if folds:
        fit_folds(experiment, train, dev, folds, _report, asv=setup.asv, **fit_options)
    else:
        fit(experiment, train, dev, _report, asv=setup.asv.get("dev"), **fit_options)


def _report(metrics: dict[str, float], state: dict[str, Any]) -> None:
    best = (state["best"] or {}).get("metrics", {})
    reported = {
        "objective": math.inf,  # Unknown until the first evaluation.
        **metrics,
        **{f"best_{name}": value for name, value in best.items() if name.startswith(("dev_", "fold_", "worst_"))},
        "best_epoch": best.get("epoch", 0),
        "epochs": state["experiment"]["epochs"],
    }

    def save() -> None:
        with scratch_folder() as folder:
            try:
                checkpoint.save(folder / CHECKPOINT, {**state, "measured": metrics})
            except InputError as error:  # the disk of this node is full, which may pass
                raise OSError(str(error)) from error
            tune.report(reported, checkpoint=tune.Checkpoint.from_directory(folder))

    with whole_checkpoints():
        with_retries(save, "the trial's checkpoint")


def _latest_state(saved: Any) -> dict[str, Any] | None:
    """State of the latest whole checkpoint that this trial has reported; None if all are damaged.

    Args:
        saved: The latest checkpoint. Earlier ones lie beside it.
    """
    path = PurePosixPath(saved.path)
    infos = saved.filesystem.get_file_info(fs.FileSelector(str(path.parent)))
    earlier = sorted(
        (info.base_name for info in infos if info.base_name.startswith("checkpoint_") and info.base_name < path.name),
        reverse=True,
    )
    for name in (path.name, *earlier):
        candidate = tune.Checkpoint(str(path.with_name(name)), filesystem=saved.filesystem)
        try:
            with candidate.as_directory() as folder:
                return checkpoint.load(Path(folder) / CHECKPOINT)
        except (InputError, OSError) as error:
            print(f"spooftune: {candidate.path}: {error}; the checkpoint before it is used", file=sys.stderr)
    return None
